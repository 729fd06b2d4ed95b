"""The table of store types: whoever adds one adds an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from objectstore.backends.contract import Backend
from objectstore.config.parameters import OBJECTS, PATH, SIZE, Parameter, choice

Values: TypeAlias = Mapping[str, Any]
"""Checked values of those parameters that were given, by name."""


@dataclass(frozen=True, slots=True)
class NoBase:
    """Stores objects itself."""


@dataclass(frozen=True, slots=True)
class OneBase:
    """Wraps one store: `base: NAME`."""


@dataclass(frozen=True, slots=True)
class ListOfBases:
    """Wraps several alike: `base: [NAME, NAME]`."""


@dataclass(frozen=True, slots=True)
class NamedBases:
    """Wraps several, each with a part to play: `base: {main_store: NAME, cache_store: NAME}`."""

    names: tuple[str, ...]


Base: TypeAlias = NoBase | OneBase | ListOfBases | NamedBases


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreType:
    """One type of store: a backend, or with a base a wrapper.

    `build` constructs it, opening nothing, from the values and the bases in the order of the file, named ones
    in the order of their names here. It imports what it needs; a missing dependency is what `extra` installs.
    """

    names: tuple[str, ...]
    about: str
    build: Callable[[Values, Sequence[Backend]], Backend]
    parameters: tuple[Parameter, ...] = ()
    base: Base = NoBase()
    extra: str | None = None


def _engine(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.engine.backend import EngineBackend

    return EngineBackend(**values)


def _memory(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.memory import MemoryBackend

    return MemoryBackend(**values)


def _filesystem(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.filesystem.backend import FilesystemBackend

    return FilesystemBackend(values["root_path"])


TYPES: Final = (
    StoreType(
        names=("EngineStore",),
        about="The embedded store: durable, for many small and large objects, in a folder of its own.",
        parameters=(
            Parameter(name="path", kind=PATH, required=True, about="The folder; it is made when it is missing."),
            Parameter(name="inline_limit", kind=SIZE, about="Objects up to this size are kept in the index."),
            Parameter(
                name="durability",
                kind=choice("full", "relaxed"),
                about="full (default): what is acknowledged survives a power cut; relaxed: it survives a crash.",
            ),
        ),
        build=_engine,
    ),
    StoreType(
        names=("DictStore",),
        about="Memory of one process; nothing persists.",
        parameters=(Parameter(name="objects", kind=OBJECTS, about="What is in it at the start (default: nothing)."),),
        build=_memory,
    ),
    StoreType(
        names=("FilesystemStore", "AsyncFilesystemStore"),
        about="Plain files under a folder: the object a/b.txt is the file a/b.txt.",
        parameters=(Parameter(name="root_path", kind=PATH, required=True, about="The folder."),),
        build=_filesystem,
    ),
)
