"""The entries of an archive by key, and what stands at its end."""

from __future__ import annotations

import os
import struct
import weakref
import zipfile
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from zipfile import ZipInfo

from objectstore.backends.zip.entries import info_of
from objectstore.core.keys import check_key
from objectstore.core.listing import PageBuilder
from objectstore.errors import Corrupted, InvalidKey, NotFound
from objectstore.values import ListPage, ListQuery

Signature: TypeAlias = tuple[int, int, int, int]

_CENTRAL_SIZE: Final = 46  # bytes of a record of the central directory without name, extra field and comment
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_LIMIT16: Final = 0xFFFF
_LIMIT32: Final = 0xFFFFFFFF


class OpenFile:
    """A file open for reading, until the last one who uses it lets go of it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        weakref.finalize(self, os.close, fd)


class Directory:
    """What is in an archive as it was read, with what this process adds to it later.

    Folders are no objects; of several entries of one name the last counts.
    """

    def __init__(self, file: OpenFile, entries: list[ZipInfo], start: int, signature: Signature) -> None:
        self.file = file
        self.start = start  # of the central directory
        self.signature = signature
        self._entries = {entry.filename: entry for entry in entries if _is_object(entry)}
        self._order = sorted(self._entries)

    def get(self, key: str) -> ZipInfo | None:
        return self._entries.get(key)

    def find(self, key: str) -> ZipInfo:
        """The entry. Raises NotFound."""
        try:
            return self._entries[key]
        except KeyError:
            raise NotFound(key) from None

    def add(self, entries: Sequence[ZipInfo], start: int, signature: Signature) -> None:
        """Take in what was just appended."""
        for entry in entries:
            self._entries[entry.filename] = entry
            insort(self._order, entry.filename)
        self.start = start
        self.signature = signature

    def page(self, query: ListQuery) -> ListPage:
        builder = PageBuilder(query)
        while builder.position is not None:
            # A key that another thread adds in between is passed over, or comes next.
            at = bisect_left(self._order, builder.position)
            if at == len(self._order):
                break
            key = self._order[at]
            if not builder.offer(key, info_of(self._entries[key]) if query.details else None):
                break
        return builder.page()


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands behind the last entry."""

    records: bytes  # of the central directory
    count: int  # of these
    comment: bytes
    base: int  # the offset that offsets count from: not 0 when something stands before the archive

    def followed_by(self, added: bytes, count: int, start: int) -> bytes:
        """The tail with `count` more records, standing at `start` of the file."""
        records, count = self.records + added, self.count + count
        size, offset = len(records), start - self.base
        end = b""
        if count >= _LIMIT16 or size >= _LIMIT32 or offset >= _LIMIT32:
            end = _END_64.pack(b"PK\6\6", _END_64.size - 12, 45, 45, 0, 0, count, count, size, offset)
            end += _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
        short = min(count, _LIMIT16), min(size, _LIMIT32), min(offset, _LIMIT32)
        end += _END.pack(b"PK\5\6", 0, 0, short[0], *short, len(self.comment))
        return records + end + self.comment


def empty_archive() -> bytes:
    return _END.pack(b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)


def read_directory(file: OpenFile, signature: Signature) -> Directory:
    """The entries of an archive that is open. Raises zipfile.BadZipFile, OSError."""
    try:
        with open(file.fd, "rb", closefd=False) as opened, zipfile.ZipFile(opened) as archive:
            return Directory(file, archive.infolist(), archive.start_dir, signature)
    except (NotImplementedError, struct.error, ValueError) as error:
        # As the library tells of versions, records and names that it cannot make anything of.
        raise zipfile.BadZipFile(f"it cannot be read: {error}") from error


def parse_tail(raw: bytes, start: int) -> Tail:
    """What `raw` says, which stands at `start` of the file and reaches to its end. Raises Corrupted."""
    at = count = 0
    try:
        while raw[at : at + 4] == b"PK\1\2":
            name, extra, comment = struct.unpack_from("<3H", raw, at + 28)
            at += _CENTRAL_SIZE + name + extra + comment
            count += 1
        records, offset, end = raw[:at], None, at
        if raw[end : end + 4] == b"PK\6\6":
            offset = _END_64.unpack_from(raw, end)[-1]
            end = raw.index(b"PK\6\7", end) + _LOCATOR.size
        *_, short_offset, length = _END.unpack_from(raw, end)
        if raw[end : end + 4] != b"PK\5\6":
            raise Corrupted("the archive has something unknown behind its central directory; nothing is added to it")
    except (struct.error, ValueError) as error:
        raise Corrupted("the end of the archive cannot be read; nothing is added to it") from error
    comment_at = end + _END.size
    base = start - (short_offset if offset is None else offset)
    return Tail(records, count, raw[comment_at : comment_at + length], base)


def _is_object(entry: ZipInfo) -> bool:
    try:
        check_key(entry.filename)
    except InvalidKey:
        return False
    return not entry.filename.endswith("/")
