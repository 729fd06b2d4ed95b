"""Counts in this process: a request costs a microsecond or two.

The `limits` library keeps counts in memory, too, at several times that cost, and its counts cannot be shares.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from objectstore.core.rates import Rate
from objectstore.ratelimit.limiter import Verdict
from objectstore.ratelimit.sliding import used, wait

_KEPT: Final = 10_000  # keys that are kept without a look whether they still matter


class _Counter:
    """One window of one key."""

    __slots__ = ("current", "number", "period", "previous", "quota")

    def __init__(self, quota: float, period: float) -> None:
        self.quota = quota
        self.period = period
        self.number = 0  # of the period under way
        self.previous = 0.0
        self.current = 0.0

    def advance(self, now: float) -> float:
        """Bring the counts to `now`; seconds that are left of the period."""
        period = self.period
        number = int(now // period)
        if number != self.number:
            self.previous = self.current if number == self.number + 1 else 0.0
            self.current = 0.0
            self.number = number
        return (number + 1) * period - now


class MemoryLimiter:
    """A limiter for one of `workers` processes that divide each quota evenly."""

    def __init__(self, *, workers: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._counters: dict[str, tuple[Rate, list[_Counter]]] = {}
        self._look_at = _KEPT  # keys: as many are there when those that do not matter any more are thrown out

    @property
    def away(self) -> bool:
        return False

    async def take(self, key: str, rate: Rate) -> Verdict:
        return self.count(key, rate)

    def count(self, key: str, rate: Rate) -> Verdict:
        """`take`, for those who cannot wait."""
        known = self._counters.get(key)
        counters = known[1] if known is not None and known[0] is rate else self._renew(key, rate)
        now = self._clock()
        longest = 0.0
        for counter in counters:
            left = counter.advance(now)
            longest = max(longest, wait(counter.quota, counter.previous, counter.current, left, counter.period))
        if longest == 0.0:
            for counter in counters:
                counter.current += 1.0
        return Verdict(longest, tuple([_state(counter, now) for counter in counters]))

    async def close(self) -> None:
        self._counters.clear()

    def _renew(self, key: str, rate: Rate) -> list[_Counter]:
        """Counters for a rate that is new to the key; what was counted for windows of the same length goes on."""
        if len(self._counters) >= self._look_at:
            self._forget()
        old = {counter.period: counter for counter in self._counters.get(key, (rate, []))[1]}
        counters = []
        for window in rate:
            quota, period = shared(window.quota, window.period, self._workers)
            counter = old.get(period) or _Counter(quota, period)
            counter.quota = quota
            counters.append(counter)
        self._counters[key] = (rate, counters)
        return counters

    def _forget(self) -> None:
        now = self._clock()
        for key, (_, counters) in list(self._counters.items()):
            if all(int(now // counter.period) > counter.number + 1 for counter in counters):
                del self._counters[key]
        # Twice what is left, so that a look costs each new key no more than a constant.
        self._look_at = max(_KEPT, 2 * len(self._counters))


def shared(quota: int, period: int, workers: int) -> tuple[float, float]:
    """Quota and period for one of `workers`, which together keep to the whole.

    A share below one request would never have room for any: then one request, in a time that is longer instead.
    """
    share = quota / workers
    return (share, period) if share >= 1 else (1.0, period * workers / quota)


def _state(counter: _Counter, now: float) -> tuple[int, float]:
    period = counter.period
    left = (counter.number + 1) * period - now
    free = int(counter.quota - used(counter.previous, counter.current, left, period))
    if free > 0:
        return free, left
    return 0, wait(counter.quota, counter.previous, counter.current, left, period)
