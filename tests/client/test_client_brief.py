"""What is brief is done by the event loop, and what is not by threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from objectstore.client.brief import Briefly


def thread_of(times: Iterator[float], calls: int) -> list[bool]:
    """Whether each of the calls was made by the event loop, by a clock that tells these times."""

    async def make() -> list[bool]:
        briefly = Briefly(lambda: next(times))
        here = threading.get_ident()
        return [await briefly.make(threading.get_ident) == here for _ in range(calls)]

    return asyncio.run(make())


def test_brief_calls_are_made_by_the_loop() -> None:
    assert thread_of(iter([0.0, 0.001, 0.002, 0.005]), 2) == [True, True]


def test_a_disk_that_is_slow_is_left_to_threads_for_a_while() -> None:
    # 10 ms, of which there are eighty of rest, and then it is tried again.
    assert thread_of(iter([0.0, 0.010, 0.011, 0.089, 0.091, 0.092]), 4) == [True, False, False, True]


def test_what_a_slow_call_raises_is_raised() -> None:
    times = iter([0.0, 1.0, 1.5])

    def fail() -> None:
        raise FileNotFoundError(2, "gone")

    async def make() -> None:
        briefly = Briefly(lambda: next(times))
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await briefly.make(fail)

    asyncio.run(make())
