"""An object of a store in this process being read, chunk by chunk."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing
from typing import Final

from objectstore.backends.reading import chunks
from objectstore.errors import Corrupted
from objectstore.library.calls import Calls
from objectstore.values import Reading

_SHORT: Final = 64 * 1024  # bytes that are hashed sooner than a thread is asked


class AsyncStoreReader:
    """Bytes `start` to `stop` (end exclusive) of an object, all of one version; as the `AsyncReader` of the client.

    Raises (while iterating or reading):
        Corrupted: what is read is not what was stored.
    """

    def __init__(self, reading: Reading) -> None:
        self.info = reading.info
        self.start = reading.start  # bytes
        self.stop = reading.stop  # bytes
        self._chunks = self._checked(reading)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def read(self) -> bytes:
        """All that has not been read yet."""
        return b"".join([chunk async for chunk in self._chunks])

    async def aclose(self) -> None:
        await self._chunks.aclose()

    async def _checked(self, reading: Reading) -> AsyncGenerator[bytes, None]:
        expected = reading.info.digests.get("sha-256") if self.stop - self.start == self.info.size else None
        sha256 = hashlib.sha256()
        received = 0
        async with aclosing(chunks(reading)) as found:
            async for chunk in found:
                received += len(chunk)
                if expected is not None and len(chunk) > _SHORT:
                    await asyncio.to_thread(sha256.update, chunk)
                elif expected is not None:
                    sha256.update(chunk)
                yield chunk
        if received != self.stop - self.start:
            raise Corrupted(f"{received} bytes are there of the {self.stop - self.start} of {self.info.key!r}")
        if expected is not None and sha256.digest() != expected:
            raise Corrupted(
                f"what is stored under {self.info.key!r} has not the SHA-256 digest that it was stored with"
            )


class StoreReader:
    """As `AsyncStoreReader`, read with `for`; as the `Reader` of the client."""

    def __init__(self, reader: AsyncStoreReader, calls: Calls) -> None:
        self.info = reader.info
        self.start = reader.start  # bytes
        self.stop = reader.stop  # bytes
        self._reader = reader
        self._calls = calls
        self._chunks = self._iterated()

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def read(self) -> bytes:
        """All that has not been read yet."""
        return self._calls.run(self._reader.read())

    def close(self) -> None:
        self._chunks.close()
        self._calls.run(self._reader.aclose())

    def _iterated(self) -> Generator[bytes]:
        chunks = aiter(self._reader)
        while (chunk := self._calls.run(_next(chunks))) is not None:
            yield chunk


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
