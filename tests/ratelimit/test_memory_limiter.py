from __future__ import annotations

from itertools import pairwise

from objectstore.core.rates import Window, parse_rate
from objectstore.ratelimit import memory
from objectstore.ratelimit.memory import MemoryLimiter, shared

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


def test_all_windows_hold_and_one_that_is_full_leaves_the_others_uncounted() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    rate = parse_rate("10/second;15/minute")
    assert passed(limiter, rate=rate) == 10
    clock.now += 2
    assert passed(limiter, rate=rate) == 5


def test_a_verdict_tells_what_is_left_and_until_when() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    clock.now += 0.25
    assert limiter.count("token", RATE) == (0.0, ((9, 0.75),))
    passed(limiter)
    verdict = limiter.count("token", RATE)
    assert verdict.wait == verdict.states[0][1] == 0.85  # three quarters of a second, and a tenth of the next one
    assert verdict.states[0][0] == 0


def test_another_rate_for_a_key_goes_on_from_what_was_counted() -> None:
    limiter = MemoryLimiter(clock=Clock())
    passed(limiter)
    assert passed(limiter, rate=parse_rate("12/second;100/hour")) == 2
    assert passed(limiter, rate=RATE) == 0


def test_workers_divide_a_quota_evenly() -> None:
    clock = Clock()
    workers = [MemoryLimiter(workers=4, clock=clock) for _ in range(4)]
    rates = [parse_rate("10/second"), parse_rate("2/second")]
    for rate, total in zip(rates, [8, 4], strict=True):
        clock.now += 100
        assert sum(passed(worker, str(rate), rate) for worker in workers) == total
    # In the long run a share is kept to the fraction: here half a request in a second.
    assert shared(2, 1, 4) == (1.0, 2.0)
    assert shared(10, 1, 4) == (2.5, 1)
    times = [clock.now]
    while len(times) < 20:
        clock.now += 0.01
        if passed(workers[0], str(rates[1]), rates[1], times=1):
            times.append(clock.now)
    assert all(later - earlier > 1.9 for earlier, later in pairwise(times[1:]))


def test_keys_that_do_not_matter_any_more_are_forgotten() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    most = 0
    for number in range(5 * memory._KEPT):
        clock.now += 0.001
        limiter.count(f"address {number}", RATE)
        most = max(most, len(limiter._counters))
    assert most <= memory._KEPT
    for number in range(2 * memory._KEPT):  # all at once: none may be forgotten yet
        limiter.count(f"busy {number}", RATE)
    assert all(limiter.count(f"busy {number}", RATE).states[0][0] == 8 for number in (0, memory._KEPT))
