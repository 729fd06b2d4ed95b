"""Objects kept by a mediastore service: the key is the pid of a medium."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import secrets
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from objectstore.backends.contract import Uploads
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.finishing import to_its_end
from objectstore.backends.http.answers import read_info, read_span, unsatisfied_size
from objectstore.backends.http.bodies import cut
from objectstore.backends.mediastore import records
from objectstore.backends.mediastore.service import Service
from objectstore.backends.reading import chunks
from objectstore.backends.spool import Spool
from objectstore.backends.staged import StagedUploads
from objectstore.core.conditions import check_read, check_source
from objectstore.core.digests import check_digests
from objectstore.core.keys import check_key
from objectstore.core.listing import PageBuilder
from objectstore.core.ranges import resolve
from objectstore.core.streams import sized
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InternalError,
    InvalidKey,
    InvalidRange,
    MethodNotAllowed,
    NotFound,
    ObjectStoreError,
    Unsupported,
)
from objectstore.values import (
    UNCONDITIONAL,
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
    Streamed,
)
from objectstore.wire.ranges import format_range

_CAPABILITIES: Final = Capabilities(
    name="MediaStore",
    overwrite=False,
    conditions=False,
    notes=(
        "What is there cannot be replaced: the service has each pid once.",
        "What the service gives as Base64 is held in memory while it is read.",
        "A page of a listing reads the names of all media.",
    ),
)
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()
_SIGNED: Final = "BucketStore"  # the type of store for which the service gives addresses to send bytes to
_AT_ONCE: Final = 8  # requests of one call


def _now() -> datetime:
    return datetime.now(UTC)


class MediaBackend:
    """Media of a service, each made once. Parts of uploads wait in the folder `staging`."""

    def __init__(
        self,
        base_url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        store_config: Mapping[str, Any] | None = None,
        pid_type: str = "DEFAULT",
        staging: Path | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._service = Service(base_url, username, password, token)
        self._given = store_config
        self._store: Mapping[str, Any] = {}
        self._pid_type = pid_type
        self._clock = clock
        self._making: set[asyncio.Task[None]] = set()
        self._staging = staging or _own_folder(base_url)
        self._parts = FilesystemBackend(self._staging, clock=clock)
        self._uploads = StagedUploads(self, self._parts, clock=clock, new_id=secrets.token_hex)

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def uploads(self) -> Uploads:
        return self._uploads

    async def __aenter__(self) -> Self:
        stores = await self._service.open()
        try:
            self._store = _chosen(self._given, stores)
            _check_owned(self._staging)
            await self._parts.__aenter__()
        except BaseException:
            await self._service.close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as closing_all:
            closing_all.push_async_callback(self._service.close)
            closing_all.push_async_exit(self._parts)
            await self._uploads.settle()
            if self._making:
                await asyncio.wait(self._making)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        _refuse(options.conditions)
        folder = Path(tempfile.gettempdir())
        with closing(Spool(folder, {*options.digests, *options.expected})) as spool:
            await spool.collect(sized(body, options.size), asyncio.to_thread)
            digests = spool.digester.digests()
            check_digests(options.expected, digests)
            now = self._clock()
            info = ObjectInfo(
                key=key,
                size=spool.size,
                etag=options.etag or secrets.token_hex(16),
                created=now,
                modified=now,
                digests=digests,
                attributes=options.attributes,
            )
            # To its end, whoever goes: a medium without its bytes is not to stay.
            await self._to_its_end(self._make(info, spool))
        return info

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        async with AsyncExitStack() as stack:
            yield await self._open(stack, key, options)

    async def head(self, key: str) -> ObjectInfo:
        record = records.load(key, await self._service.medium(key))
        if record is not None:
            return record
        async with self.get(key) as reading:
            return reading.info

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        _refuse(conditions)
        await self._service.delete(key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        outcomes: dict[str, ObjectStoreError | None] = {}
        names = list(dict.fromkeys(keys))
        for at in range(0, len(names), _AT_ONCE):
            some = names[at : at + _AT_ONCE]
            outcomes |= zip(some, await asyncio.gather(*map(self._deleted, some)), strict=True)
        # Named again, a key is absent.
        return [outcomes.pop(key, NotFound(key)) for key in keys]

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        _refuse(options.conditions)
        async with self.get(source) as reading:
            check_source(options.source, reading.info)
            attributes = reading.info.attributes if options.attributes is None else options.attributes
            put = PutOptions(attributes=attributes, digests=frozenset(reading.info.digests))
            return await self.put(target, chunks(reading), put)

    async def list(self, query: ListQuery) -> ListPage:
        media = {str(medium.get("pid")): medium for medium in await self._service.media()}
        builder = PageBuilder(query)
        for key in sorted(filter(_is_key, media)):
            if not builder.offer(key):
                break
        page = builder.page()
        if not query.details:
            return page
        found: list[ObjectInfo] = []
        for at in range(0, len(page.keys), _AT_ONCE):
            asked = (self._detailed(key, media[key]) for key in page.keys[at : at + _AT_ONCE])
            found += [info for info in await asyncio.gather(*asked) if info is not None]
        return replace(page, keys=tuple(info.key for info in found), objects=tuple(found))

    async def check(self) -> None:
        await self._service.check()

    async def _known(self, key: str) -> ObjectInfo | None:
        try:
            return await self.head(key)
        except NotFound:
            return None

    async def _detailed(self, key: str, medium: Mapping[str, Any]) -> ObjectInfo | None:
        return records.load(key, medium) or await self._known(key)

    async def _deleted(self, key: str) -> ObjectStoreError | None:
        try:
            await self.delete(key)
        except ObjectStoreError as error:
            return error
        return None

    async def _to_its_end(self, making: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(making)
        self._making.add(task)
        task.add_done_callback(self._making.discard)
        await to_its_end(task)  # it reads what the caller is about to close

    async def _make(self, info: ObjectInfo, spool: Spool) -> None:
        try:
            await self._store_bytes(info, spool)
        except InvalidKey:
            if await self._known(info.key) is None:
                raise
            message = f"MediaStore cannot replace {info.key!r}: the service has each pid once; delete it first"
            raise MethodNotAllowed(message, ("GET", "HEAD", "DELETE")) from None

    async def _store_bytes(self, info: ObjectInfo, spool: Spool) -> None:
        medium = {
            "pid": info.key,
            "pid_type": self._pid_type,
            "store_config": dict(self._store),
            "metadata": {records.MEMBER: records.dump(info)},
        }
        signed = self._store.get("type") == _SIGNED
        url = await self._service.upload(info.key, medium, None if signed else spool.blocks(), spool.size)
        if not signed:
            return
        if url is None:
            with suppress(ObjectStoreError):
                await self._service.delete(info.key)
            raise InternalError("the mediastore gave no address to send the bytes of an object to")
        try:
            await self._service.send(url, _awaited(spool), spool.size)
        except BaseException:
            with suppress(ObjectStoreError):
                await self._service.delete(info.key)  # it would have no bytes
            raise

    async def _open(self, stack: AsyncExitStack, key: str, options: GetOptions) -> Reading:
        told = await self._service.download(key)
        record = records.load(key, told.get("mediadata") or {})
        if told.get("presigned_get"):
            return await self._open_signed(stack, str(told["presigned_get"]), key, record, options)
        try:
            data = base64.b64decode(told["base64"])
        except (KeyError, TypeError, binascii.Error) as error:
            raise InternalError(f"the mediastore gave neither the bytes of {key!r} nor where they are") from error
        info = records.of_bytes(key, data, record, self._clock())
        check_read(options.conditions, info)
        start, stop = resolve(options.range, info.size)
        return Reading(info, start, stop, Inline(data[start:stop]))

    async def _open_signed(
        self, stack: AsyncExitStack, url: str, key: str, record: ObjectInfo | None, options: GetOptions
    ) -> Reading:
        fields = []
        if record is not None:
            # All is known beforehand, but for the bytes.
            check_read(options.conditions, record)
            resolve(options.range, record.size)
        if options.range is not None:
            fields.append((b"range", format_range(options.range)))
        response = await stack.enter_async_context(self._service.fetch(url, key, fields))
        if response.status_code == 416:
            raise InvalidRange(unsatisfied_size(response) or 0)
        span = read_span(response)
        if span is None:
            raise Unsupported(f"{response.url.host} does not tell the length of {key!r}")
        info = record
        if info is None or info.size != span.size:
            info = read_info(key, response, span.size, self._clock())
        check_read(options.conditions, info)
        start, stop = resolve(options.range, span.size)
        if not span.start <= start <= stop <= span.stop:
            raise Corrupted(f"{response.url.host} sent other bytes of {key!r} than it was asked for")
        arriving = await stack.enter_async_context(aclosing(cut(response, span, start, stop)))
        if (start, stop) == (0, info.size) and "sha-256" in info.digests:
            arriving = await stack.enter_async_context(aclosing(_verified(arriving, info)))
        return Reading(info, start, stop, Streamed(arriving))


def _check_owned(folder: Path) -> None:
    # In a folder that everyone may write to, somebody else may have been first.
    if folder.exists() and folder.stat().st_uid != os.getuid():
        raise ConfigurationError(f"the folder for parts, {folder}, is another user's: name another one as staging_path")


async def _awaited(spool: Spool) -> AsyncIterator[bytes]:
    for block in spool.blocks():
        yield block


async def _verified(arriving: AsyncIterator[bytes], info: ObjectInfo) -> AsyncGenerator[bytes, None]:
    """All bytes of an object, the last of them only when they have its digest. Raises Corrupted."""
    sha256, held = hashlib.sha256(), b""
    async for chunk in arriving:
        sha256.update(chunk)
        if held:
            yield held
        held = chunk
    if sha256.digest() != info.digests["sha-256"]:
        raise Corrupted(f"the bytes of {info.key!r} are not those that were stored: another program replaced them")
    if held:
        yield held


def _chosen(given: Mapping[str, Any] | None, stores: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    if given is None and not stores:
        raise ConfigurationError("the mediastore has no store: make one there, or give a store_config")
    return given or stores[0]


def _own_folder(base_url: str) -> Path:
    """The same one for all processes of a user; nobody else may look into it."""
    site = hashlib.sha256(base_url.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"objectstore-parts-{os.getuid()}-{site}"


def _refuse(conditions: Conditions) -> None:
    if conditions != UNCONDITIONAL:
        raise Unsupported("MediaStore cannot check conditions together with a write")


def _is_key(pid: str) -> bool:
    try:
        check_key(pid)
    except InvalidKey:
        return False
    return True
