"""What a type of store is: its names, its parameters, its bases, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from objectstore.backends.contract import Backend
from objectstore.config.parameters import Parameter

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


@dataclass(frozen=True, slots=True)
class RoutedBases:
    """Wraps one store, or those that the entries of a parameter name, or both: `routes: [{…, store: NAME}]`.

    The builder is given the one of `base:`, if there is one, and then each of the named ones once, in the order in
    which they are first named; one that is also `base:` comes again.
    """

    parameter: str  # a list of mappings
    member: str  # of those mappings: where the name of a store may stand


Base: TypeAlias = NoBase | OneBase | ListOfBases | NamedBases | RoutedBases


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
    foreign: bool = False  # a class that knows nothing of this package: what it keeps, and how long, is its matter
