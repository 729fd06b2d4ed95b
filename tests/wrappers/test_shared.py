from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.errors import ConfigurationError
from objectstore.wrappers.shared import Shared


class Counting(MemoryBackend):
    """Tells how often it was opened and closed; opening fails and waits as told."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.opened = 0
        self.closed = 0
        self.opening = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __aenter__(self) -> Self:
        self.opening.set()
        await self.go_on.wait()
        if self.failures:
            self.failures -= 1
            raise ConfigurationError("it cannot be opened")
        self.opened += 1
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closed += 1


def test_the_first_opens_and_the_last_closes() -> None:
    async def scenario() -> None:
        inner = Counting()
        shared = Shared(inner)
        async with shared:
            async with shared:
                await shared.put("key", b"1")
            assert (inner.opened, inner.closed) == (1, 0)
            assert (await shared.head("key")).size == 1
        assert (inner.opened, inner.closed) == (1, 1)
        async with shared:
            assert inner.opened == 2
        assert inner.closed == 2

    asyncio.run(scenario())


def test_those_who_come_at_the_same_time_open_it_once() -> None:
    async def scenario() -> None:
        inner = Counting()
        inner.go_on.clear()
        shared = Shared(inner)
        entering = [asyncio.create_task(shared.__aenter__()) for _ in range(5)]
        await inner.opening.wait()
        inner.go_on.set()
        await asyncio.gather(*entering)
        assert inner.opened == 1
        await asyncio.gather(*(shared.__aexit__(None, None, None) for _ in entering))
        assert inner.closed == 1

    asyncio.run(scenario())


def test_a_failure_to_open_leaves_nothing_open_and_may_be_tried_again() -> None:
    async def scenario() -> None:
        inner = Counting(failures=1)
        shared = Shared(inner)
        with pytest.raises(ConfigurationError):
            await shared.__aenter__()
        assert (inner.opened, inner.closed) == (0, 0)
        async with shared:
            assert inner.opened == 1
        assert inner.closed == 1

    asyncio.run(scenario())


def test_one_who_is_cancelled_while_he_waits_has_not_opened_it() -> None:
    async def scenario() -> None:
        inner = Counting()
        inner.go_on.clear()
        shared = Shared(inner)
        first = asyncio.create_task(shared.__aenter__())
        await inner.opening.wait()
        second = asyncio.create_task(shared.__aenter__())
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        inner.go_on.set()
        await first
        await shared.__aexit__(None, None, None)
        assert (inner.opened, inner.closed) == (1, 1)

    asyncio.run(scenario())


def test_it_is_known_by_the_name_of_what_it_shares() -> None:
    assert Shared(MemoryBackend()).capabilities == MemoryBackend().capabilities
