"""Wrappers that keep bodies in another form than they come and go in."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, Protocol, TypeAlias

from objectstore.backends.contract import Backend
from objectstore.backends.reading import chunks
from objectstore.core.conditions import check_source, check_write
from objectstore.core.digests import Digester, check_digests
from objectstore.core.ranges import resolve
from objectstore.errors import Corrupted, MethodNotAllowed, NotFound, PreconditionFailed, Unsupported
from objectstore.values import (
    NO_DIGESTS,
    UNCONDITIONAL,
    Attributes,
    Body,
    Capabilities,
    Conditions,
    Content,
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
from objectstore.wrappers.bodyrecord import BodyRecord, attach, detach, note, read_note
from objectstore.wrappers.forwarding import COPY, GET, PUT
from objectstore.wrappers.pieces import PIECE, pieces
from objectstore.wrappers.reserving import Reserving, check_unreserved, seek
from objectstore.wrappers.spool import Spool
from objectstore.wrappers.threads import work

FROM_START: Final = "A range is decoded from the start of the object."
_IN_HAND: Final = 64 * 1024  # bytes that are decoded before the reading is handed out
_REMEMBERED: Final = 4096  # objects without a note: more than a page of a listing has
_AT_ONCE: Final = 8  # objects that a listing decodes at the same time

Source: TypeAlias = Callable[[], AsyncGenerator[bytes, None]]


class Encoder(Protocol):
    """From the body to what is stored, piece by piece; may be called from any thread. Raises BadRequest."""

    def feed(self, data: bytes, /) -> bytes: ...

    def finish(self) -> bytes: ...


class Decoder(Protocol):
    """Back again. Raises Corrupted, as soon as that is known."""

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        """What comes of `data`: pieces, none empty and none much larger than PIECE, made as they are asked for."""
        ...

    def finish(self) -> bytes:
        """The last piece, perhaps empty, when what was fed is whole."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """How a wrapper stores bodies."""

    name: str  # in notes, so it never changes
    encoder: Callable[[], Encoder]
    decoder: Callable[[], Decoder]
    codings: tuple[str, ...] = ()  # as `Content-Encoding` has it, where it is one


class Transforming(Reserving):
    """Keeps the body of each object in another form in the object of the same key of `inner`, and nothing else there.

    Sizes and digests are those of the body as it came; where `inner` keeps attributes, they are noted there. Objects
    without a note, written by other programs, are decoded to learn them, and remembered.

    What is noted has to be known before the inner store is given the body, which therefore waits in a spool, encoded.
    """

    def __init__(self, inner: Backend, form: Form, *, name: str) -> None:
        super().__init__(inner, name=name)
        self._form = form
        self._noting = inner.capabilities.attributes
        self._measured = _Measured()

    @property
    def capabilities(self) -> Capabilities:
        inner = self._inner.capabilities
        notes = [
            "An object is encoded into memory (1 MiB) or a temporary file before it is written.",
            FROM_START,
            "The size of an object that another program has written is known after decoding it once.",
        ]
        if not self._noting:
            notes[-1] = "Every object is decoded once to know its size: the store inside keeps no metadata."
        told = super().capabilities
        return replace(told, ranges=True, digests=inner.attributes, notes=(*inner.notes, *notes))

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        check_unreserved(key)
        if not self._inner.capabilities.write:
            # Which refuses, in words of its own and before the body has come.
            return await self._inner.put(key, body, options)
        await self._check_early(key, options.conditions)
        with Spool() as spool:
            record = await self._encode(body, options, spool)
            inside = replace(
                options,
                attributes=self._noted(options.attributes, note(record, self._form.name, spool.size)),
                size=spool.size,
                expected=NO_DIGESTS,
                digests=frozenset(),
            )
            async with aclosing(spool.chunks()) as encoded:
                held = spool.held()
                info = await self._inner.put(key, encoded if held is None else held, inside)
        if not self._noting:
            self._measured.remember(info, record)
        return self.outer(info, record)

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        seek(key)
        async with self._opened(key, options.conditions) as (info, record, source):
            start, stop = resolve(options.range, record.size)
            async with aclosing(self.decoded(info, record, source, start, stop)) as decoded:
                content: Content = Streamed(decoded)
                if stop - start <= _IN_HAND:
                    content = Inline(b"".join([piece async for piece in decoded]))
                yield Reading(self.outer(info, record), start, stop, content)

    async def head(self, key: str) -> ObjectInfo:
        return await self._seen(await super().head(key))

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        seek(source)
        check_unreserved(target)
        if options.attributes is None or not self._noting:
            return await self._seen(await self._inner.copy(source, target, options))
        return await self._seen(await self._copy(source, target, options, options.attributes))

    async def list(self, query: ListQuery) -> ListPage:
        page = await super().list(query)
        if not page.objects:
            return page
        objects = await self._seen_all(page.objects)
        return replace(page, keys=tuple(info.key for info in objects), objects=objects)

    def recorded(self, info: ObjectInfo) -> BodyRecord | None:
        """What is known of an object without decoding it, from what the inner store knows."""
        _, text = detach(info.attributes)
        record = None if text is None else read_note(text, self._form.name, info.size)
        return self._measured.find(info) if record is None else record

    def outer(self, info: ObjectInfo, record: BodyRecord) -> ObjectInfo:
        """An object as its readers see it, from what the inner store knows of it and its record."""
        attributes, text = detach(info.attributes)
        if text is None and (attributes.content_encoding or "").lower() in self._form.codings:
            # Another program has encoded the body and said so; a reader who undid it once more would fail.
            attributes = replace(attributes, content_encoding=None)
        return replace(info, size=record.size, digests=record.digests, attributes=attributes)

    async def _check_early(self, key: str, conditions: Conditions) -> None:
        # So that a body that cannot be kept is not taken in; the inner store makes the check that counts.
        if conditions == UNCONDITIONAL or not self._inner.capabilities.conditions:
            return
        with suppress(MethodNotAllowed, Unsupported):
            try:
                current = await self._inner.head(key)
            except NotFound:
                check_write(conditions, key, None)
            else:
                check_write(conditions, key, current)

    async def _encode(self, body: Body, options: PutOptions, spool: Spool) -> BodyRecord:
        digester = Digester({*options.digests, *options.expected})
        encoder = self._form.encoder()
        size = 0

        def take(piece: bytes) -> None:
            digester.update(piece)
            spool.write(encoder.feed(piece))

        async with aclosing(pieces(body, options.size)) as arriving:
            async for piece in arriving:
                await work(len(piece), take, piece)
                size += len(piece)
        await work(size, lambda: spool.write(encoder.finish()))
        digests = digester.digests()
        check_digests(options.expected, digests)
        return BodyRecord(size=size, digests=digests if self._noting else NO_DIGESTS)

    @asynccontextmanager
    async def _opened(
        self, key: str, conditions: Conditions = UNCONDITIONAL
    ) -> AsyncIterator[tuple[ObjectInfo, BodyRecord, Source]]:
        """One version of an object, and its stored bytes, which may be read again unless all is known of them."""
        async with AsyncExitStack() as stack:
            reading = await stack.enter_async_context(self._inner.get(key, GetOptions(conditions=conditions)))
            record = self.recorded(reading.info)
            source: Source = partial(chunks, reading)
            if record is None:
                if isinstance(reading.content, Streamed):
                    spool = stack.enter_context(Spool())
                    async for chunk in reading.content.chunks:
                        await work(len(chunk), spool.write, chunk)
                    source = spool.chunks
                record = await self._measure(key, source)
                self._measured.remember(reading.info, record)
            yield reading.info, record, source

    async def _measure(self, key: str, source: Source) -> BodyRecord:
        digester = Digester()
        size = 0
        async with aclosing(self._pieces(key, source)) as decoded:
            async for piece in decoded:
                if self._noting:
                    await work(len(piece), digester.update, piece)
                size += len(piece)
        return BodyRecord(size=size, digests=digester.digests() if self._noting else NO_DIGESTS)

    async def decoded(
        self, info: ObjectInfo, record: BodyRecord, source: Source, start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` to `stop`. The last of an object are given out when all of it is found to be whole."""
        at = 0
        held = b""
        async with aclosing(self._pieces(info.key, source)) as decoded:
            async for piece in decoded:
                if held:
                    yield held
                begin, at = at, at + len(piece)
                held = piece[max(0, start - begin) : max(0, stop - begin)]
                if at > record.size or (at >= stop and stop < record.size):
                    break
        if at < stop or at > record.size:
            self._measured.forget(info)
            raise Corrupted(f"{self._name}: {info.key!r} is stored with another size than {record.size} bytes")
        if held:
            yield held

    async def _pieces(self, key: str, source: Source) -> AsyncGenerator[bytes, None]:
        decoder = self._form.decoder()
        try:
            async with aclosing(source()) as stored:
                async for chunk in stored:
                    for at in range(0, len(chunk), PIECE):
                        piece = chunk[at : at + PIECE]
                        decoding = decoder.feed(piece)
                        while decoded := await work(len(piece), _some, decoding):
                            yield decoded
            if last := decoder.finish():
                yield last
        except Corrupted as error:
            raise Corrupted(f"{self._name}: {key!r} is damaged: {error}") from error

    async def _seen(self, info: ObjectInfo) -> ObjectInfo:
        """An object as its readers see it, from what the inner store knows of it."""
        record = self.recorded(info)
        if record is None:
            async with self._opened(info.key) as (info, record, _):  # noqa: PLR1704  the version that was decoded
                pass
        return self.outer(info, record)

    async def _seen_all(self, infos: Sequence[ObjectInfo]) -> tuple[ObjectInfo, ...]:
        """Those of the objects that are still there."""
        turns = asyncio.Semaphore(_AT_ONCE)
        seen: dict[str, ObjectInfo] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for info in infos:
                    if (record := self.recorded(info)) is None:
                        group.create_task(self._look(info, turns, seen))
                    else:
                        seen[info.key] = self.outer(info, record)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return tuple(seen[info.key] for info in infos if info.key in seen)

    async def _look(self, info: ObjectInfo, turns: asyncio.Semaphore, seen: dict[str, ObjectInfo]) -> None:
        async with turns:
            try:
                seen[info.key] = await self._seen(info)
            except NotFound:
                return
            except Corrupted:
                # One such object does not hide the others; whoever reads it is told.
                seen[info.key] = replace(info, attributes=detach(info.attributes)[0], digests=NO_DIGESTS)

    async def _copy(self, source: str, target: str, options: CopyOptions, attributes: Attributes) -> ObjectInfo:
        """Copy inside, with other attributes and the note that belongs to the version which is copied."""
        if not self._inner.capabilities.conditions:
            return await self._copy_through(source, target, options, attributes)
        while True:
            current = await self._inner.head(source)
            check_source(options.source, current)
            inside = replace(
                options,
                attributes=self._noted(attributes, detach(current.attributes)[1]),
                source=Conditions(if_match=(current.etag,)),
            )
            try:
                return await self._inner.copy(source, target, inside)
            except PreconditionFailed:
                if (await self._inner.head(source)).etag == current.etag:
                    raise

    async def _copy_through(self, source: str, target: str, options: CopyOptions, attributes: Attributes) -> ObjectInfo:
        # Without conditions nothing ties a note to its version but an open reading.
        async with self._inner.get(source) as reading:
            check_source(options.source, reading.info)
            inside = PutOptions(
                attributes=self._noted(attributes, detach(reading.info.attributes)[1]),
                conditions=options.conditions,
                size=reading.info.size,
            )
            return await self._inner.put(target, chunks(reading), inside)

    def _noted(self, attributes: Attributes, text: str | None) -> Attributes:
        return attach(attributes, text) if self._noting else attributes


class _Measured:
    """What was learnt of objects by decoding them, for those that were asked for last.

    Beside the etag stand size and time, for stores whose etags are weaker than ours.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, str, int, datetime], BodyRecord] = OrderedDict()

    def find(self, info: ObjectInfo) -> BodyRecord | None:
        version = _version(info)
        if version in self._records:
            self._records.move_to_end(version)
        return self._records.get(version)

    def remember(self, info: ObjectInfo, record: BodyRecord) -> None:
        self._records[_version(info)] = record
        if len(self._records) > _REMEMBERED:
            self._records.popitem(last=False)

    def forget(self, info: ObjectInfo) -> None:
        self._records.pop(_version(info), None)


def _some(decoding: Iterator[bytes]) -> bytes:
    """The next pieces together, until they are worth a change of threads; nothing at their end."""
    taken: list[bytes] = []
    length = 0
    for piece in decoding:
        taken.append(piece)
        length += len(piece)
        if length >= PIECE:
            break
    return taken[0] if len(taken) == 1 else b"".join(taken)


def _version(info: ObjectInfo) -> tuple[str, str, int, datetime]:
    return info.key, info.etag, info.size, info.modified
