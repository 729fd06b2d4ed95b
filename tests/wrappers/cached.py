"""Caches for tests: stores that wait until they may, and clocks that are set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from objectstore.backends import reading as readings
from objectstore.backends.contract import Backend
from objectstore.values import Body, GetOptions, ObjectInfo, PutOptions, Reading, Streamed
from objectstore.wrappers.forwarding import GET, PUT, Forwarding


class Clock:
    """Stands still."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Gated(Forwarding):
    """A store of streams, whose readings begin, and go on after their first chunk, when they may."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, name=inner.capabilities.name)
        self.opens, self.flows = asyncio.Event(), asyncio.Event()
        self.opens.set()
        self.flows.set()
        self.opened = 0  # readings
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        self.opened += 1
        self.asked.set()
        await self.opens.wait()
        async with super().get(key, options) as reading:
            yield replace(reading, content=Streamed(self._chunks(reading)))

    async def _chunks(self, reading: Reading) -> AsyncIterator[bytes]:
        async for block in readings.chunks(reading):
            for at in range(0, len(block), 64 * 1024):
                yield block[at : at + 64 * 1024]
                await self.flows.wait()


class Slow(Forwarding):
    """A store that acknowledges what is put when it may; `come` is set when a body is there."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, name=inner.capabilities.name)
        self.come, self.may = asyncio.Event(), asyncio.Event()

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        info = await super().put(key, body, options)
        self.come.set()
        await self.may.wait()
        return info


async def turns(count: int = 200) -> None:
    """Let everything go on that can."""
    for _ in range(count):
        await asyncio.sleep(0)
