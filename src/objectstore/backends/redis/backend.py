"""Objects as Redis strings: each under its bare key, where other programs read and write them too."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from objectstore.backends.contract import Uploads
from objectstore.backends.reading import chunks
from objectstore.backends.redis import scripts
from objectstore.backends.redis.listing import list_keys
from objectstore.backends.redis.records import parse_state, told
from objectstore.backends.redis.scripts import ANY, BLOCK, OWN
from objectstore.backends.redis.server import Server
from objectstore.backends.staged import StagedUploads
from objectstore.core.conditions import check_read, check_source, check_write
from objectstore.core.digests import Digester, check_digests
from objectstore.core.ranges import resolve
from objectstore.core.streams import blocks, bounded, sized
from objectstore.errors import Corrupted, InvalidKey, NotFound, ObjectStoreError, TooLarge, Unavailable
from objectstore.values import (
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
    Streamed,
)
from objectstore.wire.records import format_time

LARGEST: Final = 512 * 1024 * 1024  # bytes of a string, as Redis has it
_CAPABILITIES: Final = Capabilities(
    name="RedisStore",
    notes=(
        "An object has 512 MiB at most.",
        "How much survives a crash is up to the persistence that the Redis server is configured for.",
        "A page of a listing takes a pass over the names of the database; a look at an object one over its bytes.",
        "Objects that other programs wrote have neither digest nor time.",
    ),
)
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()
_UPLOADS: Final = OWN + b"upload:"
_PATIENCE: Final = 3600 * 1000  # milliseconds that a body may pause
_FAREWELL: Final = 1.0  # seconds
_AT_ONCE: Final = 16  # requests of one call


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return secrets.token_hex(16)


class RedisBackend:
    """The strings of one database; nothing of another type is touched."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] = _now) -> None:
        self._server = Server(url)
        self._clock = clock
        self._space = b""  # what the names of all strings begin with
        self._uploads: StagedUploads | None = None

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def uploads(self) -> Uploads:
        if self._uploads is None:
            staging = copy(self)  # over the same connections
            staging._space = _UPLOADS  # noqa: SLF001  of this very class
            self._uploads = StagedUploads(self, staging, clock=self._clock, new_id=_new_id)
        return self._uploads

    async def __aenter__(self) -> Self:
        await self._server.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._uploads is not None:
                await self._uploads.settle()
        finally:
            await self._server.close()

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        if options.size is not None and options.size > LARGEST:
            raise TooLarge(LARGEST)
        # Now, so that a body that cannot be kept is not taken in; what counts is looked at together with the write.
        await self._allow(key, options.conditions)
        digester = Digester({*options.digests, *options.expected})
        writing = OWN + b"writing:" + _new_id().encode()
        try:
            size, whole = await self._receive(writing, body, options, digester)
            digests = digester.digests()
            check_digests(options.expected, digests)
            now = self._clock()
            said = told(options.etag or _new_id(), now, digests, options.attributes)
            while True:
                expected = await self._allow(key, options.conditions)
                outcome = await self._server.run(
                    scripts.COMMIT,
                    (self._name(key), writing),
                    *(expected, format_time(now), said, size),
                    *(() if whole is None else (whole,)),
                )
                if (info := self._done(key, outcome)) is not None:
                    return info
        except BaseException:
            # It ends by itself in any case: a server that does not answer is not waited for as long again.
            with suppress(ObjectStoreError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._server.unlink(writing)
            raise

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        yield await self._open(key, options)

    async def head(self, key: str) -> ObjectInfo:
        state, _ = await self._look(key, -1)
        return self._info(key, state)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        while True:
            expected = ANY
            if conditions != UNCONDITIONAL:
                state, _ = await self._look(key, -1)
                check_write(conditions, key, self._info(key, state))
                expected = state
            outcome = await self._server.run(scripts.DELETE, (self._name(key),), expected)
            if outcome[0] == b"absent":
                raise NotFound(key)
            if outcome[0] == b"done":
                return

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        results: list[ObjectStoreError | None] = []
        for at in range(0, len(keys), _AT_ONCE):
            results += await asyncio.gather(*map(self._deleted, keys[at : at + _AT_ONCE]))
        return results

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        while True:
            state, _ = await self._look(source, -1)
            there = self._info(source, state)
            check_source(options.source, there)
            attributes = there.attributes if options.attributes is None else options.attributes
            if not there.digests:
                return await self._copy_through(there, target, attributes, options.conditions)
            expected = await self._allow(target, options.conditions)
            now = self._clock()
            said = told(_new_id(), now, there.digests, attributes)
            names = (self._name(target), OWN + b"writing:" + _new_id().encode(), self._name(source))
            outcome = await self._server.run(scripts.COPY, names, expected, format_time(now), said, state)
            if (info := self._done(target, outcome)) is not None:
                return info

    async def list(self, query: ListQuery) -> ListPage:
        page = await list_keys(self._server, self._space, query)
        if not query.details:
            return page
        found: list[ObjectInfo | None] = []
        for at in range(0, len(page.keys), _AT_ONCE):
            found += await asyncio.gather(*map(self._known, page.keys[at : at + _AT_ONCE]))
        # What was deleted since is left out.
        objects = tuple(info for info in found if info is not None)
        return replace(page, keys=tuple(info.key for info in objects), objects=objects)

    async def check(self) -> None:
        await self._server.check()

    def _name(self, key: str) -> bytes:
        return self._space + key.encode()

    async def _look(self, key: str, limit: int) -> tuple[bytes, bytes | None]:
        """The state of what is under the key, and its bytes if there are no more than `limit`."""
        state, data = await self._server.run(scripts.LOOK, (self._name(key),), limit)
        return state, data

    def _info(self, key: str, state: bytes) -> ObjectInfo:
        if not state:
            raise NotFound(key)
        return parse_state(key, state, self._clock())

    async def _known(self, key: str) -> ObjectInfo | None:
        try:
            return await self.head(key)
        except NotFound:
            return None

    async def _deleted(self, key: str) -> ObjectStoreError | None:
        try:
            await self.delete(key)
        except ObjectStoreError as error:
            return error
        return None

    async def _allow(self, key: str, conditions: Conditions) -> bytes:
        """The state in which the object may be written; any, without conditions. Raises PreconditionFailed."""
        if conditions == UNCONDITIONAL:
            return ANY
        state, _ = await self._look(key, -1)
        check_write(conditions, key, self._info(key, state) if state else None)
        return state

    def _done(self, key: str, outcome: Sequence[bytes]) -> ObjectInfo | None:
        """The object as written; None when its state, or that of its source, was another one than expected."""
        match outcome[0]:
            case b"done":
                return self._info(key, outcome[1])
            case b"kind":
                kind = outcome[1].decode(errors="replace")
                raise InvalidKey(f"RedisStore cannot hold {key!r}: another program keeps a {kind} under that name")
            case b"lost":
                raise Unavailable("Redis lost what had been sent of the body: it was restarted, or the body paused")
            case _:
                return None

    async def _receive(
        self, writing: bytes, body: Body, options: PutOptions, digester: Digester
    ) -> tuple[int, bytes | None]:
        """Send the body to Redis under the name `writing`; its size, and instead its bytes when they are one block."""
        first, size = b"", 0
        async for block in blocks(bounded(sized(body, options.size), LARGEST), BLOCK):
            await _feed(digester, block)
            if not size:
                first = block
            else:
                if first:
                    await self._extend(writing, 0, first)
                    first = b""
                await self._extend(writing, size, block)
            size += len(block)
        return size, first if len(first) == size else None

    async def _extend(self, writing: bytes, at: int, block: bytes) -> None:
        if not await self._server.run(scripts.EXTEND, (writing,), at, block, _PATIENCE):
            self._done("", [b"lost"])

    async def _open(self, key: str, options: GetOptions) -> Reading:
        while True:
            state, data = await self._look(key, BLOCK)
            info = self._info(key, state)
            check_read(options.conditions, info)
            start, stop = resolve(options.range, info.size)
            if data is not None:
                return Reading(info, start, stop, Inline(data[start:stop]))
            if stop - start > BLOCK:
                return Reading(info, start, stop, Streamed(self._blocks(info, state, start, stop)))
            data = await self._server.run(scripts.READ, (self._name(key),), state, start, stop - start, 1)
            if data is not None:
                return Reading(info, start, stop, Inline(data))

    async def _blocks(self, info: ObjectInfo, state: bytes, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        name = self._name(info.key)
        for at in range(start, stop, BLOCK):
            count = min(BLOCK, stop - at)
            data = await self._server.run(scripts.READ, (name,), state, at, count, int(at + count == stop))
            if data is None:
                raise Corrupted(
                    f"{info.key!r} was replaced by another program, or while its reader paused: read it again"
                )
            yield data

    async def _copy_through(
        self, source: ObjectInfo, target: str, attributes: Attributes, conditions: Conditions
    ) -> ObjectInfo:
        """Copy what another program wrote: its digest has to be computed."""
        same = GetOptions(conditions=Conditions(if_match=(source.etag,)))
        async with self.get(source.key, same) as reading:
            return await self.put(target, chunks(reading), PutOptions(attributes=attributes, conditions=conditions))


async def _feed(digester: Digester, block: bytes) -> None:
    # Hashing a block takes longer than a change of threads.
    if len(block) < BLOCK // 4:
        digester.update(block)
    else:
        await asyncio.to_thread(digester.update, block)
