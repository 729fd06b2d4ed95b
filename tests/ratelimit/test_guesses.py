from __future__ import annotations

import asyncio
import logging

import pytest

from objectstore.core.rates import parse_rate
from objectstore.ratelimit import guesses as module
from objectstore.ratelimit.guesses import Guesses
from objectstore.ratelimit.memory import MemoryLimiter

RATE = parse_rate("3/minute")


class Clock:
    now = 120.0

    def __call__(self) -> float:
        return self.now


def test_an_address_is_shut_out_after_too_many_failures_for_as_long_as_it_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    guesses = Guesses(MemoryLimiter(clock=clock), RATE, clock=clock)

    async def scenario() -> None:
        assert [await guesses.failed("a") for _ in range(3)] == [0.0, 0.0, 0.0]
        assert not guesses.any_shut_out()
        wait = await guesses.failed("a")
        assert wait > 0
        assert guesses.wait("a") == wait
        assert guesses.wait("b") == 0
        clock.now += wait - 1
        assert guesses.wait("a") == pytest.approx(1)
        clock.now += 1
        assert guesses.wait("a") == 0
        assert not guesses.any_shut_out()

    with caplog.at_level(logging.WARNING, "objectstore.limits"):
        asyncio.run(scenario())
    assert [record.getMessage().split()[0] for record in caplog.records] == ["a"]


def test_a_flood_of_addresses_is_not_all_remembered() -> None:
    clock = Clock()
    guesses = Guesses(MemoryLimiter(clock=clock), parse_rate("1/minute"), clock=clock)

    async def flood() -> None:
        for number in range(module._MOST + 100):
            await guesses.failed(str(number))
            await guesses.failed(str(number))

    asyncio.run(flood())
    assert len(guesses._until) <= module._MOST
    assert guesses.wait(str(module._MOST + 99)) > 0
