from __future__ import annotations

from itertools import pairwise

import pytest

from objectstore.core.rates import Window, parse_rate
from objectstore.ratelimit import memory
from objectstore.ratelimit.memory import MemoryLimiter

RATE = parse_rate("10/second")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def passed(limiter: MemoryLimiter, key: str = "token", rate: tuple[Window, ...] = RATE, times: int = 100) -> int:
    return sum(not limiter.count(key, rate).wait for _ in range(times))


def test_each_key_has_its_own_count() -> None:
    limiter = MemoryLimiter(clock=Clock())
    assert passed(limiter, "a") == 10
    assert passed(limiter, "a") == 0
    assert passed(limiter, "b") == 10


def test_all_windows_hold_and_one_that_is_used_up_leaves_the_others_alone() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    rate = parse_rate("10/second;15/hour")
    assert passed(limiter, rate=rate) == 10
    clock.now += 2
    assert passed(limiter, rate=rate) == 5


def test_a_verdict_tells_what_is_left_and_when_there_is_more() -> None:
    limiter = MemoryLimiter(clock=Clock())
    rate = (Window(8, 1),)  # whose eighths of a second no rounding changes
    assert limiter.count("token", rate) == (0.0, ((7, 0.125),))
    passed(limiter, rate=rate)
    assert limiter.count("token", rate) == (0.125, ((0, 0.125),))


def test_another_rate_for_a_key_goes_on_from_what_was_counted() -> None:
    limiter = MemoryLimiter(clock=Clock())
    passed(limiter)
    assert passed(limiter, rate=parse_rate("12/second;100/hour")) == 2
    assert passed(limiter, rate=RATE) == 0


def test_workers_divide_a_quota_evenly() -> None:
    clock = Clock()
    workers = [MemoryLimiter(workers=4, clock=clock) for _ in range(4)]
    few = parse_rate("2/second")
    assert sum(passed(worker) for worker in workers) == 8
    assert sum(passed(worker, "few", few) for worker in workers) == 4  # one each, or they would do nothing at all
    times: list[float] = []
    while len(times) < 10:
        clock.now += 0.01
        if passed(workers[0], "few", few, times=1):
            times.append(clock.now)
    assert [later - earlier for earlier, later in pairwise(times)] == [pytest.approx(2, abs=0.05)] * 9


def test_keys_that_do_not_matter_any_more_are_forgotten() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    most = 0
    for number in range(5 * memory._KEPT):
        clock.now += 0.001
        limiter.count(f"address {number}", RATE)
        most = max(most, len(limiter._known))
    assert most <= memory._KEPT
    for number in range(2 * memory._KEPT):  # all at once: none may be forgotten yet
        limiter.count(f"busy {number}", RATE)
    assert all(limiter.count(f"busy {number}", RATE).states[0][0] == 8 for number in (0, memory._KEPT))
