"""Objects as files: read in blocks, written in parts."""

from __future__ import annotations

import errno
import io
import sys
import warnings
from collections import deque
from concurrent.futures import Future
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from fsspec.spec import AbstractBufferedFile

from objectstore.client.sources import Kept
from objectstore.errors import ObjectStoreError
from objectstore.fsspec.translation import changed, translated
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, Bounded, Conditions
from objectstore.wire.replies import BegunUpload, UploadedPart

if TYPE_CHECKING:
    from objectstore.fsspec.filesystem import ObjectStoreFileSystem

PART_SIZE: Final = 8 * 1024 * 1024  # bytes of a part, to begin with
_AHEAD: Final = 4  # parts on their way while the next one is filled
_GROWTH: Final = 1000  # parts after which they become twice as large: there are 10 000 at most


class ObjectFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An object being read, or written.

    What is written appears when the file is closed, at once and whole. A `with` that ends with an error stores
    nothing, be it of the file or of what closes it, nor does a file that is never closed. Reads are of one version of
    the object: when it is overwritten meanwhile, they fail.
    """

    fs: ObjectStoreFileSystem
    path: str
    mode: str
    buffer: io.BytesIO
    blocksize: int  # bytes
    closed: bool

    def __init__(
        self,
        fs: ObjectStoreFileSystem,
        path: str,
        mode: str = "rb",
        block_size: int | str | None = None,
        autocommit: bool = True,
        cache_type: str = "readahead",
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        details: dict[str, Any] | None = None,
        conditions: Conditions = UNCONDITIONAL,
        kept: Kept | None = None,
    ) -> None:
        self._before = sys.exception()
        self._conditions = ONLY_IF_ABSENT if mode == "xb" else conditions
        self._kept: Kept = kept or {}
        self._details = details
        self._begun: BegunUpload | None = None
        self._sending: deque[Future[UploadedPart]] = deque()
        self._sent: list[UploadedPart] = []
        self._ready = False  # all parts have arrived, and wait for `commit`
        self.muted = False  # nothing is stored any more, and who still has something to write is not to notice
        if mode != "rb" and block_size in {None, "default"}:
            block_size = PART_SIZE
        super().__init__(fs, path, mode, block_size, autocommit, cache_type, cache_options, size)
        if mode == "rb" and self.details["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "this is a folder, not an object", path)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None:
            self.drop()
        self.close()

    def __del__(self) -> None:
        # Nothing can be waited for here, and half of an object is none.
        if not self.closed and self.mode != "rb":
            warnings.warn(f"{self.path!r} was written to and never closed: nothing is stored", ResourceWarning, 2)
        self.closed = True

    def write(self, data: Any) -> int:
        """Append bytes. Raises what sending those before them raised, and ValueError: it is closed, or being read."""
        if self.muted:
            return memoryview(data).nbytes
        return int(super().write(data))

    def close(self) -> None:
        """Store what was written. Raises what storing it raised, and then nothing is stored."""
        if not self.closed and self.mode != "rb" and _block_failed(self._before):
            self.drop()
        super().close()

    def drop(self) -> None:
        """Close the file and store nothing."""
        if not self.closed and self.mode != "rb":
            self.closed = True
            self.discard()

    def commit(self) -> None:
        """Let what was written appear; for transactions, after `close`."""
        begun = self._begun
        if not self._ready or begun is None:
            return
        with translated(self.path):
            self.fs.wait(self.fs.client.complete_upload, begun.upload_id, self._sent)
        self._begun = None
        self.fs.invalidate_cache(self.path)

    def discard(self) -> None:
        """Take back what was sent."""
        for part in self._sending:
            part.cancel()
        self._sending.clear()
        begun, self._begun = self._begun, None
        if begun is not None:
            try:
                self.fs.wait(self.fs.client.abort_upload, begun.upload_id)
            except ObjectStoreError:
                # It expires by itself, and an earlier error is the one to tell of.
                return

    def _fetch_range(self, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        one_version = Conditions(if_match=(self.details["etag"],)) if self.details.get("etag") else UNCONDITIONAL
        with changed(self.path), translated(self.path):
            return self.fs.wait(self.fs.client.get, self.path, range=Bounded(start, end), conditions=one_version)

    def _initiate_upload(self) -> None:
        pass  # what is small needs none

    def _upload_chunk(self, final: bool = False) -> bool:
        try:
            with translated(self.path):
                self._send(self.buffer.getvalue(), final=final)
        except BaseException:
            self.drop()
            raise
        if self._begun is not None and len(self._sent) + len(self._sending) >= _GROWTH:
            self.blocksize = max(self.blocksize, PART_SIZE * 2 ** ((len(self._sent) + len(self._sending)) // _GROWTH))
        return True

    def _send(self, data: bytes, *, final: bool) -> None:
        client = self.fs.client
        if self._begun is None and final and self.autocommit:
            self.fs.wait(client.put, self.path, data, conditions=self._conditions, **self._kept)
            return
        if self._begun is None:
            self._begun = self.fs.wait(client.begin_upload, self.path, conditions=self._conditions, **self._kept)
        number = len(self._sent) + len(self._sending) + 1
        if data or number == 1:
            self._sending.append(self.fs.start(client.put_part(self._begun.upload_id, number, data)))
        while self._sending and (final or len(self._sending) > _AHEAD):
            self._sent.append(self._sending.popleft().result())
        if final:
            self._ready = True
            if self.autocommit:
                self.commit()


class TextFile(io.TextIOWrapper):
    """Text in an object; a `with` that ends with an error stores nothing."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None and isinstance(self.buffer, ObjectFile | CompressedFile):
            self.buffer.drop()
        super().__exit__(exc_type, exc, traceback)


class CompressedFile(io.BufferedIOBase):
    """An object read or written through a codec, which is closed with it; the codecs of fsspec leave it open."""

    def __init__(self, codec: Any, inner: ObjectFile) -> None:
        self._codec = codec
        self._inner = inner

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None:
            self.drop()
        self.close()

    def drop(self) -> None:
        self._inner.drop()
        self._inner.muted = True

    def close(self) -> None:
        if not self.closed:
            # A codec that is not closed writes what it holds back when it is collected.
            self._inner.muted = self._inner.muted or self._inner.closed
            self._codec.close()
            self._inner.close()
        super().close()

    def readable(self) -> bool:
        return self._inner.mode == "rb"

    def writable(self) -> bool:
        return self._inner.mode != "rb"

    def seekable(self) -> bool:
        return bool(self._codec.seekable())

    def read(self, size: int | None = -1) -> bytes:
        data: bytes = self._codec.read(-1 if size is None else size)
        return data

    def read1(self, size: int = -1) -> bytes:
        return self.read(size)

    def write(self, data: Any) -> int:
        written: int = self._codec.write(data)
        return written

    def seek(self, offset: int, whence: int = 0) -> int:
        position: int = self._codec.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self._codec.tell()
        return position


def _block_failed(before: BaseException | None) -> bool:
    """Whether the file is closed because a `with` around it failed, other than by the error `before`.

    `fsspec.open`, pandas and the writers of pyarrow close their files in the same way whether the block ended or
    failed. What they were told of is in their frames.
    """
    error = sys.exception()
    if error is None or error is before:
        return False
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  nothing else tells
    while frame is not None:
        if frame.f_code.co_name == "__exit__" and _was_told(frame, error):
            return True
        frame = frame.f_back
    return False


def _was_told(frame: FrameType, error: BaseException) -> bool:
    values = frame.f_locals.values()
    return any(value is error or (isinstance(value, tuple) and any(one is error for one in value)) for value in values)
