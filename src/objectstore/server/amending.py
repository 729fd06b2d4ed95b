"""uvicorn's own classes, amended in place: the one way to have otherwise what it has no setting for.

It is started in ways where nobody but the application can do anything, `uvicorn objectstore.app:app` among them. So
what runs is looked up among the modules that are loaded, and its methods are replaced by ours, which call them. Of
other versions than those that were read a method may be gone: then the class is left as it is, which the log tells.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

# For what relies on more of uvicorn than the methods that it replaces.
VERSIONS: Final = ("0.54.",)
_log: Final = logging.getLogger("objectstore.server")

Method: TypeAlias = Callable[..., Any]


def module_of_uvicorn(name: str) -> Any:
    """The module `uvicorn.NAME`; None when this process does not run it."""
    return sys.modules.get(f"uvicorn.{name}")


def is_known() -> bool:
    """Whether the uvicorn that this process runs is of a version that was read."""
    version: str = sys.modules["uvicorn"].__version__
    return version.startswith(VERSIONS)


def amend(module: str, name: str, methods_of: Callable[[Any], Iterable[Method]]) -> None:
    """Put the methods that `methods_of` makes for a class in the place of those of the same names.

    It is given the class `name` of `uvicorn.MODULE` as it was, and is to look up in it whatever it calls. Nothing
    happens when this process does not run that, or when these methods are in place already. All are replaced or none.
    """
    owner = getattr(module_of_uvicorn(module), name, None)
    if owner is None:
        return
    try:
        methods = {one.__name__: one for one in methods_of(owner)}
        before = {known: getattr(owner, known) for known in methods}
    except AttributeError as error:
        told = "uvicorn %s has no %s.%s, which %s amends: it is left as it is; versions that are known: %s*"
        known = "*, ".join(VERSIONS)
        _log.warning(told, sys.modules["uvicorn"].__version__, name, error.name, methods_of.__module__, known)
        return
    if any(before[known].__module__ == one.__module__ for known, one in methods.items()):
        return
    for known, one in methods.items():
        setattr(owner, known, one)
