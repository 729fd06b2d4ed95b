"""`${VAR}` and `${VAR:-default}` as values of storage.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from objectstore.config.document import Node
from objectstore.errors import ConfigurationError

# The value as a whole: in the midst of other text, ${…} is text too.
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\}", re.DOTALL)


def expand(node: Node, env: Mapping[str, str], owner: str) -> Node:
    """`node` with every value in it, at any depth, that names a variable replaced by the variable's text.

    As in a shell, `:-` gives the default for a variable that is not set or empty. `owner` is who needs it.

    Raises:
        ConfigurationError: a variable is not set, and there is no default.
    """
    value = node.value
    if isinstance(value, str):
        return replace(node, value=_expand_text(value, env, f"{node.place}: {owner}"))
    if isinstance(value, tuple):
        return replace(node, value=tuple(expand(one, env, owner) for one in value))
    if isinstance(value, Mapping):
        return replace(node, value=MappingProxyType({key: expand(one, env, owner) for key, one in value.items()}))
    return node


def _expand_text(text: str, env: Mapping[str, str], where: str) -> str:
    found = _REFERENCE.fullmatch(text)
    if found is None:
        return text
    name, default = found.groups()
    value = env.get(name)
    if default is not None:
        return value or default
    if value is None:
        raise ConfigurationError(
            f"{where} needs the environment variable {name}, which is not set: set it, or write ${{{name}:-default}}"
        )
    return value
