"""A class from elsewhere, with `get`, `put`, `exists`, `delete` and `keys`, as a backend.

Such a class knows keys and whole bodies and nothing else. What is told of an object beside its bytes is therefore kept
here, as long as the process lives, and holds for as long as the bytes are the same: each answer about an object reads
it. One that was not written from here has an etag that follows from its bytes, and the time at which it was first seen.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self
from weakref import WeakValueDictionary

from objectstore.backends.contract import Backend, Uploads
from objectstore.backends.facades import AsyncFacade, Facade
from objectstore.backends.filesystem.backend import FilesystemBackend
from objectstore.backends.foreign import Foreign, awaits
from objectstore.backends.staged import StagedUploads
from objectstore.core.conditions import check_read, check_source, check_write
from objectstore.core.digests import Digester, check_digests, digests_of
from objectstore.core.keys import check_key
from objectstore.core.listing import PageBuilder, group_of
from objectstore.core.ranges import resolve
from objectstore.core.streams import sized
from objectstore.errors import (
    ConfigurationError,
    InvalidKey,
    MethodNotAllowed,
    NotFound,
    ObjectStoreError,
    Unavailable,
    Unsupported,
)
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Attributes,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    Inline,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)

_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()
_REMEMBERED: Final = 16_384  # objects of which more is known than their bytes
_SHORT: Final = 64 * 1024  # bytes that are hashed sooner than a thread is asked
_NOTES: Final = (
    "A body is held in memory whole, and an answer about an object, a listing with details included, reads it.",
    "Content types and metadata are not kept; etags and times are known to this process alone.",
    "Conditions hold among the requests of this process.",
    "Each page of a listing asks the class for all keys.",
    "Uploads in parts wait in a temporary folder, and end with the process.",
)


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return secrets.token_hex(16)


class AdaptedBackend:
    """Stores objects through an object of the class `kind`, which `make` constructs from the stores that it wraps.

    `make` is given a `Facade` for each of `bases`, or an `AsyncFacade` if the class has async methods. A method that
    the class has not is not declared. Calls that concern one key come one after the other.

    Raises:
        ConfigurationError: `kind` is no such class.
    """

    def __init__(
        self,
        name: str,
        kind: Callable[..., object],
        make: Callable[[Sequence[object]], object],
        bases: Sequence[Backend] = (),
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._capabilities = _capabilities(name, kind)
        self._awaits = awaits(kind)
        self._make = make
        self._bases = bases
        self._clock = clock
        self._opened = AsyncExitStack()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._records: OrderedDict[str, ObjectInfo] = OrderedDict()  # by key, the one looked at last at the end
        self._foreign = Foreign(name, lambda: None, awaits=self._awaits)
        self._uploads: StagedUploads | None = None

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def uploads(self) -> Uploads:
        if self._uploads is None:
            raise RuntimeError("the store is not open")
        return self._uploads

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="objectstore-uploads-"))
            staging = await stack.enter_async_context(FilesystemBackend(Path(folder)))
            for base in self._bases:
                await stack.enter_async_context(base)
            facades = [self._facade(base) for base in self._bases]
            foreign = Foreign(self._capabilities.name, lambda: self._make(facades), awaits=self._awaits)
            self._foreign = await stack.enter_async_context(foreign)
            self._uploads = StagedUploads(self, staging, clock=self._clock, new_id=_new_id)
            stack.push_async_callback(self._uploads.settle)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(exc_type, exc, traceback)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        self._check_writable(options.attributes)
        if options.conditions != UNCONDITIONAL:
            # Now, so that a body that cannot be kept is not taken in; the check that counts is made with the write.
            check_write(options.conditions, key, await self._current(key))
        digester = Digester({*options.digests, *options.expected})
        received = []
        async for chunk in sized(body, options.size):
            digester.update(chunk)
            received.append(chunk)
        digests = digester.digests()
        check_digests(options.expected, digests)
        return await self._write(key, b"".join(received), digests, options)

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        async with self._turn(key):
            info, data = await self._read(key)
        check_read(options.conditions, info)
        start, stop = resolve(options.range, info.size)
        yield Reading(info, start, stop, Inline(data[start:stop]))

    async def head(self, key: str) -> ObjectInfo:
        async with self._turn(key):
            return (await self._read(key))[0]

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        if not self._capabilities.delete:
            raise MethodNotAllowed(f"{self._capabilities.name} has no delete", ("GET", "HEAD"))
        async with self._turn(key):
            if conditions != UNCONDITIONAL:
                check_write(conditions, key, (await self._read(key))[0])
            elif not await self._foreign.exists(key):
                raise NotFound(key)
            await self._foreign.delete(key)
            self._records.pop(key, None)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        results: list[ObjectStoreError | None] = []
        for key in keys:
            try:
                await self.delete(key)
            except ObjectStoreError as error:
                results.append(error)
            else:
                results.append(None)
        return results

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        self._check_writable(options.attributes)
        async with self._turn(source):
            info, data = await self._read(source)
        check_source(options.source, info)
        return await self._write(target, data, info.digests, PutOptions(conditions=options.conditions))

    async def list(self, query: ListQuery) -> ListPage:
        if not self._capabilities.listing:
            raise Unsupported(f"{self._capabilities.name} has no keys to list")
        builder = PageBuilder(query)
        for key in sorted({key for key in await self._foreign.keys() if _is_key(key)}):
            if builder.position is None or key < builder.position:
                continue
            alone = key.startswith(query.prefix) and group_of(key, query) is None
            info = await self._current(key) if query.details and alone else None
            if query.details and alone and info is None:
                continue  # deleted since the keys were told
            if not builder.offer(key, info):
                break
        return builder.page()

    async def check(self) -> None:
        try:
            await self._foreign.exists("objectstore-check")
        except Unavailable:
            raise
        except ObjectStoreError:
            pass  # an answer, if only that this is no key of theirs

    def _facade(self, base: Backend) -> object:
        return AsyncFacade(base) if self._awaits else Facade(base, asyncio.get_running_loop())

    def _turn(self, key: str) -> asyncio.Lock:
        """Held while the object is read or changed: what is known of it changes together with its bytes."""
        return self._turns.setdefault(key, asyncio.Lock())

    def _check_writable(self, attributes: Attributes | None) -> None:
        if not self._capabilities.write:
            raise MethodNotAllowed(f"{self._capabilities.name} has no put", ("GET", "HEAD"))
        if attributes is not None and attributes != NO_ATTRIBUTES:
            raise Unsupported(f"{self._capabilities.name} does not keep content types and metadata")

    async def _read(self, key: str) -> tuple[ObjectInfo, bytes]:
        try:
            data = await self._foreign.get(key)
        except NotFound:
            self._records.pop(key, None)
            raise
        digests = await asyncio.to_thread(digests_of, data) if len(data) > _SHORT else digests_of(data)
        known = self._records.get(key)
        if known is None or known.digests["sha-256"] != digests["sha-256"]:
            known = self._info(key, len(data), digests, etag=digests["sha-256"].hex()[:32])
        self._remember(known)
        return known, data

    async def _current(self, key: str) -> ObjectInfo | None:
        try:
            return await self.head(key)
        except NotFound:
            return None

    async def _write(self, key: str, data: bytes, digests: Mapping[str, bytes], options: PutOptions) -> ObjectInfo:
        async with self._turn(key):
            if options.conditions != UNCONDITIONAL:
                try:
                    current = (await self._read(key))[0]
                except NotFound:
                    current = None
                check_write(options.conditions, key, current)
            await self._foreign.put(key, data)
            known = self._records.get(key)
            info = self._info(key, len(data), digests, etag=options.etag or _new_id())
            info = info if known is None else replace(info, created=known.created)
            self._remember(info)
            return info

    def _info(self, key: str, size: int, digests: Mapping[str, bytes], *, etag: str) -> ObjectInfo:
        now = self._clock()
        return ObjectInfo(key=key, size=size, etag=etag, created=now, modified=now, digests=digests)

    def _remember(self, info: ObjectInfo) -> None:
        self._records[info.key] = info
        self._records.move_to_end(info.key)
        if len(self._records) > _REMEMBERED:
            self._records.popitem(last=False)


def _capabilities(name: str, kind: Callable[..., object]) -> Capabilities:
    # What a function will give is not known before it is called.
    missing = [one for one in ("get", "exists") if isinstance(kind, type) and not callable(getattr(kind, one, None))]
    if missing:
        raise ConfigurationError(
            f"{name} is no store: it has no {' and no '.join(missing)}; a store has get, put, exists, delete and keys"
        )
    has = {one: not isinstance(kind, type) or callable(getattr(kind, one, None)) for one in ("put", "delete", "keys")}
    return Capabilities(
        name=name,
        persistent=False,  # for all that is known
        shared=False,
        write=has["put"],
        overwrite=has["put"],
        delete=has["delete"],
        listing=has["keys"],
        attributes=False,
        digests=False,
        notes=_NOTES,
    )


def _is_key(key: object) -> bool:
    if not isinstance(key, str):
        return False
    try:
        check_key(key)
    except InvalidKey:
        return False
    return True
