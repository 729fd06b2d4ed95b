"""What a caller gives to be stored, as a body that knows its size and digest and whether it can be sent again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from io import TextIOBase
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeAlias, TypedDict, cast

from objectstore.client.hashing import BesideSha256
from objectstore.errors import IncompleteBody
from objectstore.wire.requests import Source

Data: TypeAlias = bytes | bytearray | memoryview | BinaryIO | os.PathLike[str] | Iterable[bytes]
"""What can be stored: bytes, a binary file (from where it stands), a path, or chunks of bytes."""

AsyncData: TypeAlias = Data | AsyncIterable[bytes]
"""What can be stored: as `Data`, or chunks of bytes as they come."""

CHUNK: Final = 256 * 1024  # bytes read and sent at once
OF_TEXT: Final = "the file is open as text: open it with mode 'rb'"
_MEANT: Final = "bytes, a binary file, a pathlib.Path or chunks of bytes"


class Kept(TypedDict, total=False):
    """What may be said of an object beside its bytes, as keywords; the fields of `values.Attributes`."""

    content_type: str
    content_encoding: str
    content_disposition: str
    content_language: str
    cache_control: str
    metadata: Mapping[str, str]


class SyncSource(Source, Protocol):
    def chunks(self) -> Iterator[bytes | memoryview]:
        """The bytes from the first on."""
        ...


class AsyncSource(Source, Protocol):
    def achunks(self) -> AsyncIterator[bytes | memoryview]:
        """The bytes from the first on."""
        ...


class InHand:
    """Bytes in memory."""

    repeatable: Final = True

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = contiguous(data)
        self.size = self._view.nbytes
        self.sha256 = hashlib.sha256(self._view).digest()

    def whole(self) -> bytes:
        """All of it at once."""
        whole = self._view.obj
        return whole if isinstance(whole, bytes) and len(whole) == self.size else bytes(self._view)

    def chunks(self) -> Iterator[memoryview]:
        # In slices, since HTTP libraries copy what they send.
        return (self._view[at : at + CHUNK] for at in range(0, self.size, CHUNK))

    async def achunks(self) -> AsyncIterator[memoryview]:
        for chunk in self.chunks():
            yield chunk


class OpenFile:
    """A file that can be read again from where it stood, hashed while it is sent."""

    repeatable: Final = True

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self.size = size
        self.sha256: bytes | None = None

    def chunks(self) -> Iterator[bytes]:
        """Raises IncompleteBody: the file has become shorter or longer meanwhile."""
        self._file.seek(self._start)
        sha256 = BesideSha256()
        left = self.size
        while left:
            chunk = self._file.read(min(CHUNK, left))
            left -= len(chunk)
            # One that has grown is found out before its last announced byte is sent: the server is to store nothing.
            if not chunk or (not left and self._file.read(1)):
                raise IncompleteBody(self.size, self._file.seek(0, os.SEEK_END) - self._start)
            sha256.update(chunk)
            yield chunk
        self.sha256 = sha256.digest()

    async def achunks(self) -> AsyncIterator[bytes]:
        chunks = self.chunks()
        # A disk may take its time, and hashing does: neither is to hold up the event loop.
        while chunk := await asyncio.to_thread(next, chunks, b""):
            yield chunk


class Chunks:
    """Chunks that come once, hashed while they are sent."""

    size: Final = None

    def __init__(self, data: Iterable[bytes] | AsyncIterable[bytes]) -> None:
        self._data = data
        self._sha256 = BesideSha256()
        self.sha256: bytes | None = None
        self.repeatable = True  # until the first is asked for

    def chunks(self) -> Iterator[bytes]:
        self.repeatable = False
        for chunk in cast("Iterable[bytes]", self._data):  # an async one is iterated by `achunks`
            yield self._hashed(chunk)
        self.sha256 = self._sha256.digest()

    async def achunks(self) -> AsyncIterator[bytes]:
        self.repeatable = False
        if isinstance(self._data, AsyncIterable):
            async for chunk in self._data:
                yield self._hashed(chunk)
        else:
            for chunk in self._data:
                yield self._hashed(chunk)
        self.sha256 = self._sha256.digest()

    def _hashed(self, chunk: bytes) -> bytes:
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise TypeError(f"what is stored is made of bytes, not of {type(chunk).__name__}")
        data = bytes(chunk)  # a copy of what the caller may change once it goes on
        self._sha256.update(data)
        return data


class Parts:
    """A source cut into pieces of a chosen size."""

    def __init__(self, chunks: Any) -> None:
        # A plain or an async iterator of bytes: each client reads its own kind.
        self._chunks = chunks
        self._left = memoryview(b"")

    def take(self, size: int) -> InHand:
        """The next `size` bytes, fewer at the end."""
        taken = self._cut(size)
        while (need := size - sum(map(len, taken))) and (chunk := next(self._chunks, None)) is not None:
            self._left = memoryview(chunk)
            taken += self._cut(need)
        return InHand(b"".join(taken))

    async def atake(self, size: int) -> InHand:
        """As `take`."""
        taken = self._cut(size)
        while (need := size - sum(map(len, taken))) and (chunk := await anext(self._chunks, None)) is not None:
            self._left = memoryview(chunk)
            taken += self._cut(need)
        return await asyncio.to_thread(InHand, b"".join(taken))

    def _cut(self, size: int) -> list[memoryview]:
        piece, self._left = self._left[:size], self._left[size:]
        return [piece]


@contextmanager
def opened(data: Data) -> Iterator[SyncSource]:
    """The source for `data`. A path is opened and closed here; what the caller opened stays open."""
    if isinstance(data, bytes | bytearray | memoryview):
        yield InHand(data)
    elif isinstance(data, os.PathLike):
        with Path(data).open("rb") as file:
            yield _of_file(file)
    else:
        yield _of_file(cast("BinaryIO", data)) if hasattr(data, "read") else _of_chunks(data)


@asynccontextmanager
async def aopened(data: AsyncData) -> AsyncIterator[AsyncSource]:
    """As `opened`; what may take time is done in a thread."""
    if isinstance(data, bytes | bytearray | memoryview):
        small = memoryview(data).nbytes <= CHUNK
        yield InHand(data) if small else await asyncio.to_thread(InHand, data)
    elif isinstance(data, os.PathLike):
        with Path(data).open("rb") as file:  # noqa: ASYNC230  opening is quick, and in a thread a cancelled one would leak
            yield await asyncio.to_thread(_of_file, file)
    elif isinstance(data, AsyncIterable):
        yield Chunks(data)
    else:
        yield await asyncio.to_thread(_of_file, cast("BinaryIO", data)) if hasattr(data, "read") else _of_chunks(data)


def contiguous(data: bytes | bytearray | memoryview) -> memoryview:
    """The bytes, one by one and side by side, whatever shape they were given in."""
    view = memoryview(data) if memoryview(data).contiguous else memoryview(bytes(data))
    return view.cast("B") if view.nbytes else memoryview(b"")


def read_once(data: object) -> Iterator[bytes]:
    """The chunks of what cannot be read at any position: an iterable, or a file such as a pipe."""
    if isinstance(data, TextIOBase):
        raise TypeError(OF_TEXT)
    if hasattr(data, "read"):
        return iter(partial(cast("BinaryIO", data).read, CHUNK), b"")
    return _of_chunks(data).chunks()


def _of_file(file: BinaryIO) -> InHand | OpenFile | Chunks:
    if isinstance(cast("object", file), TextIOBase):
        raise TypeError(OF_TEXT)
    if not getattr(file, "seekable", bool)():
        return Chunks(iter(partial(file.read, CHUNK), b""))
    start = file.tell()
    head = _read(file, CHUNK + 1)
    if len(head) <= CHUNK:
        # All of it, whatever size the file system tells: those in /proc have none.
        return InHand(head)
    size = file.seek(0, os.SEEK_END) - start
    return OpenFile(file, start, size)


def _read(file: BinaryIO, size: int) -> bytes:
    # Unbuffered files give less than asked for when they like.
    found: list[bytes] = []
    while size and (chunk := file.read(size)):
        found.append(chunk)
        size -= len(chunk)
    return b"".join(found)


def _of_chunks(data: object) -> Chunks:
    if isinstance(data, str):
        raise TypeError(f"what is stored is {_MEANT}; for text say text.encode(), for a file pathlib.Path(name)")
    if isinstance(data, AsyncIterable):
        raise TypeError("AsyncRestStore takes chunks from an async iterator, RestStore does not")
    if not isinstance(data, Iterable):
        raise TypeError(f"what is stored is {_MEANT}, not {type(data).__name__}")
    return Chunks(data)
