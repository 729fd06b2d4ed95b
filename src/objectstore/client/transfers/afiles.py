"""Objects as files for code that awaits. What the methods do, and raise, is told by `files`."""

from __future__ import annotations

import io
from types import TracebackType
from typing import TYPE_CHECKING, Self

from objectstore.client.drivers import AsyncDriver
from objectstore.client.readers import AsyncReader
from objectstore.client.transfers.windows import Window
from objectstore.client.transfers.writing import Writing, gone
from objectstore.errors import NotFound, PreconditionFailed
from objectstore.values import Bounded, ByteRange, Conditions, ObjectInfo
from objectstore.wire import flows

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class AsyncObjectReader:
    """An object of one version, read by ranges, ahead of who reads it from front to back."""

    mode = "rb"

    def __init__(self, driver: AsyncDriver, info: ObjectInfo, read_ahead: int) -> None:
        self.info = info
        self.name = info.key
        self.closed = False
        self._driver = driver
        self._window = Window(info, read_ahead)
        self._same = Conditions(if_match=(info.etag,))
        self._reader: AsyncReader | None = None
        self._reached = 0  # by the reader

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def read(self, size: int = -1) -> bytes:
        """That many bytes, fewer only at the end; all that are left when it is negative."""
        self._check_open()
        left = self._window.left if size < 0 else min(size, self._window.left)
        found: list[bytes] = []
        while left:
            if chunk := self._window.take(left):
                found.append(bytes(chunk))
                left -= len(chunk)
            else:
                await self._fetch(left)
        return b"".join(found)

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new position."""
        self._check_open()
        return self._window.seek(offset, whence)

    async def tell(self) -> int:
        self._check_open()
        return self._window.position

    async def close(self) -> None:
        self.closed = True
        await self._leave()

    async def _fetch(self, wanted: int) -> None:
        window = self._window
        try:
            if self._reader is None or self._reached != window.position:
                await self._leave()
                asked = window.wanted(wanted)
                if isinstance(asked, Bounded):
                    flow = flows.get(self.info.key, asked, self._same, self._driver.retries)
                    window.feed(await self._driver.run(flow))
                    return
                self._reader = await self._open(asked)
            chunk = await anext(aiter(self._reader))
        except (NotFound, PreconditionFailed) as error:
            raise PreconditionFailed(self.info.key, gone(self.info.key)) from error
        window.feed(chunk)
        self._reached = window.position + len(chunk)

    async def _open(self, asked: ByteRange) -> AsyncReader:
        found = await self._driver.run(flows.open_object(self.info.key, asked, self._same, self._driver.retries))
        return AsyncReader(self._driver, *found)

    async def _leave(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.aclose()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


class AsyncObjectWriter:
    """An object being written, from front to back; as `ObjectWriter`. One that is never closed is not stored."""

    mode = "wb"

    def __init__(self, driver: AsyncDriver, writing: Writing) -> None:
        self.name = writing.key
        self.info: ObjectInfo | None = None  # once it is closed
        self.closed = False
        self._driver = driver
        self._writing = writing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is None:
            await self.close()
        else:
            await self.discard()

    async def tell(self) -> int:
        self._check_open()
        return self._writing.size

    async def write(self, data: ReadableBuffer) -> int:
        self._check_open()
        writing = self._writing
        with memoryview(data) as given:
            view = given.cast("B") if given.contiguous else memoryview(bytes(given))
            at = 0
            while at < len(view):
                if writing.is_full:
                    await self._driver.run(writing.send())
                at += writing.add(view[at:])
            return at

    async def close(self) -> None:
        """Make the object visible; as `ObjectWriter.close`."""
        if not self.closed:
            self.closed = True
            self.info = await self._driver.run(self._writing.finish())

    async def discard(self) -> None:
        """Close it without storing anything."""
        if not self.closed:
            self.closed = True
            await self._driver.run(self._writing.drop())

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")
