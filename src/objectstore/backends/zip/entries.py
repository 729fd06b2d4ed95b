"""What an entry says of an object, and how an entry of ours is written (PKWARE's APPNOTE, §4.3 and §4.5).

Our entries are stored, not compressed, so that a range is read where it lies. What is known of the object is JSON in
an extra field of the central directory, and believed as long as size and CRC in it are those of the entry.
"""

from __future__ import annotations

import hashlib
import json
import struct
from calendar import timegm
from datetime import UTC, datetime
from typing import Any, Final
from zipfile import ZipInfo

from objectstore.backends import recorded
from objectstore.backends.filesystem.records import nanoseconds, time_of
from objectstore.values import ObjectInfo

FIELD: Final = 0x4A4F  # of the extra field that is ours: "OJ"
_ZIP64: Final = 0x0001
_LIMIT32: Final = 0xFFFFFFFF
_UTF8: Final = 0x800
_VERSION: Final = 20
_VERSION_64: Final = 45
_UNIX: Final = 3 << 8
_MODE: Final = 0o100644 << 16
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")


def info_of(entry: ZipInfo) -> ObjectInfo:
    """What is known of the object in an entry, be it ours or another program's."""
    told = _told(entry)
    try:
        if told is not None and (told["size"], told["crc32"]) == (entry.file_size, entry.CRC):
            return ObjectInfo(
                key=entry.filename,
                size=entry.file_size,
                etag=recorded.load_etag(told["etag"]),
                created=time_of(told["modified"] * 1000),
                modified=time_of(told["modified"] * 1000),
                digests=recorded.load_digests(told["digests"]),
                attributes=recorded.load_attributes(told.get("attributes")),
            )
    except (AttributeError, KeyError, TypeError, ValueError):
        # Nothing that we wrote.
        pass
    seen = f"{entry.filename} {entry.header_offset} {entry.file_size} {entry.CRC} {entry.date_time}"
    etag = hashlib.blake2b(seen.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    modified = _time(entry)
    return ObjectInfo(key=entry.filename, size=entry.file_size, etag=etag, created=modified, modified=modified)


def new_entry(info: ObjectInfo, crc: int, offset: int) -> ZipInfo:
    """The entry of an object that is to lie at `offset` of the file."""
    year, *rest = info.modified.utctimetuple()[:6]
    entry = ZipInfo(info.key, (max(year, 1980), *rest))  # type: ignore[arg-type]  # six numbers
    # Its constructor minds the path separators of some systems.
    entry.filename = info.key
    entry.file_size = entry.compress_size = info.size
    entry.CRC = crc
    entry.header_offset = offset
    told: dict[str, Any] = {
        "size": info.size,
        "crc32": crc,
        "etag": info.etag,
        "modified": nanoseconds(info.modified) // 1000,
        "digests": recorded.dump_digests(info.digests),
    }
    attributes = recorded.dump_attributes(info.attributes)
    if attributes is not None:
        told["attributes"] = attributes
    raw = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    entry.extra = struct.pack("<2H", FIELD, len(raw)) + raw
    return entry


def local_header(entry: ZipInfo) -> bytes:
    """What stands before the bytes of an entry of ours."""
    name, flags = _name(entry)
    extra, size, version = b"", entry.file_size, _VERSION
    if size >= _LIMIT32:
        extra = struct.pack("<2H2Q", _ZIP64, 16, size, size)
        size, version = _LIMIT32, _VERSION_64
    fields = _LOCAL.pack(b"PK\3\4", version, flags, 0, *_dos_time(entry), entry.CRC, size, size, len(name), len(extra))
    return fields + name + extra


def central_header(entry: ZipInfo, *, base: int) -> bytes:
    """What stands in the central directory for an entry of ours; offsets count from `base`."""
    name, flags = _name(entry)
    size, offset, version = entry.file_size, entry.header_offset - base, _VERSION
    large: list[int] = []
    if size >= _LIMIT32:
        large += [size, size]
        size = _LIMIT32
    if offset >= _LIMIT32:
        large.append(offset)
        offset = _LIMIT32
    extra = entry.extra
    if large:
        version = _VERSION_64
        extra = struct.pack(f"<2H{len(large)}Q", _ZIP64, 8 * len(large), *large) + extra
    fields = _CENTRAL.pack(
        *(b"PK\1\2", _UNIX | version, version, flags, 0, *_dos_time(entry), entry.CRC, size, size),
        *(len(name), len(extra), 0, 0, 0, _MODE, offset),
    )
    return fields + name + extra


def _name(entry: ZipInfo) -> tuple[bytes, int]:
    name = entry.filename.encode()
    return name, 0 if entry.filename.isascii() else _UTF8


def _dos_time(entry: ZipInfo) -> tuple[int, int]:
    year, month, day, hour, minute, second = entry.date_time
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day


def _time(entry: ZipInfo) -> datetime:
    # Zip files have no time zone; some programs leave out the date.
    try:
        return datetime.fromtimestamp(timegm((*entry.date_time, 0, 0, 0)), UTC)
    except (ValueError, OverflowError):
        return datetime(1980, 1, 1, tzinfo=UTC)


def _told(entry: ZipInfo) -> Any:
    extra, at = entry.extra, 0
    while at + 4 <= len(extra):
        field, length = struct.unpack_from("<2H", extra, at)
        if field == FIELD:
            try:
                return json.loads(extra[at + 4 : at + 4 + length])
            except (ValueError, RecursionError):
                return None
        at += 4 + length
    return None
