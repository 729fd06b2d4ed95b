"""Objects stored as Base64 (RFC 4648 §4), for stores and tools that take text only."""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.backends.reading import chunks
from objectstore.core.conditions import check_read
from objectstore.core.ranges import resolve
from objectstore.errors import Corrupted, NotFound, PreconditionFailed
from objectstore.values import NO_DIGESTS, Bounded, Capabilities, Conditions, GetOptions, Reading, Streamed
from objectstore.wrappers.bodyrecord import BodyRecord
from objectstore.wrappers.forwarding import GET
from objectstore.wrappers.reserving import seek
from objectstore.wrappers.transforming import FROM_START, Form, Transforming

_SPACE: Final = b" \t\r\n\f\v"


class Base64ed(Transforming):
    """Keeps each body as Base64 in one line; reads it in many lines too."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, Form("base64", Base64Encoder, Base64Decoder), name="Base64Store")

    @property
    def capabilities(self) -> Capabilities:
        told = super().capabilities
        if not self._inner.capabilities.ranges:
            return told
        return replace(told, notes=tuple(note for note in told.notes if note != FROM_START))

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with AsyncExitStack() as stack:
            reading = await self._part(stack, key, options)
            if reading is None:
                reading = await stack.enter_async_context(super().get(key, options))
            yield reading

    async def _part(self, stack: AsyncExitStack, key: str, options: GetOptions) -> Reading | None:
        """A range, of no more than the characters that it is in; None when the object is to be read from its start."""
        if options.range is None or not self._inner.capabilities.ranges:
            return None
        seek(key)
        info = await self._inner.head(key)
        record = self.recorded(info)
        if record is None or info.size != _stored(record.size):
            return None
        check_read(options.conditions, info)
        start, stop = resolve(options.range, record.size)
        first = start // 3 * 4
        wanted = GetOptions(range=Bounded(first, _stored(stop)), conditions=Conditions(if_match=(info.etag,)))
        try:
            reading = await stack.enter_async_context(self._inner.get(key, wanted))
        except (NotFound, PreconditionFailed):
            # It was replaced or removed just now.
            return None
        part = BodyRecord(size=min(-(-stop // 3) * 3, record.size) - start // 3 * 3, digests=NO_DIGESTS)
        decoded = self.decoded(info, part, partial(chunks, reading), start % 3, start % 3 + stop - start)
        await stack.enter_async_context(aclosing(decoded))
        return Reading(self.outer(info, record), start, stop, Streamed(decoded))


class Base64Encoder:
    """Three bytes become four characters; up to two wait for more."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes, /) -> bytes:
        data = self._held + data
        whole = len(data) // 3 * 3
        self._held = data[whole:]
        return binascii.b2a_base64(data[:whole], newline=False)

    def finish(self) -> bytes:
        return binascii.b2a_base64(self._held, newline=False)


class Base64Decoder:
    """White space is passed over; any other character, missing padding and data behind the padding are damage."""

    def __init__(self) -> None:
        self._held = b""
        self._padded = False

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        data = self._held + data.translate(None, _SPACE)
        whole = len(data) // 4 * 4
        data, self._held = data[:whole], data[whole:]
        if data:
            yield self._decode(data)

    def finish(self) -> bytes:
        if self._held:
            raise Corrupted("the Base64 data ends early")
        return b""

    def _decode(self, data: bytes) -> bytes:
        if self._padded:
            raise Corrupted("something stands behind the Base64 data")
        self._padded = data.endswith(b"=")
        try:
            return binascii.a2b_base64(data, strict_mode=True)
        except binascii.Error as error:
            raise Corrupted(f"the Base64 data cannot be read: {error}") from error


def _stored(size: int) -> int:
    """How many characters `size` bytes take in one line."""
    return -(-size // 3) * 4
