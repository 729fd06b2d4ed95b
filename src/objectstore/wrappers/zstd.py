"""Objects stored as Zstandard frames, which `zstd -d` reads. Needs the package zstandard."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

import zstandard

from objectstore.backends.contract import Backend
from objectstore.errors import Corrupted
from objectstore.wrappers.pieces import PIECE
from objectstore.wrappers.transforming import Form, Transforming

DEFAULT_LEVEL: Final = 3
_MAGIC: Final = 0xFD2FB528
_SKIPPABLE: Final = 0x184D2A50  # to 0x184D2A5F
_LARGEST_BLOCK: Final = 128 * 1024
_RLE: Final = 1


class Zstd(Transforming):
    """Keeps each body as one frame of `level` 1 (fastest) to 22 (smallest) with a checksum; reads any zstd file."""

    def __init__(self, inner: Backend, level: int = DEFAULT_LEVEL) -> None:
        super().__init__(inner, Form("zstd", lambda: ZstdEncoder(level), ZstdDecoder, ("zstd",)), name="ZstdStore")


class ZstdEncoder:
    def __init__(self, level: int) -> None:
        self._frame = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()

    def feed(self, data: bytes, /) -> bytes:
        return self._frame.compress(data)

    def finish(self) -> bytes:
        return self._frame.flush()


class ZstdDecoder:
    """Several frames are one body, and skippable ones are skipped; anything else behind a frame is damage.

    The library gives out at once all that comes of its input, a gigabyte from 32 KiB if need be. So it is given
    one block (RFC 8878 §3.1.1.2) at a time, which is 128 KiB at most when it is decoded.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._whole = False  # what came so far ends with a frame
        self._skipping = False
        self._frame = _frame()
        self._steps = self._walk()
        self._wanted = next(self._steps)

    def feed(self, data: bytes, /) -> Iterator[bytes]:
        self._held += data
        at = 0
        while len(self._held) - at >= self._wanted:
            step = bytes(self._held[at : at + self._wanted])
            at += self._wanted
            self._wanted = self._steps.send(step)
            if not self._skipping and (piece := self._decode(step)):
                yield piece
        del self._held[:at]

    def finish(self) -> bytes:
        if self._held or not self._whole:
            raise Corrupted("the zstd data ends early")
        return b""

    def _decode(self, data: bytes) -> bytes:
        if self._frame.eof:
            self._frame = _frame()
        try:
            return self._frame.decompress(data)
        except zstandard.ZstdError as error:
            raise Corrupted(f"the zstd data cannot be read: {error}") from error

    def _walk(self) -> Generator[int, bytes, None]:
        """Yields how many bytes belong together next, and is sent them (RFC 8878 §3.1)."""
        while True:
            magic = int.from_bytes((yield 4), "little")
            self._whole = False
            self._skipping = magic & ~0xF == _SKIPPABLE
            if self._skipping:
                yield from self._skip()
            elif magic == _MAGIC:
                yield from _walk_frame()
            else:
                raise Corrupted("this is not zstd data, or something else stands behind it")
            self._whole = True

    def _skip(self) -> Generator[int, bytes, None]:
        left = int.from_bytes((yield 4), "little")
        while left:
            left -= len((yield min(left, PIECE)))


def _walk_frame() -> Generator[int, bytes, None]:
    descriptor = (yield 1)[0]
    single_segment = descriptor >> 5 & 1
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    if rest := 1 - single_segment + dictionary + content_size:
        yield rest
    last = False
    while not last:
        header = int.from_bytes((yield 3), "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if size > _LARGEST_BLOCK:
            raise Corrupted("the zstd data has a block that is too large")
        if length := 1 if kind == _RLE else size:
            yield length
    if descriptor >> 2 & 1:
        yield 4


def _frame() -> zstandard.ZstdDecompressionObj:
    return zstandard.ZstdDecompressor().decompressobj()
