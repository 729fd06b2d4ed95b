"""A bucket by obstore alone: GCS and Azure; S3 takes from it what moves bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from objectstore.backends.cloud.failures import RETRY_AFTER, OutOfRange, Refused, translating
from objectstore.backends.cloud.medium import Create, Decide, Mode, Names, Opened, Overwrite, Replace
from objectstore.backends.cloud.records import Found
from objectstore.backends.cloud.settings import Patience
from objectstore.backends.cloud.spool import Spool
from objectstore.core.listing import prefix_end
from objectstore.errors import ConfigurationError, TooLarge, Unavailable
from objectstore.values import Bounded, ByteRange, From

T = TypeVar("T")
Store: TypeAlias = S3Store | GCSStore | AzureStore
_CHUNK: Final = 256 * 1024  # bytes, at least, of each chunk that is read
_PART: Final = 5 * 1024 * 1024  # bytes: the least that services take for a part
_MOST_AT_ONCE: Final = 2  # parts on their way at the same time, of one body
_PAGE: Final = 1000
_LAST: Final = "\U0010ffff"


class ObstoreMedium:
    """See `medium.Medium`."""

    def __init__(
        self, name: str, make: Callable[[], Store], patience: Patience, *, identifiers_only: bool = False
    ) -> None:
        self.name = name
        self.identifiers_only = identifiers_only
        self._make = make
        self._store: Any = None  # what `make` gives, which the stubs of obstore take apart differently for each call
        self._patience = patience

    async def open(self) -> None:
        self._store = await asyncio.to_thread(self._made)
        await self.list("", "", grouped=False, limit=1)

    async def close(self) -> None:
        """The library keeps its pool to itself, and closes it when nobody has the store any more."""
        self._store = None

    def _made(self) -> Store:
        try:
            return self._make()
        except (BaseError, ValueError, TypeError) as error:
            # The first line says what; what follows is a dump of structures.
            raise ConfigurationError(f"{self.name}: {str(error).splitlines()[0]}") from error

    async def find(self, key: str) -> Found:
        with translating(self.name, key):
            return _found(self.name, await self._in_time(obstore.get_async(self._store, key, options={"head": True})))

    @asynccontextmanager
    async def read(self, key: str, wanted: ByteRange | None) -> AsyncIterator[Opened]:
        options: Any = None if wanted is None else {"range": await self._range(key, wanted)}
        with translating(self.name, key):
            result = await self._in_time(obstore.get_async(self._store, key, options=options))
        start, stop = result.range
        async with aclosing(self._chunks(result)) as chunks:
            yield Opened(_found(self.name, result), start, stop, chunks)

    async def write(self, key: str, data: bytes | Spool, fields: dict[str, str], mode: Mode) -> None:
        if isinstance(data, Spool) and not isinstance(mode, Overwrite):
            # obstore binds only bodies in memory to a condition; a spool is a few of its parts.
            data = b"".join([block async for block in data])
        if isinstance(data, Spool):
            await self._put_parts(key, aiter(data), fields)
            return
        with translating(self.name, key):
            result = await self._in_time(
                obstore.put_async(self._store, key, data, attributes=fields, mode=_mode(mode), use_multipart=False)
            )
        if not result["e_tag"]:
            # Something on the way answered in the place of the service.
            raise Unavailable(f"{self.name} does not acknowledge a write", retry_after=RETRY_AFTER)

    async def write_large(
        self, key: str, first: Spool, rest: AsyncIterator[bytes], fields: dict[str, str], decide: Decide
    ) -> None:
        if not isinstance(await decide(), Overwrite):
            raise TooLarge(first.size)

        async def whole() -> AsyncIterator[bytes]:
            async for block in first:
                yield block
            async for chunk in rest:
                yield chunk

        await self._put_parts(key, whole(), fields)

    async def copy(self, source: str, found: Found, target: str, fields: dict[str, str], decide: Decide) -> bool:
        # obstore copies what is known of an object along with it, and what is known of ours is of one writing.
        del source, found, target, fields, decide
        return False

    async def join(
        self, parts: Sequence[tuple[str, Found]], target: str, fields: dict[str, str], decide: Decide
    ) -> bool:
        del parts, target, fields, decide
        return False

    async def delete(self, key: str, etag: str | None) -> None:
        if etag is not None and (await self.find(key)).etag != etag:
            raise Refused(key)
        with translating(self.name, key):
            await self._in_time(obstore.delete_async(self._store, key))

    async def list(self, prefix: str, start: str, *, grouped: bool, limit: int) -> Names:
        # The library's prefixes are of whole segments and its groups come all at once: so from the first key on,
        # as far as the prefix goes, and behind each group anew.
        del grouped
        names: list[str] = []
        folder = prefix.rpartition("/")[0]
        with translating(self.name):
            stream = obstore.list(
                self._store,
                folder or None,
                offset=_spelled(before(max(prefix, start))) or None,
                chunk_size=min(limit + 1, _PAGE),
            )
            end = prefix_end(prefix) if prefix else None
            while len(names) <= limit:
                try:
                    metas = await self._in_time(anext(stream))
                except StopAsyncIteration:
                    return Names(tuple(names), more=False)
                for meta in metas:
                    key = meta["path"]
                    if end is not None and key >= end:
                        return Names(tuple(names), more=False)
                    names.append(key)
        return Names(tuple(names), more=True)

    async def _range(self, key: str, wanted: ByteRange) -> Any:
        match wanted:
            case Bounded(start, stop):
                return start, stop
            case From(start):
                return {"offset": start}
            case _:
                if self.identifiers_only:
                    # Azure knows no ranges that count from the end.
                    size = (await self.find(key)).size
                    if not size or not wanted.length:
                        raise OutOfRange(key)
                    return {"offset": max(0, size - wanted.length)}
                return {"suffix": wanted.length}

    async def _put_parts(self, key: str, chunks: AsyncIterator[bytes], fields: dict[str, str]) -> None:
        # What the body raises comes back from obstore as its own error; the body's is the one to tell.
        raised: list[BaseException] = []

        async def told() -> AsyncIterator[bytes]:
            try:
                async for chunk in chunks:
                    yield chunk
            except BaseException as error:
                raised.append(error)
                raise

        with translating(self.name, key):
            try:
                await obstore.put_async(
                    self._store, key, told(), attributes=fields, chunk_size=_PART, max_concurrency=_MOST_AT_ONCE
                )
            except Exception:
                if not raised:
                    raise
        if raised:
            raise raised[0]

    async def _chunks(self, result: Any) -> AsyncGenerator[bytes]:
        left = result.range[1] - result.range[0]
        with translating(self.name):
            stream = result.stream(min_chunk_size=_CHUNK)
            while left > 0:
                try:
                    chunk = bytes(await self._in_time(anext(stream)))
                except StopAsyncIteration:
                    raise Unavailable(
                        f"{self.name} ended a body {left} bytes before its end", retry_after=RETRY_AFTER
                    ) from None
                left -= len(chunk)
                yield chunk

    async def _in_time(self, call: Awaitable[T]) -> T:
        async with asyncio.timeout(self._patience.deadline):
            return await call


def before(start: str) -> str:
    """A name such that what follows it are `start`, all that comes after, and next to nothing else."""
    for at, character in enumerate(start):
        if character < " ":
            # No name has such a character, and no service is sure to understand it.
            return start[:at]
    if not start:
        return ""
    last = start[-1]
    previous = "\ud7ff" if last == "\ue000" else chr(ord(last) - 1)
    # Without one in front of a space: that would be a control character.
    return start[:-1] if last == " " else start[:-1] + previous + _LAST


def _spelled(start: str) -> str:
    """As much of `start` as the library takes for a path."""
    segments: list[str] = []
    for segment in start.split("/"):
        if segment in {"", ".", ".."}:
            break
        segments.append(segment)
    return "/".join(segments)


def _mode(mode: Mode) -> Any:
    match mode:
        case Create():
            return "create"
        case Replace(etag):
            return {"e_tag": etag}
        case _:
            return "overwrite"


def _found(name: str, result: Any) -> Found:
    meta = result.meta
    if not meta["e_tag"]:
        # Something on the way answered in the place of the service: a proxy, the page of a login.
        raise Unavailable(f"{name} gave an answer that is not of an object store", retry_after=RETRY_AFTER)
    return Found(size=meta["size"], etag=meta["e_tag"], modified=meta["last_modified"], fields=dict(result.attributes))
