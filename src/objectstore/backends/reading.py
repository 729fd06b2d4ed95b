"""What an open reading holds, whichever of the three kinds of content it has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final, assert_never

from objectstore.errors import Corrupted
from objectstore.values import FileSpan, Inline, Reading, Streamed

BLOCK_SIZE: Final = 256 * 1024  # bytes read from a file at a time


async def chunks(reading: Reading) -> AsyncIterator[bytes]:
    """The bytes of the reading, as they come; iterated once, while the reading is open.

    Raises:
        Corrupted: the file ends before the span does.
    """
    match reading.content:
        case Inline(data):
            if data:
                yield data
        case FileSpan() as span:
            async for block in _blocks(span):
                yield block
        case Streamed(source):
            async for chunk in source:
                yield chunk
        case _:
            assert_never(reading.content)


async def read_all(reading: Reading) -> bytes:
    """All the bytes of the reading in memory: for objects known to be small. Raises as `chunks` does."""
    if isinstance(reading.content, Inline):
        return reading.content.data
    return b"".join([chunk async for chunk in chunks(reading)])


async def _blocks(span: FileSpan) -> AsyncIterator[bytes]:
    at = span.start
    while at < span.stop:
        block = await asyncio.to_thread(os.pread, span.fd, min(BLOCK_SIZE, span.stop - at), at)
        if not block:
            raise Corrupted(f"a stored file ends {span.stop - at} bytes before the object does")
        at += len(block)
        yield block
