from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.rates import Window
from objectstore.ratelimit.memory import MemoryLimiter
from objectstore.ratelimit.refill import left, share, taken, wait


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_capacity_is_taken_at_once_and_comes_back_evenly() -> None:
    refill = share(10, 5, 1)
    full_at, now = 0.0, 100.0
    for number in range(10):
        assert (left(refill, full_at, now), wait(refill, full_at, now)) == (10 - number, 0.0)
        full_at = taken(refill, full_at, now)
    assert left(refill, full_at, now) == 0
    assert wait(refill, full_at, now) == pytest.approx(0.5)
    assert wait(refill, full_at, now + 0.49) == pytest.approx(0.01)
    assert (left(refill, full_at, now + 0.5), wait(refill, full_at, now + 0.5)) == (1, 0.0)
    assert left(refill, full_at, now + 5) == left(refill, full_at, now + 500) == 10


@pytest.mark.parametrize(
    ("quota", "workers", "at_once", "rate"), [(10, 4, 2, 2.5), (12, 4, 3, 3.0), (2, 4, 1, 0.5), (1, 1, 1, 1.0)]
)
def test_a_share_is_of_the_capacity_and_of_the_refill(quota: int, workers: int, at_once: int, rate: float) -> None:
    refill = share(quota, 1, workers)
    assert left(refill, 0, 0) == at_once
    assert 1 / refill.interval == pytest.approx(rate)


GAPS = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.1, 0.35, 0.5, 0.9, 0.999, 1.0, 2.5]), max_size=200)


@given(
    gaps=GAPS,
    rate=st.sampled_from([(Window(1, 1),), (Window(3, 1),), (Window(10, 1),), (Window(4, 1), Window(7, 3))]),
    start=st.floats(0, 5, allow_nan=False),
)
def test_no_stretch_of_time_sees_more_than_the_rate_and_one_quota(
    gaps: list[float], rate: tuple[Window, ...], start: float
) -> None:
    clock = Clock(1000 + start)
    limiter = MemoryLimiter(clock=clock)
    passed: list[float] = []
    for gap in gaps:
        clock.now += gap
        if not limiter.count("token", rate).wait:
            passed.append(clock.now)
    for window in rate:
        for number, first in enumerate(passed):
            for more, last in enumerate(passed[number:], 1):
                assert more <= window.quota * ((last - first) / window.period + 1) + 0.02


@given(GAPS)
def test_whoever_waits_as_told_is_let_in_and_not_before(gaps: list[float]) -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    rate = (Window(3, 1), Window(8, 5))
    for gap in gaps:
        clock.now += gap
        verdict = limiter.count("token", rate)
        if verdict.wait:
            clock.now += verdict.wait - 0.02
            assert limiter.count("token", rate).wait
            clock.now += 0.02
            assert not limiter.count("token", rate).wait


def test_millions_a_second_lose_nothing_to_rounding() -> None:
    clock = Clock(10.0**7)
    limiter = MemoryLimiter(clock=clock)
    rate = (Window(1_000_000, 1),)
    assert sum(not limiter.count("token", rate).wait for _ in range(1000)) == 1000
    assert 998_000 <= limiter.count("token", rate).states[0][0] <= 999_999
