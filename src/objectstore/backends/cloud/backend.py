"""Objects in a bucket: the contract over one `Medium`.

An object is written with what is known of it (etag, times, digests) in its metadata, by one request of the service
or by the completion of several: a reader sees the old object or the new one, with what belongs to it. Conditions are
looked at here, against what is there; the write is then bound to that very state by the service's own condition,
and looked at again when the service refuses.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from objectstore.backends.cloud.failures import RETRY_AFTER, BucketMissing, Denied, OutOfRange, Refused
from objectstore.backends.cloud.keys import STAGING, check_holdable, check_visible, is_hidden
from objectstore.backends.cloud.listing import page_of
from objectstore.backends.cloud.medium import OVERWRITE, Create, Decide, Medium, Mode, Opened, Replace
from objectstore.backends.cloud.records import ENTRY, Found, fields_of
from objectstore.backends.cloud.several import each
from objectstore.backends.cloud.spool import Spool
from objectstore.backends.cloud.taking import IN_HAND, Taking
from objectstore.backends.cloud.trials import check_kept, prove_conditions
from objectstore.backends.cloud.uploads import BucketUploads
from objectstore.backends.contract import Uploads
from objectstore.backends.finishing import to_its_end
from objectstore.backends.reading import chunks
from objectstore.core.conditions import check_read, check_source, check_write
from objectstore.core.ranges import resolve
from objectstore.core.streams import sized
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    DigestMismatch,
    NotFound,
    ObjectStoreError,
    Unavailable,
    Unsupported,
)
from objectstore.values import (
    NO_DIGESTS,
    UNCONDITIONAL,
    Body,
    Bounded,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    Inline,
    Last,
    ListPage,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
    Reading,
    Streamed,
)

_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()

_TRIES: Final = 8  # of a write whose object is changed by others again and again


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return secrets.token_hex(16)


class CloudBackend:
    """Keeps objects in the bucket of `medium`, those of `base` under that name in front."""

    def __init__(
        self,
        medium: Medium,
        capabilities: Capabilities,
        *,
        clock: Callable[[], datetime] = _now,
        base: str = "",
    ) -> None:
        self._medium = medium
        self._capabilities = capabilities
        self._clock = clock
        self._base = base
        self._uploads: BucketUploads | None = None
        self._proven = False  # that the service heeds conditions

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def uploads(self) -> Uploads:
        if self._uploads is None:
            staging = CloudBackend(self._medium, self._capabilities, clock=self._clock, base=STAGING)
            self._uploads = BucketUploads(self, staging, self._join, clock=self._clock, new_id=_new_id)
        return self._uploads

    async def __aenter__(self) -> Self:
        name = self._capabilities.name
        try:
            await self._medium.open()
        except (BucketMissing, NotFound) as error:
            raise ConfigurationError(f"{name}: there is no such bucket; create it, or correct its name") from error
        except Denied as error:
            raise ConfigurationError(
                f"{name}: {error}; correct the access key and its secret, or its rights"
            ) from error
        except Unsupported as error:
            raise ConfigurationError(f"{name}: {error}") from error
        except Unavailable as error:
            raise ConfigurationError(f"{name}: {error}; correct the endpoint, or start the service") from error
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._uploads is not None:
            await self._uploads.settle()
        await self._medium.close()

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        name = await self._written(key, options.conditions)
        taking = Taking(sized(body, options.size), options)
        current = await self._current(name)
        _check(options.conditions, key, current)
        async with Spool() as spool:
            data = await taking.begin(spool)
            if taking.ended:
                return await self._write(key, name, data, taking.digests(), options, current)
            return await self._write_large(key, name, spool, taking, options, current)

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        name = self._sought(key)
        if options.conditions != UNCONDITIONAL or options.range == Last(0):
            # So that no body is begun for a reader who has it.
            _select((await self._medium.find(name)).info(key), options)
        async with self._opened(key, name, options) as opened:
            info = opened.found.info(key)
            start, stop = _select(info, options)
            if (opened.start, opened.stop) != (start, stop):
                raise Unavailable(f"{self._medium.name} gave another range than was asked for", retry_after=RETRY_AFTER)
            if stop - start <= IN_HAND:
                # Read now, the service is free of us, and the connection for others.
                yield Reading(info, start, stop, Inline(b"".join([chunk async for chunk in opened.chunks])))
            else:
                yield Reading(info, start, stop, Streamed(opened.chunks))

    async def head(self, key: str) -> ObjectInfo:
        return (await self._medium.find(self._sought(key))).info(key)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        name = self._sought(key)
        self._check_capable(conditions)
        for _ in range(_TRIES):
            found = await self._medium.find(name)
            _check(conditions, key, found)
            try:
                await to_its_end(self._medium.delete(name, None if conditions == UNCONDITIONAL else found.etag))
            except Refused:
                continue
            return
        raise _crowded(key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        async def outcome(key: str) -> ObjectStoreError | None:
            try:
                await self.delete(key)
            except ObjectStoreError as error:
                return error
            return None

        once = list(dict.fromkeys(keys))
        outcomes = dict(zip(once, await each(outcome, once), strict=True))
        # A key that is named again is not there any more.
        return [outcomes.pop(key) if key in outcomes else NotFound(key) for key in keys]

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        sought, name = self._sought(source), await self._written(target, options.conditions)
        for _ in range(_TRIES):
            found = await self._medium.find(sought)
            if found.size <= IN_HAND:
                break
            check_source(options.source, found.info(source))
            try:
                copied = await self._copy_within(found, sought, target, name, _put_of(found.info(source), options))
            except (Refused, OutOfRange):
                # The source was changed meanwhile; when it became shorter, the range of a part may be past its end.
                continue
            if copied is None:
                break
            return copied
        return await self._copy_through(source, target, options)

    async def list(self, query: ListQuery) -> ListPage:
        page = await page_of(self._medium, query, self._base)
        if not query.details:
            return page
        infos = [info for info in await each(self._info, page.keys) if info is not None]
        return replace(page, keys=tuple(info.key for info in infos), objects=tuple(infos))

    async def check(self) -> None:
        """By writing, reading and removing a small object of the store's own."""
        await check_kept(self._medium, _new_id())

    async def _join(self, target: str, parts: Sequence[tuple[str, Part]], options: PutOptions) -> ObjectInfo | None:
        name = await self._written(target, options.conditions)
        chosen = []
        for key, part in parts:
            found = await self._medium.find(STAGING + key)
            if found.info(key).etag != part.etag:
                raise NotFound(key)
            chosen.append((STAGING + key, found))

        async def write(fields: dict[str, str], decide: Decide) -> bool:
            return await self._medium.join(chosen, name, fields, decide)

        try:
            return await self._make(target, name, sum(found.size for _, found in chosen), options, write)
        except Refused as error:
            raise NotFound(chosen[0][0]) from error

    async def _write(
        self,
        key: str,
        name: str,
        data: bytes | Spool,
        digests: Mapping[str, bytes],
        options: PutOptions,
        current: Found | None,
    ) -> ObjectInfo:
        size = len(data) if isinstance(data, bytes) else data.size
        for _ in range(_TRIES):
            info = self._new(key, size, digests, options, current)
            fields = self._fields(info)
            try:
                await to_its_end(self._medium.write(name, data, fields, _mode(options.conditions, current)))
            except Refused:
                current = await self._current(name)
                # Perhaps a first try came through, and only its answer did not.
                if current is None or current.fields.get(ENTRY) != fields[ENTRY]:
                    _check(options.conditions, key, current)
                    continue
            return info
        raise _crowded(key)

    async def _write_large(
        self, key: str, name: str, first: Spool, taking: Taking, options: PutOptions, current: Found | None
    ) -> ObjectInfo:
        # What is kept with the object is told at its beginning, when only announced digests are known.
        info = self._new(key, 0, options.expected, options, current)
        decide = self._decider(key, name, options.conditions)
        await self._medium.write_large(name, first, taking.rest(), self._fields(info), decide)
        return replace(info, size=taking.size)

    async def _copy_within(
        self, found: Found, sought: str, target: str, name: str, put: PutOptions
    ) -> ObjectInfo | None:
        async def write(fields: dict[str, str], decide: Decide) -> bool:
            return await self._medium.copy(sought, found, name, fields, decide)

        return await self._make(target, name, found.size, put, write)

    async def _copy_through(self, source: str, target: str, options: CopyOptions) -> ObjectInfo:
        async with self.get(source) as reading:
            check_source(options.source, reading.info)
            try:
                return await self.put(target, chunks(reading), _put_of(reading.info, options))
            except DigestMismatch as error:
                raise Corrupted(f"the object under {source!r} does not have the digest it was written with") from error

    async def _make(
        self,
        key: str,
        name: str,
        size: int,
        options: PutOptions,
        write: Callable[[dict[str, str], Decide], Coroutine[Any, Any, bool]],
    ) -> ObjectInfo | None:
        """An object that the service makes of others."""
        current = await self._current(name)
        _check(options.conditions, key, current)
        info = self._new(key, size, options.expected, options, current)
        made = await to_its_end(write(self._fields(info), self._decider(key, name, options.conditions)))
        return info if made else None

    def _decider(self, key: str, name: str, conditions: Conditions) -> Decide:
        async def decide() -> Mode:
            if conditions == UNCONDITIONAL:
                return OVERWRITE
            current = await self._current(name)
            _check(conditions, key, current)
            return _mode(conditions, current)

        return decide

    @asynccontextmanager
    async def _opened(self, key: str, name: str, options: GetOptions) -> AsyncIterator[Opened]:
        wanted = options.range
        async with AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(self._medium.read(name, wanted))
            except OutOfRange:
                # Of a range that selects something all the same, some services make more than is there.
                start, stop = _select((await self._medium.find(name)).info(key), options)
                try:
                    opened = await stack.enter_async_context(self._medium.read(name, Bounded(start, stop)))
                except OutOfRange as error:
                    raise Unavailable(f"{self._medium.name} does not give a range", retry_after=RETRY_AFTER) from error
            yield opened

    async def _info(self, key: str) -> ObjectInfo | None:
        try:
            return await self.head(key)
        except NotFound:
            return None

    async def _current(self, name: str) -> Found | None:
        try:
            return await self._medium.find(name)
        except NotFound:
            return None

    def _new(
        self, key: str, size: int, digests: Mapping[str, bytes], options: PutOptions, current: Found | None
    ) -> ObjectInfo:
        now = self._clock()
        return ObjectInfo(
            key=key,
            size=size,
            etag=options.etag or _new_id(),
            created=now if current is None else current.info(key).created,
            modified=now,
            digests=digests or NO_DIGESTS,
            attributes=options.attributes,
        )

    def _fields(self, info: ObjectInfo) -> dict[str, str]:
        return fields_of(info, identifiers_only=self._medium.identifiers_only)

    async def _written(self, key: str, conditions: Conditions) -> str:
        name = self._base + check_holdable(key) if self._base else check_visible(key)
        self._check_capable(conditions)
        if conditions != UNCONDITIONAL and not self._proven:
            await prove_conditions(self._medium, self._capabilities.name, _new_id())
            self._proven = True
        return name

    def _sought(self, key: str) -> str:
        if not self._base and is_hidden(key):
            raise NotFound(key)
        return self._base + check_holdable(key)

    def _check_capable(self, conditions: Conditions) -> None:
        if conditions != UNCONDITIONAL and not self._capabilities.conditions:
            raise Unsupported(f"{self._capabilities.name} is set to a service that cannot check conditions")


def _check(conditions: Conditions, key: str, current: Found | None) -> None:
    check_write(conditions, key, None if current is None else current.info(key))


def _select(info: ObjectInfo, options: GetOptions) -> tuple[int, int]:
    check_read(options.conditions, info)
    return resolve(options.range, info.size)


def _mode(conditions: Conditions, current: Found | None) -> Mode:
    if conditions == UNCONDITIONAL:
        return OVERWRITE
    return Create() if current is None else Replace(current.etag)


def _put_of(source: ObjectInfo, options: CopyOptions) -> PutOptions:
    """How a copy of `source` is written: with its digests, and only if the bytes still have them."""
    return PutOptions(
        attributes=source.attributes if options.attributes is None else options.attributes,
        conditions=options.conditions,
        size=source.size,
        expected=source.digests,
    )


def _crowded(key: str) -> Unavailable:
    return Unavailable(f"{key!r} is written by many at once; try again", retry_after=RETRY_AFTER)
