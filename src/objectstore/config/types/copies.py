"""Wrappers that keep objects in more than one store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import SIZE, Kind, Parameter
from objectstore.config.storetype import ListOfBases, NamedBases, StoreType, Values
from objectstore.config.units import parse_duration
from objectstore.errors import ConfigurationError


def _mirroring(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.mirroring import Mirroring

    if len({id(base) for base in bases}) < len(bases):
        raise ConfigurationError("a store stands twice in 'base': a mirror keeps its copies in different stores")
    if any(isinstance(base, Mirroring) for base in bases):
        raise ConfigurationError("a mirror of mirrors: write the stores of the inner one into 'base' of this one")
    return Mirroring(bases)


def _caching(values: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.caching import Caching

    main, cache = bases
    if main is cache:
        raise ConfigurationError("main_store and cache_store are the same store: a cache is another one")
    return Caching(main, cache, **values)


def _seconds(value: object) -> float:
    if isinstance(value, str):
        return parse_duration(value).total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(value)
    if not 0 <= value < math.inf:
        raise ValueError(value)
    return float(value)


_SECONDS: Final = Kind("a number of seconds, or one with a unit such as 90s, 5m or 1h", _seconds)

COPIES: Final[tuple[StoreType, ...]] = (
    StoreType(
        names=("MirroringStore", "AsyncMirroringStore", "FanoutStore", "AsyncFanoutStore"),
        about="Writes to all of several stores and reads from the first that has the object.",
        base=ListOfBases(),
        build=_mirroring,
    ),
    StoreType(
        names=("CachingStore", "AsyncCachingStore"),
        about="Reads objects of a slower store through a faster one.",
        parameters=(
            Parameter(name="max_bytes", kind=SIZE, about="The most that the cache holds (default: no limit)."),
            Parameter(
                name="ttl",
                kind=_SECONDS,
                about="How long a copy is used without asking main_store (default: it is asked every time).",
            ),
        ),
        base=NamedBases(("main_store", "cache_store")),
        build=_caching,
    ),
)
