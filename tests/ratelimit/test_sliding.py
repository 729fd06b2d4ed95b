from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.rates import Window
from objectstore.ratelimit.memory import MemoryLimiter
from objectstore.ratelimit.sliding import used, wait


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    quota=st.integers(1, 20),
    previous=st.integers(0, 20),
    current=st.integers(0, 20),
    left=st.floats(0.001, 10, allow_nan=False),
)
def test_the_wait_is_until_one_more_fits_and_no_longer(quota: int, previous: int, current: int, left: float) -> None:
    period = 10.0
    previous, current = min(previous, quota), min(current, quota)

    def fits_after(seconds: float) -> bool:
        if seconds <= left:
            return used(previous, current, left - seconds, period) + 1 <= quota + 1e-6
        return used(current, 0, left + period - seconds, period) + 1 <= quota + 1e-6

    seconds = wait(quota, previous, current, left, period)
    assert fits_after(seconds + 1e-6)
    assert seconds == 0 or not fits_after(seconds - 1e-3 * period)


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
                assert more <= window.quota * ((last - first) / window.period + 1) + 1e-6


@given(GAPS)
def test_whoever_waits_as_told_is_let_in(gaps: list[float]) -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    rate = (Window(3, 1), Window(8, 5))
    for gap in gaps:
        clock.now += gap
        verdict = limiter.count("token", rate)
        if verdict.wait:
            clock.now += verdict.wait + 1e-6
            assert not limiter.count("token", rate).wait
