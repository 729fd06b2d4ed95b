"""Counts in this process: a request costs a microsecond or two.

The `limits` library keeps counts in memory, too, at several times that cost, and its counts cannot be shares.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from objectstore.core.rates import Rate
from objectstore.ratelimit.limiter import Verdict
from objectstore.ratelimit.refill import Refill, left, share, taken, wait

_KEPT: Final = 10_000  # keys that are kept without a look whether they still matter


class _Capacity:
    """One window of one key."""

    __slots__ = ("full_at", "period", "refill")

    def __init__(self, period: int, refill: Refill, full_at: float) -> None:
        self.period = period  # seconds
        self.refill = refill
        self.full_at = full_at  # on the clock of the limiter


class MemoryLimiter:
    """A limiter for one of `workers` processes that divide each quota evenly."""

    def __init__(self, *, workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._known: dict[str, tuple[Rate, list[_Capacity]]] = {}
        self._look_at = _KEPT  # keys: as many are there when those that do not matter any more are thrown out

    @property
    def away(self) -> bool:
        return False

    async def take(self, key: str, rate: Rate) -> Verdict:
        return self.count(key, rate)

    def count(self, key: str, rate: Rate) -> Verdict:
        """`take`, for those who cannot wait."""
        known = self._known.get(key)
        capacities = known[1] if known is not None and known[0] is rate else self._renew(key, rate)
        now = self._clock()
        longest = 0.0
        for one in capacities:
            longest = max(longest, wait(one.refill, one.full_at, now))
        if not longest:
            for one in capacities:
                one.full_at = taken(one.refill, one.full_at, now)
        return Verdict(longest, tuple([_state(one, now) for one in capacities]))

    async def close(self) -> None:
        self._known.clear()

    def _renew(self, key: str, rate: Rate) -> list[_Capacity]:
        """Capacities for a rate that is new to the key; what was taken in windows of the same length is taken still."""
        if len(self._known) >= self._look_at:
            self._forget()
        now = self._clock()
        old = {one.period: one for one in self._known.get(key, (rate, []))[1]}
        capacities = []
        for window in rate:
            refill = share(window.quota, window.period, self._workers)
            known = old.get(window.period)
            owed = 0.0 if known is None else max(known.full_at - now, 0.0) / known.refill.interval  # requests
            capacities.append(_Capacity(window.period, refill, now + owed * refill.interval))
        self._known[key] = (rate, capacities)
        return capacities

    def _forget(self) -> None:
        now = self._clock()
        self._known = {key: known for key, known in self._known.items() if any(one.full_at > now for one in known[1])}
        # Twice what is left, so that a look costs each new key no more than a constant.
        self._look_at = max(_KEPT, 2 * len(self._known))


def _state(one: _Capacity, now: float) -> tuple[int, float]:
    free = left(one.refill, one.full_at, now)
    return free, max(one.full_at - now, 0.0) if free else wait(one.refill, one.full_at, now)
