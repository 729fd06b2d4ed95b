"""The body of an upload, put together while parts of it still arrive.

The digest of a whole does not follow from the digests of its parts: all of them are to be read, hashed and written once
more. Done at the end, whoever completes a large upload would wait for that, about a second a GiB, and a proxy on the
way might not. So a process takes in the parts that follow the first as soon as they are committed, and leaves only
the rest to the completion.

This is a head start, and nothing rests on it. When the completion names other parts than were taken in, when it comes
to another process, or when anything failed, what was begun is dropped, and all parts are read then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from objectstore.backends.engine.index import Index
from objectstore.backends.engine.intake import Intake, Taken
from objectstore.backends.engine.parts import PartReader
from objectstore.backends.engine.rows import PartRow, UploadRow, decode_digests

_MOST: Final = 4  # in a process at the same time: each holds some blocks and, now and then, two of the threads


class Assemblies:
    """What this process assembles. Used on its event loop."""

    def __init__(self, index: Index, intake: Intake, reader: PartReader, idle: float) -> None:
        """`idle`: seconds without a new part after which one is dropped."""
        self._index = index
        self._intake = intake
        self._reader = reader
        self._idle = idle
        self._running: dict[str, _Assembly] = {}

    def arrived(self, upload: UploadRow, number: int) -> None:
        """A part has been committed. Does not wait."""
        running = self._running.get(upload.id)
        if running is not None:
            running.look()
        elif number <= 2 and len(self._running) < _MOST and self._has_two(upload.id):
            # An only part becomes the object as it is. And one that was dropped does not begin again at the first.
            self._running[upload.id] = assembly = _Assembly(upload, self._index, self._intake, self._reader, self._idle)
            assembly.task.add_done_callback(lambda _: self._running.pop(upload.id))

    async def finish(self, upload_id: str, parts: Sequence[PartRow]) -> Taken | None:
        """The body that these parts make; None when all of them are still to be read."""
        assembly = self._running.get(upload_id)
        return None if assembly is None else await assembly.finish(parts)

    def drop(self, upload_id: str) -> None:
        """The upload is over, or nobody knows it."""
        assembly = self._running.get(upload_id)
        if assembly is not None:
            assembly.task.cancel()

    async def close(self) -> None:
        """Drop all."""
        tasks = [assembly.task for assembly in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _has_two(self, upload_id: str) -> bool:
        return all(self._index.part(upload_id, number) is not None for number in (1, 2))


class _Assembly:
    """That of one upload."""

    def __init__(self, upload: UploadRow, index: Index, intake: Intake, reader: PartReader, idle: float) -> None:
        self._upload = upload
        self._index = index
        self._intake = intake
        self._reader = reader
        self._idle = idle
        self._begun: list[int] = []  # the changes that stored the parts which are taken in
        self._named: Sequence[PartRow] | None = None  # by the completion
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._take())
        self.task.add_done_callback(_forgive)

    def look(self) -> None:
        """There may be a part that follows."""
        self._news.set()

    async def finish(self, parts: Sequence[PartRow]) -> Taken | None:
        """The body of just these parts, or None, when this is dropped."""
        if [part.seq for part in parts[: len(self._begun)]] != self._begun:
            self.task.cancel()
        self._named = parts
        self._news.set()
        await asyncio.wait([self.task])
        # When it failed, the parts tell better why: they are read then.
        return None if self.task.cancelled() or self.task.exception() else self.task.result()

    async def _take(self) -> Taken:
        expected = decode_digests(self._upload.expected)
        algorithms = frozenset(json.loads(self._upload.digests or "[]"))
        async with aclosing(self._body()) as body:
            return await self._intake.take(body, None, expected, algorithms)

    async def _body(self) -> AsyncGenerator[bytes, None]:
        while (part := await self._next()) is not None:
            self._begun.append(part.seq)
            async with aclosing(self._reader.read([part])) as blocks:
                async for block in blocks:
                    yield block

    async def _next(self) -> PartRow | None:
        """The part that follows those begun; None after the last."""
        at = len(self._begun)
        while self._named is None:
            self._news.clear()
            part = self._index.part(self._upload.id, at + 1)
            if part is not None:
                return part
            async with asyncio.timeout(self._idle):
                await self._news.wait()
        return self._named[at] if at < len(self._named) else None


def _forgive(task: asyncio.Task[Taken]) -> None:
    # A failure that nobody takes would be logged as a defect.
    if not task.cancelled():
        task.exception()
