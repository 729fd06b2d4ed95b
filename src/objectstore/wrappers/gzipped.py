"""Objects stored as gzip, which `gunzip` reads."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.errors import Corrupted
from objectstore.wrappers.pieces import PIECE
from objectstore.wrappers.transforming import Form, Transforming

DEFAULT_LEVEL: Final = 6
_GZIP: Final = zlib.MAX_WBITS | 16


class Gzipped(Transforming):
    """Keeps each body as one gzip member of `level` 0 (none) to 9 (smallest); reads any gzip file (RFC 1952)."""

    def __init__(self, inner: Backend, level: int = DEFAULT_LEVEL) -> None:
        form = Form("gzip", lambda: GzipEncoder(level), GzipDecoder, ("gzip", "x-gzip"))
        super().__init__(inner, form, name="GzipStore")


class GzipEncoder:
    def __init__(self, level: int) -> None:
        self._member = zlib.compressobj(level, zlib.DEFLATED, _GZIP)

    def feed(self, data: bytes, /) -> bytes:
        return self._member.compress(data)

    def finish(self) -> bytes:
        return self._member.flush()


class GzipDecoder:
    """Several members are one body; zeros behind one are padding, as they are to gzip, anything else is damage."""

    def __init__(self) -> None:
        self._member = _member()
        self._begun = False  # this member
        self._complete = False  # a member before

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        while True:
            if not self._begun and self._complete:
                data = data.lstrip(b"\0")
            if data:
                self._begun = True
            piece = self._decode(data)
            data = self._member.unconsumed_tail
            if self._member.eof:
                data = self._member.unused_data
                self._member, self._begun, self._complete = _member(), False, True
            if piece:
                yield piece
            if not data:
                # What zlib may still hold comes with the next data: the checksum, at the latest.
                return

    def finish(self) -> bytes:
        if self._begun or not self._complete:
            raise Corrupted("the gzip data ends early")
        return b""

    def _decode(self, data: bytes) -> bytes:
        try:
            return self._member.decompress(data, PIECE)
        except zlib.error as error:
            raise Corrupted(f"the gzip data cannot be read: {error}") from error


def _member() -> zlib._Decompress:
    return zlib.decompressobj(_GZIP)
