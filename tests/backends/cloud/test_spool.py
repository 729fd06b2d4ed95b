"""A piece of a body on the disk: what is left of it when somebody is cancelled."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from typing import IO, Any

import pytest

from objectstore.backends.cloud.spool import Spool


def test_who_is_cancelled_while_it_is_opened_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[IO[bytes]] = []
    opening, go_on = threading.Event(), threading.Event()
    make = tempfile.TemporaryFile

    def slow(**options: Any) -> IO[bytes]:
        opening.set()
        assert go_on.wait(60)
        opened.append(make(**options))
        return opened[0]

    async def use() -> None:
        async with Spool():
            pytest.fail("it was cancelled before")

    async def run() -> None:
        task = asyncio.create_task(use())
        await asyncio.to_thread(opening.wait, 60)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(tempfile, "TemporaryFile", slow)
    asyncio.run(run())
    assert [file.closed for file in opened] == [True]


def test_who_is_cancelled_while_it_writes_closes_the_file_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = threading.Event(), threading.Event()
    append = Spool._append
    wrote: list[int] = []

    def slow(spool: Spool, data: bytes) -> None:
        writing.set()
        assert go_on.wait(60)
        append(spool, data)  # not into a file that is closed
        wrote.append(spool.size)

    async def use() -> None:
        async with Spool() as spool:
            await spool.add(b"body")

    async def run() -> None:
        task = asyncio.create_task(use())
        await asyncio.to_thread(writing.wait, 60)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    monkeypatch.setattr(Spool, "_append", slow)
    asyncio.run(run())
    assert wrote == [4]
