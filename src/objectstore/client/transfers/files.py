"""Objects as files for code that blocks: whatever takes a binary file takes these."""

from __future__ import annotations

import io
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from objectstore.client.drivers import Driver
from objectstore.client.readers import Reader
from objectstore.client.transfers.windows import Window
from objectstore.client.transfers.writing import Writing, gone
from objectstore.errors import NotFound, PreconditionFailed
from objectstore.values import Bounded, ByteRange, Conditions, ObjectInfo
from objectstore.wire import flows

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class ObjectRaw(io.RawIOBase):
    """An object of one version, read by ranges; the raw side of what `open` gives for reading.

    Raises:
        PreconditionFailed (while reading): the object was overwritten or deleted since it was opened.
    """

    mode = "rb"

    def __init__(self, driver: Driver, info: ObjectInfo, read_ahead: int) -> None:
        super().__init__()
        self.info = info
        self.name = info.key
        self._driver = driver
        self._window = Window(info, read_ahead)
        self._same = Conditions(if_match=(info.etag,))
        self._reader: Reader | None = None
        self._reached = 0  # by the reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._window.position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._window.seek(offset, whence)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._check_open()
        with memoryview(buffer).cast("B") as view:
            wanted = min(len(view), self._window.left)
            if not wanted:
                return 0
            found = self._window.take(wanted)
            if not found:
                self._fetch(wanted)
                found = self._window.take(wanted)
            view[: len(found)] = found
            return len(found)

    def readall(self) -> bytes:
        self._check_open()
        found: list[bytes] = []
        while left := self._window.left:
            if chunk := self._window.take(left):
                found.append(bytes(chunk))
            else:
                self._fetch(left)
        return b"".join(found)

    def close(self) -> None:
        if not self.closed:
            self._leave()
        super().close()

    def _fetch(self, wanted: int) -> None:
        window = self._window
        try:
            if self._reader is None or self._reached != window.position:
                self._leave()
                asked = window.wanted(wanted)
                if isinstance(asked, Bounded):
                    window.feed(self._driver.run(flows.get(self.info.key, asked, self._same, self._driver.retries)))
                    return
                self._reader = self._open(asked)
            chunk = next(iter(self._reader))
        except (NotFound, PreconditionFailed) as error:
            raise PreconditionFailed(self.info.key, gone(self.info.key)) from error
        window.feed(chunk)
        self._reached = window.position + len(chunk)

    def _open(self, asked: ByteRange) -> Reader:
        found = self._driver.run(flows.open_object(self.info.key, asked, self._same, self._driver.retries))
        return Reader(self._driver, *found)

    def _leave(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file")


class ObjectWriter(io.BufferedIOBase):
    """An object being written, from front to back. Closing makes it visible, as a whole.

    It is dropped by an exception in its `with`, by `discard`, and when it is collected without having been closed.
    """

    mode = "wb"

    def __init__(self, driver: Driver, writing: Writing) -> None:
        super().__init__()
        self.name = writing.key
        self.info: ObjectInfo | None = None  # once it is closed
        self._driver = driver
        self._writing = writing
        self._open = True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._writing.size

    def write(self, data: ReadableBuffer, /) -> int:
        """All of `data`. When it cannot be sent, what was written before is still there."""
        self._check_open()
        writing = self._writing
        with memoryview(data) as given:
            view = given.cast("B") if given.contiguous else memoryview(bytes(given))
            at = 0
            while at < len(view):
                if writing.is_full:
                    self._driver.run(writing.send())
                at += writing.add(view[at:])
            return at

    def flush(self) -> None:
        """Nothing: it is not visible before it is closed."""

    def close(self) -> None:
        """Make the object visible. When that fails nothing is stored, and the file is closed all the same.

        Raises:
            AlreadyExists, PreconditionFailed: the conditions do not hold.
        """
        if self._open:
            self._open = False
            try:
                self.info = self._driver.run(self._writing.finish())
            finally:
                super().close()

    def discard(self) -> None:
        """Close it without storing anything."""
        if self._open:
            self._open = False
            try:
                self._driver.run(self._writing.drop())
            finally:
                super().close()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        # A file would keep what was written of it; half an object is none. The store may be closed already.
        with suppress(Exception):
            self.discard()

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError("I/O operation on closed file")
