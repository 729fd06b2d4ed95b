"""The backend of one archive: its directory is in memory, what waits for a disk or decompresses runs in threads."""

from __future__ import annotations

import asyncio
import os
import secrets
import zipfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar
from zipfile import ZipExtFile, ZipInfo

from objectstore.backends import reading
from objectstore.backends.contract import Uploads
from objectstore.backends.filesystem.backend import FilesystemBackend
from objectstore.backends.filesystem.failures import translating as translating_files
from objectstore.backends.spool import BLOCK_SIZE, Spool
from objectstore.backends.staged import StagedUploads
from objectstore.backends.threads import finished
from objectstore.backends.zip.archive import NAME, Addition, Archive, refuse_taken
from objectstore.backends.zip.decoding import DAMAGED, begin_of, damaged, decoded, refuse_unreadable
from objectstore.backends.zip.directory import Directory, OpenFile
from objectstore.backends.zip.entries import info_of
from objectstore.core.attributes import check_attributes
from objectstore.core.conditions import check_read
from objectstore.core.digests import check_digests
from objectstore.core.ranges import resolve
from objectstore.core.streams import sized
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InvalidKey,
    MethodNotAllowed,
    ObjectStoreError,
    StorageFull,
)
from objectstore.values import (
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    Content,
    CopyOptions,
    FileSpan,
    GetOptions,
    Inline,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)

P = ParamSpec("P")
T = TypeVar("T")

_READERS: Final = 8
_IN_HAND: Final = 64 * 1024  # bytes: what is shorter is read at once
_READ_METHODS: Final = ("GET", "HEAD")
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()

_CAPABILITIES: Final = Capabilities(
    name=NAME,
    overwrite=False,
    delete=False,
    # Of entries that other programs put there, none is.
    digests=False,
    notes=(
        "Entries are only ever added: overwriting and deleting are refused.",
        "Keys do not end with a slash, which in an archive makes a folder.",
        "Adding an entry writes the whole directory of the archive twice, so it takes longer the more there are.",
        "Entries of other programs are objects, without attributes and digests; encrypted ones cannot be read.",
        "A range of a compressed entry costs decompressing what is before it.",
    ),
)


def _now() -> datetime:
    return datetime.now(UTC)


def _no_step(_name: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Opened:
    archive: Archive
    writer: ThreadPoolExecutor
    readers: ThreadPoolExecutor


class ZipBackend:
    """Objects as entries of the zip file `path`, which is made if it is not there.

    What is there is never changed: a key that is taken is refused. Several processes may have the archive open, and
    another program may put a new one in its place; one that changes it in place while it is open is not catered for.
    Parts of uploads wait in the folder `path` with `.uploads` added. `step` is told how far a change has come.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], datetime] = _now, step: Callable[[str], None] = _no_step
    ) -> None:
        self._path = path
        self._clock = clock
        self._step = step
        self._waiting: deque[Addition] = deque()
        self._opened: _Opened | None = None
        self._parts: FilesystemBackend | None = None
        self._uploads: StagedUploads | None = None

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def uploads(self) -> Uploads:
        if self._uploads is None:
            self._require()
            # Opened only when it is needed, for most archives are never uploaded to in parts.
            self._parts = FilesystemBackend(self._path.with_name(f"{self._path.name}.uploads"), clock=self._clock)
            self._parts.open()
            self._uploads = StagedUploads(self, self._parts, clock=self._clock, new_id=lambda: secrets.token_hex(16))
        return self._uploads

    async def __aenter__(self) -> Self:
        try:
            archive = await asyncio.to_thread(Archive, self._path, clock=self._clock, step=self._step)
        except (OSError, zipfile.BadZipFile) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(
                f"{NAME} cannot use the file {str(self._path)!r}: {reason}; it has to be a zip file, or nothing yet, "
                "in a folder that is there"
            ) from error
        self._opened = _Opened(archive, ThreadPoolExecutor(1, "zip-writer"), ThreadPoolExecutor(_READERS, "zip-reader"))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._uploads is not None:
            await self._uploads.settle()
        if self._parts is not None:
            await asyncio.to_thread(self._parts.close)
        opened = self._require()
        self._opened = self._parts = self._uploads = None
        for threads in (opened.readers, opened.writer):
            await asyncio.to_thread(threads.shutdown)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        check_attributes(options.attributes)
        if key.endswith("/"):
            raise InvalidKey(f"{NAME} cannot hold the key {key!r}: in an archive a name that ends with '/' is a folder")
        opened = self._require()
        if not opened.archive.writable:
            raise MethodNotAllowed(f"{NAME}: this process may not write to the archive", _READ_METHODS)
        # Now, so that a body that cannot be kept is not taken in; the check that counts is made with the write.
        refuse_taken(await self._directory(), key, options)
        kept = {"sha-256", *options.digests, *options.expected}
        spool = Spool(self._path.parent, {"crc32", *kept})
        try:
            await spool.collect(sized(body, options.size), self._spooled)
            digests = spool.digester.digests()
            check_digests(options.expected, digests)
            crc = int.from_bytes(digests["crc32"], "big")
            wanted = {name: digest for name, digest in digests.items() if name in kept}
            return await self._added(opened, Addition(key, spool, crc, wanted, options, Future()))
        finally:
            spool.close()

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        directory = await self._directory()
        entry = directory.find(key)
        info = info_of(entry)
        check_read(options.conditions, info)
        start, stop = resolve(options.range, info.size)
        refuse_unreadable(entry)
        async with AsyncExitStack() as stack:
            file = directory.file
            begin = await self._read(begin_of, file, entry)
            content: Content
            if entry.compress_type == zipfile.ZIP_STORED and stop - start < info.size:
                content = await self._stored(file, begin + start, begin + stop, key)
            else:
                decoding = stack.enter_context(_Decoding(file, entry, begin, start, stop))
                if stop - start <= _IN_HAND:
                    content = Inline(await self._read(decoding.all))
                else:
                    content = Streamed(self._chunks(decoding))
            yield Reading(info, start, stop, content)

    async def head(self, key: str) -> ObjectInfo:
        return info_of((await self._directory()).find(key))

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:  # noqa: ARG002  none is deleted
        raise _undeletable(key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        return [_undeletable(key) for key in keys]

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        async with self.get(source, GetOptions(conditions=options.source)) as found:
            info = found.info
            attributes = info.attributes if options.attributes is None else options.attributes
            put = PutOptions(
                attributes=attributes, conditions=options.conditions, size=info.size, digests=frozenset(info.digests)
            )
            return await self.put(target, reading.chunks(found), put)

    async def list(self, query: ListQuery) -> ListPage:
        return (await self._directory()).page(query)

    async def check(self) -> None:
        await self._directory()
        if not self._require().archive.writable:
            return
        with self._translating():
            room = await self._read(os.statvfs, self._path.parent)
        if not room.f_bavail:
            raise StorageFull(f"{NAME} has no room left on the disk of the archive")

    async def _added(self, opened: _Opened, addition: Addition) -> ObjectInfo:
        """What became of it: those that wait for their turn are appended together."""
        self._waiting.append(addition)
        opened.writer.submit(self._add_waiting, opened.archive)
        with self._translating():
            return await finished(addition.told)

    def _add_waiting(self, archive: Archive) -> None:
        together = []
        while self._waiting:
            addition = self._waiting.popleft()
            # Those whose callers have gone are left out; the others cannot be called off any more.
            if addition.told.set_running_or_notify_cancel():
                together.append(addition)
        if not together:
            return
        try:
            archive.add(together)
        except BaseException as error:  # noqa: BLE001  theirs to raise
            for addition in together:
                if not addition.told.done():
                    addition.told.set_exception(error)

    async def _directory(self) -> Directory:
        archive = self._require().archive
        with self._translating():
            if archive.changed():
                await self._read(archive.refresh)
        return archive.directory

    async def _stored(self, file: OpenFile, start: int, stop: int, key: str) -> Inline | FileSpan:
        if stop - start > _IN_HAND:
            return FileSpan(file.fd, start, stop)
        with self._translating():
            data = await self._read(os.pread, file.fd, stop - start, start)
        if len(data) < stop - start:
            raise Corrupted(f"the archive ends within the entry {key!r}")
        return Inline(data)

    async def _chunks(self, decoding: _Decoding) -> AsyncIterator[bytes]:
        while data := await self._read(decoding.some):
            yield data

    async def _read(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await finished(self._require().readers.submit(call, *args, **kwargs))

    async def _spooled(self, write: Callable[[bytes], None], block: bytes) -> None:
        with self._translating():
            await self._read(write, block)

    def _require(self) -> _Opened:
        if self._opened is None:
            raise RuntimeError("the backend is not open: use it within 'async with'")
        return self._opened

    @contextmanager
    def _translating(self) -> Iterator[None]:
        with translating_files(NAME):
            try:
                yield
            except zipfile.BadZipFile as error:
                raise Corrupted(f"the archive of {NAME} cannot be read any more: {error}") from error


class _Decoding:
    """Bytes `start` to `stop` of an entry, decoded by blocking calls, the first of which opens it."""

    def __init__(self, file: OpenFile, entry: ZipInfo, begin: int, start: int, stop: int) -> None:
        self._file = file
        self._entry = entry
        self._begin = begin
        self._at = start
        self._stop = stop
        self._opened: ZipExtFile | None = None
        self._ahead = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    def all(self) -> bytes:
        """All the bytes. Raises Corrupted."""
        return b"".join(iter(self.some, b""))

    def some(self) -> bytes:
        """The next bytes, none at the end. Raises Corrupted, before the last ones are given out."""
        try:
            data, self._ahead = self._ahead or self._next(), b""
            if data:
                # A wrong CRC shows with the last bytes only.
                self._ahead = self._next()
        except DAMAGED as error:
            raise damaged(self._entry, error) from error
        return data

    def _next(self) -> bytes:
        if self._opened is None:
            self._opened = decoded(self._file, self._entry, self._begin)
            self._opened.seek(self._at)
        if self._at == self._stop == self._entry.file_size:
            # Only past its end does it compare the CRC.
            return self._opened.read(1)
        data = self._opened.read(min(BLOCK_SIZE, self._stop - self._at))
        if not data and self._at < self._stop:
            raise EOFError(f"{self._stop - self._at} bytes are missing")
        self._at += len(data)
        return data


def _undeletable(key: str) -> MethodNotAllowed:
    return MethodNotAllowed(f"{NAME} cannot delete {key!r}: entries are only ever added to an archive", _READ_METHODS)
