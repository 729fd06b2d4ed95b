"""YAML as a tree that knows which line each value stands on, and has no key twice."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from objectstore.errors import ConfigurationError

_MAPPING: Final = "tag:yaml.org,2002:map"
_SEQUENCE: Final = "tag:yaml.org,2002:seq"
_MERGE: Final = "tag:yaml.org,2002:merge"
_UNFINISHED: Final = object()


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands. Inside a sequence or a mapping there are nodes again."""

    value: Any  # a scalar, tuple[Node, ...] or Mapping[str, Node]
    place: str  # `storage.yaml:12`, for errors


def plain(node: Node) -> Any:
    """The value without places: scalars, lists and dicts."""
    if isinstance(node.value, tuple):
        return [plain(one) for one in node.value]
    if isinstance(node.value, Mapping):
        return {key: plain(one) for key, one in node.value.items()}
    return node.value


def node_of(value: object, place: str) -> Node:
    """A document that is at hand as Python values; places are the names on the way, as in `stores.files.type`.

    Raises:
        ConfigurationError: a name is no text.
    """
    return _node_of(value, place, "")


def _node_of(value: object, place: str, way: str) -> Node:
    place = way or place
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise ConfigurationError(f"{place}: the name {name!r} is no text")
        below = f"{way}." if way else ""
        return Node(MappingProxyType({name: _node_of(one, place, below + name) for name, one in value.items()}), place)
    if isinstance(value, list | tuple):
        return Node(tuple(_node_of(one, place, place) for one in value), place)
    return Node(os.fspath(value) if isinstance(value, os.PathLike) else value, place)


def read_document(path: Path) -> Node:
    """The one YAML document in the file.

    Raises:
        ConfigurationError: there is no such file, it cannot be read, or is not YAML.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        return Node(None, f"{path}:1") if root is None else _Reader(path, loader).read(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise ConfigurationError(f"{path}{line}: not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigurationError(f"{path}: not YAML: {error.reason} at byte {error.position}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: not usable: nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Reader:
    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self._path = path
        self._loader = loader
        self._values: dict[int, Any] = {}  # by identity of the YAML node, so that an alias is read once

    def read(self, node: yaml.Node, place: str | None = None) -> Node:
        place = place or self._place(node)
        if id(node) not in self._values:
            self._values[id(node)] = _UNFINISHED
            self._values[id(node)] = self._value(node)
        if self._values[id(node)] is _UNFINISHED:
            raise ConfigurationError(f"{place}: this value contains itself")
        return Node(self._values[id(node)], place)

    def _value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQUENCE:
            return tuple(self.read(one) for one in node.value)
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigurationError(f"{self._place(node)}: not usable: a value with the tag {node.tag}")
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode) -> Mapping[str, Node]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != _MERGE:
                name = self._name(key)
                if name in seen:
                    raise ConfigurationError(f"{self._place(key)}: {name!r} is there twice")
                seen.add(name)
        # What `<<` brings in comes first, so that the mapping's own values win.
        self._loader.flatten_mapping(node)
        # A value is looked for where its name stands.
        return MappingProxyType({self._name(key): self.read(value, self._place(key)) for key, value in node.value})

    def _name(self, node: yaml.Node) -> str:
        name = self._scalar(node) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(name, str):
            return name
        shown = node.value if isinstance(node, yaml.ScalarNode) else "this"
        raise ConfigurationError(f"{self._place(node)}: {shown} is no text; if it is meant as a name, put it in quotes")

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node)
        except ValueError as error:  # 2026-02-30 looks like a date
            raise ConfigurationError(
                f"{self._place(node)}: {node.value}: {error}; texts may be put in quotes"
            ) from None

    def _place(self, node: yaml.Node) -> str:
        return f"{self._path}:{node.start_mark.line + 1}"
