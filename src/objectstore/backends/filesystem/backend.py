"""The backend of plain files: what waits for a disk runs in threads, what the kernel knows is asked at once."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, ParamSpec, Self, TypedDict, TypeVar

from objectstore.backends.contract import Uploads
from objectstore.backends.filesystem import paths
from objectstore.backends.filesystem.failures import translated, translating
from objectstore.backends.filesystem.layout import Layout, Plain
from objectstore.backends.filesystem.staging import Draft
from objectstore.backends.filesystem.tree import Tree
from objectstore.backends.staged import StagedUploads
from objectstore.backends.threads import finished
from objectstore.core.attributes import check_attributes
from objectstore.core.conditions import check_read, check_write
from objectstore.core.digests import check_digests
from objectstore.core.ranges import resolve
from objectstore.core.streams import blocks, check_size, sized
from objectstore.errors import ConfigurationError, Corrupted, NotFound, ObjectStoreError, StorageFull
from objectstore.values import (
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    FileSpan,
    GetOptions,
    Inline,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)

P = ParamSpec("P")
T = TypeVar("T")

_THREADS: Final = 16  # as many syncs may wait for the disk at once; a journal takes them together
_BLOCK_SIZE: Final = 256 * 1024  # bytes hashed and written in one go
_IN_HAND: Final = 64 * 1024  # bytes: what is shorter is read at once rather than sent from the file
_REMOVED_TOGETHER: Final = 64  # objects whose removals are synced together, each by a descriptor at most
PLAIN: Final = Plain()
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()
_NOWAIT: Final = getattr(os, "RWF_NOWAIT", None)  # Linux: read what is in memory, and say so when it is not


def _now() -> datetime:
    return datetime.now(UTC)


def _no_step(_name: str) -> None:
    pass


class Options(TypedDict, total=False):
    """What backends of every layout take."""

    clock: Callable[[], datetime]
    step: Callable[[str], None]
    carry_records: bool


class FilesystemBackend:
    """Objects as plain files under `root`, which is made if it is not there; `a/b.txt` is the file `root/a/b.txt`.

    Several processes may have the same root open, and other programs may read, add, change and remove files in it.
    `carry_records=False` keeps what is known of an object in a file beside it even where the file system has
    extended attributes, for data that is moved by tools which drop those. `step` is told how far a change has come.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], datetime] = _now,
        step: Callable[[str], None] = _no_step,
        carry_records: bool = True,
        layout: Layout = PLAIN,
    ) -> None:
        self._path = root
        self._layout = layout
        self._clock = clock
        self._step = step
        self._carry_records = carry_records
        self._opened: tuple[Tree, ThreadPoolExecutor] | None = None
        self._parts: FilesystemBackend | None = None
        self._uploads: StagedUploads | None = None

    @property
    def capabilities(self) -> Capabilities:
        # Of files that other programs put there, no digest is known.
        return Capabilities(name=self._layout.name, digests=False, notes=self._layout.notes)

    @property
    def uploads(self) -> Uploads:
        if self._uploads is None:
            self._require()
            # Opened only now, since it is a store of this kind itself.
            self._parts = FilesystemBackend(self._path / paths.HIDDEN / "uploads", clock=self._clock)
            self._parts.open()
            self._uploads = StagedUploads(self, self._parts, clock=self._clock, new_id=lambda: secrets.token_hex(16))
        return self._uploads

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.open)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._uploads is not None:
            await self._uploads.settle()
        if self._parts is not None:
            await asyncio.to_thread(self._parts.close)
        self._parts = self._uploads = None
        await asyncio.to_thread(self.close)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        check_attributes(options.attributes)
        draft = self.tree.draft(key, options.digests.union(options.expected))
        if options.conditions is not UNCONDITIONAL:
            # Now, so that a body that cannot be kept is not taken in; the check that counts is made with the write.
            with self.translating(key):
                check_write(options.conditions, key, self._look(key))
        if isinstance(body, bytes):
            check_size(options.size, len(body))
        incoming = _Incoming(key, options, draft, self)
        try:
            if isinstance(body, bytes):
                # Three generators around what is in hand would cost 4 % of it all.
                await incoming.take(body)
            else:
                async for block in blocks(sized(body, options.size), _BLOCK_SIZE):
                    await incoming.take(block)
            return await incoming.finish()
        except BaseException:
            await incoming.give_up()
            raise

    def get(self, key: str, options: GetOptions = _GET) -> AbstractAsyncContextManager[Reading]:
        return _Outgoing(key, options, self)

    async def head(self, key: str) -> ObjectInfo:
        with self.translating(key):
            info = self._look(key)
        if info is None:
            raise NotFound(key)
        return info

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        (error,) = await self.run(self._remove, [key], conditions)
        if error is not None:
            raise error

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        results: list[ObjectStoreError | None] = []
        for at in range(0, len(keys), _REMOVED_TOGETHER):
            results += await self.run(self._remove, keys[at : at + _REMOVED_TOGETHER], UNCONDITIONAL)
        return results

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        if options.attributes is not None:
            check_attributes(options.attributes)
        with self.translating(target):
            return await self.run(self.tree.copy, source, target, options)

    async def list(self, query: ListQuery) -> ListPage:
        with self.translating():
            return await self.run(self._layout.list_page, self.tree.root, query, self._look)

    async def check(self) -> None:
        with self.translating():
            free_bytes, free_files = await self.run(self.tree.check)
        if not free_bytes or not free_files:
            raise StorageFull(f"{self._layout.name} has no room left")

    def translating(self, key: str = "") -> AbstractContextManager[None]:
        """Every OSError raised inside leaves as an error of ours."""
        return translating(self._layout.name, key)

    @property
    def tree(self) -> Tree:
        return self._require()[0]

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin in a thread what may wait for the disk."""
        return self._require()[1].submit(call, *args, **kwargs)

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it, and wait as `finished` does."""
        return await finished(self.submit(call, *args, **kwargs))

    def _require(self) -> tuple[Tree, ThreadPoolExecutor]:
        if self._opened is None:
            raise RuntimeError("the backend is not open: use it within 'async with'")
        return self._opened

    def open(self) -> None:
        """As on entering, by a blocking call: for whoever keeps a store like this one inside of another."""
        try:
            tree = Tree(self._path, self._layout, clock=self._clock, step=self._step, carry_records=self._carry_records)
        except OSError as error:
            raise ConfigurationError(
                f"{self._layout.name} cannot use the folder {str(self._path)!r}: {error.strerror}; "
                "it has to be a folder that this process may write to"
            ) from error
        self._opened = tree, ThreadPoolExecutor(_THREADS, thread_name_prefix="filesystem")

    def close(self) -> None:
        """Undo `open`."""
        tree, threads = self._require()
        threads.shutdown()
        tree.close()
        self._opened = None

    def _look(self, key: str) -> ObjectInfo | None:
        found = self.tree.look(key)
        return None if found is None else found.info

    def _remove(self, keys: Sequence[str], conditions: Conditions) -> Sequence[ObjectStoreError | None]:
        results: list[ObjectStoreError | None] = []
        touched: dict[int, int] = {}
        try:
            for key in keys:
                try:
                    folder = self.tree.remove(key, conditions)
                except OSError as raised:
                    results.append(translated(raised, self._layout.name, key))
                except ObjectStoreError as raised:
                    results.append(raised)
                else:
                    results.append(None)
                    inode = os.fstat(folder).st_ino
                    if inode in touched:
                        os.close(folder)
                    else:
                        touched[inode] = folder
            with self.translating():
                for folder in touched.values():
                    os.fsync(folder)
                for key, error in zip(keys, results, strict=True):
                    if error is None:
                        self.tree.forget(key)
        finally:
            for folder in touched.values():
                os.close(folder)
        self._step("after_folder_sync")
        return results


class _Incoming:
    """A body on its way to disk: while one block is hashed and written, the next is awaited.

    The last block is written by the thread that makes the object, so a small one costs a single change of threads.
    """

    def __init__(self, key: str, options: PutOptions, draft: Draft, backend: FilesystemBackend) -> None:
        self._key = key
        self._options = options
        self._draft = draft
        self._backend = backend
        self._held: bytes = b""
        self._writing: Future[None] | None = None

    async def take(self, block: bytes) -> None:
        if self._held:
            await self._written()
            self._writing = self._backend.submit(self._draft.write, self._held)
        self._held = block

    async def finish(self) -> ObjectInfo:
        await self._written()
        with self._backend.translating(self._key):
            return await self._backend.run(self._make)

    async def give_up(self) -> None:
        """Leave nothing behind, whatever became of the body."""
        with suppress(OSError):
            await self._backend.run(self._draft.discard)

    async def _written(self) -> None:
        if self._writing is not None:
            with self._backend.translating(self._key):
                await finished(self._writing)

    def _make(self) -> ObjectInfo:
        draft = self._draft
        draft.write(self._held)
        digests = draft.digester.digests()
        check_digests(self._options.expected, digests)
        return self._backend.tree.commit(self._key, draft, digests, self._options)


class _Outgoing(AbstractAsyncContextManager[Reading]):
    """A reading. Looking a file up takes the kernel microseconds, so it is done without a change of threads."""

    def __init__(self, key: str, options: GetOptions, backend: FilesystemBackend) -> None:
        self._key = key
        self._options = options
        self._backend = backend
        self._fd: int | None = None

    async def __aenter__(self) -> Reading:
        tree = self._backend.tree
        try:
            seen = tree.recall(self._key)
            if seen is not None:
                start, stop = self._wanted(seen.found.info)
                return Reading(seen.found.info, start, stop, Inline(seen.data[start:stop]))
            fd, found = tree.open(self._key)
            try:
                start, stop = self._wanted(found.info)
                if stop - start > _IN_HAND:
                    reading = Reading(found.info, start, stop, FileSpan(fd, start, stop))
                    self._fd = fd
                    return reading
                file = os.fstat(fd)
                data = await self._read(fd, start, stop - start)
                if stop - start == found.info.size:
                    tree.remember(self._key, file, found, data)
                return Reading(found.info, start, stop, Inline(data))
            finally:
                if self._fd is None:
                    os.close(fd)
        except OSError as error:
            raise translated(error, self._backend.capabilities.name, self._key) from error

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def _wanted(self, info: ObjectInfo) -> tuple[int, int]:
        if self._options.range is None and self._options.conditions is UNCONDITIONAL:
            return 0, info.size
        check_read(self._options.conditions, info)
        return resolve(self._options.range, info.size)

    async def _read(self, fd: int, start: int, length: int) -> bytes:
        data = _read_from_memory(fd, start, length)
        if len(data) < length:
            data = await self._backend.run(os.pread, fd, length, start)
        if len(data) < length:
            raise Corrupted(f"the file of {self._key!r} was cut short while it was read")
        return data


def _read_from_memory(fd: int, start: int, length: int) -> bytes:
    """The bytes if the kernel has them in memory, else fewer or none."""
    if _NOWAIT is None:
        return b""
    data = bytearray(length)
    try:
        found = os.preadv(fd, [data], start, _NOWAIT)
    except OSError:
        # Not in memory (EAGAIN), or not to be asked like this of this file system.
        return b""
    return bytes(data) if found == length else bytes(data[:found])
