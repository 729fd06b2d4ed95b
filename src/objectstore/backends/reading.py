"""What an open reading holds, whichever of the three kinds of content it has."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final, assert_never

from objectstore.errors import Corrupted
from objectstore.values import FileSpan, Inline, Reading, Streamed

BLOCK_SIZE: Final = 256 * 1024  # bytes read from a file at a time
_FEW: Final = 16  # files read at once; each of more is read by half as much, since all those blocks are held
_under_way: Final[set[int]] = set()  # descriptors of files that are being read
_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)  # Linux


async def chunks(reading: Reading) -> AsyncGenerator[bytes, None]:
    """The bytes of the reading, as they come; iterated once, while the reading is open.

    Raises:
        Corrupted: the file ends before the span does.
    """
    match reading.content:
        case Inline(data):
            if data:
                yield data
        case FileSpan() as span:
            async with aclosing(_blocks(span)) as blocks:
                async for block in blocks:
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


async def _blocks(span: FileSpan) -> AsyncGenerator[bytes, None]:
    at = span.start
    _under_way.add(span.fd)
    try:
        while at < span.stop:
            size = BLOCK_SIZE if len(_under_way) <= _FEW else BLOCK_SIZE // 2
            block = await _read(span.fd, min(size, span.stop - at), at)
            if not block:
                raise Corrupted(f"a stored file ends {span.stop - at} bytes before the object does")
            at += len(block)
            yield block
    finally:
        _under_way.discard(span.fd)


async def _read(fd: int, size: int, at: int) -> bytes:
    """Up to `size` bytes: on the loop when the kernel has them in memory, in a thread when the disk must be asked."""
    try:
        if _NOWAIT is not None:
            with suppress(BlockingIOError):
                return _read_cached(fd, size, at, _NOWAIT)
        return await asyncio.to_thread(os.pread, fd, size, at)
    except OSError as error:
        raise Corrupted("a stored file cannot be read") from error


def _read_cached(fd: int, size: int, at: int, flags: int) -> bytes:
    buffer = bytearray(size)
    try:
        count = os.preadv(fd, [buffer], at, flags)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}:
            # This file system cannot tell; another thread may wait for it.
            raise BlockingIOError from error
        raise
    return bytes(buffer if count == size else memoryview(buffer)[:count])
