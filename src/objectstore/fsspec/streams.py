"""Objects as files for coroutines, which read and write what they name and hold no blocks for later."""

from __future__ import annotations

import io
import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from objectstore.client.sources import Kept
from objectstore.fsspec.files import PART_SIZE
from objectstore.fsspec.translation import changed, translated
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, Bounded, Conditions
from objectstore.wire.replies import BegunUpload, UploadedPart

if TYPE_CHECKING:
    from objectstore.fsspec.filesystem import ObjectStoreFileSystem

Writing: TypeAlias = Literal["wb", "xb"]


class AsyncReading:
    """An object being read; `info` is its entry in a listing. All reads are of the version that it tells of."""

    def __init__(self, fs: ObjectStoreFileSystem, info: dict[str, Any]) -> None:
        self.info = info
        self.path: str = info["name"]
        self.size: int = info["size"]  # bytes
        self._fs = fs
        self._position = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("there is nothing before the start of a file")
        self._position = start + offset
        return self._position

    async def read(self, length: int = -1) -> bytes:
        """At most so many bytes from here on; all that are left for -1."""
        stop = self.size if length < 0 else min(self._position + length, self.size)
        if self._position >= stop:
            return b""
        with changed(self.path), translated(self.path):
            one_version = Conditions(if_match=(self.info["etag"],))
            wanted = Bounded(self._position, stop)
            data = await self._fs.client.get(self.path, range=wanted, conditions=one_version)
        self._position = stop
        return data

    async def close(self) -> None:
        pass


class AsyncWriting:
    """An object being written, which appears when it is closed, whole; an `async with` that fails stores nothing."""

    def __init__(self, fs: ObjectStoreFileSystem, path: str, mode: Writing, part_size: int | None, kept: Kept) -> None:
        self.path = path
        self.closed = False
        self._fs = fs
        self._conditions = ONLY_IF_ABSENT if mode == "xb" else UNCONDITIONAL
        self._part_size = part_size or PART_SIZE
        self._kept = kept
        self._buffer = io.BytesIO()
        self._begun: BegunUpload | None = None
        self._sent: list[UploadedPart] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None:
            await self.discard()
        await self.close()

    def tell(self) -> int:
        return sum(part.size for part in self._sent) + self._buffer.tell()

    async def write(self, data: bytes) -> int:
        if self.closed:
            raise ValueError("the file is closed")
        written = self._buffer.write(data)
        if self._buffer.tell() >= self._part_size:
            with translated(self.path):
                await self._send_part()
        return written

    async def flush(self) -> None:
        """Nothing: what was written appears on `close`."""

    async def close(self) -> None:
        if self.closed:
            return
        try:
            with translated(self.path):
                await self._store()
        except BaseException:
            await self.discard()
            raise
        self.closed = True
        self._fs.invalidate_cache(self.path)

    async def discard(self) -> None:
        """Close the file, store nothing, and take back what was sent."""
        self.closed = True
        begun, self._begun = self._begun, None
        if begun is not None:
            await self._fs.client.abort_upload(begun.upload_id)

    async def _store(self) -> None:
        client = self._fs.client
        if self._begun is None:
            data = self._buffer.getvalue()
            await client.put(self.path, data, conditions=self._conditions, **self._kept)
            return
        if self._buffer.tell():
            await self._send_part()
        await client.complete_upload(self._begun.upload_id, self._sent)

    async def _send_part(self) -> None:
        client = self._fs.client
        if self._begun is None:
            self._begun = await client.begin_upload(self.path, conditions=self._conditions, **self._kept)
        data = self._buffer.getvalue()
        self._sent.append(await client.put_part(self._begun.upload_id, len(self._sent) + 1, data))
        self._buffer = io.BytesIO()
