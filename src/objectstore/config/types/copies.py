"""Wrappers that keep objects in more than one store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.config.storetype import ListOfBases, StoreType, Values
from objectstore.errors import ConfigurationError


def _mirroring(_: Values, bases: Sequence[Backend]) -> Backend:
    from objectstore.wrappers.mirroring import Mirroring

    if len({id(base) for base in bases}) < len(bases):
        raise ConfigurationError("a store stands twice in 'base': a mirror keeps its copies in different stores")
    if any(isinstance(base, Mirroring) for base in bases):
        raise ConfigurationError("a mirror of mirrors: write the stores of the inner one into 'base' of this one")
    return Mirroring(bases)


COPIES: Final[tuple[StoreType, ...]] = (
    StoreType(
        names=("MirroringStore", "AsyncMirroringStore", "FanoutStore", "AsyncFanoutStore"),
        about="Writes to all of several stores and reads from the first that has the object.",
        base=ListOfBases(),
        build=_mirroring,
    ),
)
