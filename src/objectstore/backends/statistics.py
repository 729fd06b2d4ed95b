"""What a backend can tell of itself to those who watch it: plain numbers, each by a name."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable


@dataclass(frozen=True, slots=True)
class Counted:
    """How often something happened in this process. It only grows."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How what was measured in this process is distributed."""

    name: str
    bounds: tuple[float, ...]  # the upper ends of all buckets but the last, ascending
    counts: tuple[int, ...]  # of each bucket, one more than there are bounds
    total: float  # the sum of what was measured


@dataclass(frozen=True, slots=True)
class Level:
    """How much there is of something in the store now: the same whichever process tells."""

    name: str
    value: float


Measured: TypeAlias = Counted | Spread


@runtime_checkable
class Observable(Protocol):
    """A backend that tells numbers of itself to those who watch it. A wrapper tells those of what it wraps."""

    def measured(self) -> Sequence[Measured]:
        """What this process has done since it opened the backend; at once, from memory."""
        ...

    async def levels(self) -> Sequence[Level]:
        """How much there is in the store now. Raises Unavailable."""
        ...


class Distribution:
    """Collects what a `Spread` tells. Safe to use from several threads."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        with self._lock:
            self._counts[bisect_left(self._bounds, value)] += 1
            self._total += value

    def spread(self, name: str) -> Spread:
        with self._lock:
            return Spread(name, self._bounds, tuple(self._counts), self._total)


def measured_of(backends: Sequence[object]) -> list[Measured]:
    """What those of the backends tell that tell anything."""
    return [one for backend in backends if isinstance(backend, Observable) for one in backend.measured()]


async def levels_of(backends: Sequence[object]) -> list[Level]:
    """What those of the backends tell that tell anything."""
    return [one for backend in backends if isinstance(backend, Observable) for one in await backend.levels()]
