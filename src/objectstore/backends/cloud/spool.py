"""A piece of a body on the disk, so that memory stays flat however many bodies are on their way."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from types import TracebackType
from typing import IO, Final, Self

from objectstore.backends.finishing import to_its_end
from objectstore.errors import StorageFull

_BLOCK: Final = 256 * 1024  # bytes read at a time


class Spool:
    """An unnamed temporary file, opened by `async with`; it may be read several times once it is written.

    Who is cancelled waits for the thread that opens, writes or reads, so that the file is never closed under it.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self.size = 0  # bytes

    async def __aenter__(self) -> Self:
        try:
            await to_its_end(asyncio.to_thread(self._open))
        except asyncio.CancelledError:
            self._close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    @property
    def sha256(self) -> str:
        """Of what it holds, in hex: what a signature covers."""
        return self._hash.hexdigest()

    async def add(self, data: bytes) -> None:
        """Append. Raises StorageFull."""
        await to_its_end(asyncio.to_thread(self._append, data))

    def clear(self) -> None:
        """Hold nothing, and begin anew."""
        self.file.seek(0)
        self.file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at = 0
        while at < self.size:
            block = await to_its_end(asyncio.to_thread(self._read, at))
            at += len(block)
            yield block

    @property
    def file(self) -> IO[bytes]:
        if self._file is None:
            raise RuntimeError("a spool is to be opened with `async with`")
        return self._file

    def _open(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed when the spool is

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError as error:
            raise StorageFull("the folder for temporary files has no room for a body on its way") from error
        self._hash.update(data)
        self.size += len(data)

    def _read(self, at: int) -> bytes:
        self.file.seek(at)
        return self.file.read(_BLOCK)
