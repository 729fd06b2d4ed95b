"""Types that installed packages add: entry points of the group `objectstore.stores`, by the names of their types.

    [project.entry-points."objectstore.stores"]
    TapeStore = "tapes.store:TapeStore"

The value is a class as for `type: package.module:Class`, or a `StoreType`. A package is imported when a store has its
type, so that a broken one fails nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from objectstore.errors import ConfigurationError

GROUP: Final = "objectstore.stores"


def names() -> Sequence[str]:
    """The types that there are, in order. Nothing is imported."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load(name: str) -> object | None:
    """What a package has registered under the name; None when none has.

    Raises:
        ConfigurationError: it cannot be imported, or several packages have.
    """
    found = {entry.value: entry for entry in entry_points(group=GROUP, name=name)}
    if not found:
        return None
    if len(found) > 1:
        raise ConfigurationError(f"several packages add the type {name!r}: {', '.join(map(_origin, found.values()))}")
    [entry] = found.values()
    try:
        loaded: object = entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"the type {name!r} of {_origin(entry)} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return loaded


def _origin(entry: EntryPoint) -> str:
    return entry.value if entry.dist is None else f"the package {entry.dist.name} ({entry.value})"
