"""What we remember of an object beside its bytes, and whether a file is still the one that it was said of.

A record names the size and the time of last change (to the nanosecond, set by us when the file is written) of the
file that it describes. A file that another program replaced or edited has others, so the record is stale: nothing
of it is believed. A time without a fraction says little, since some file systems keep nothing finer; there the
inode must be the same too. Elsewhere it need not be, so that records outlive a move to another disk.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from objectstore.backends import recorded
from objectstore.values import Attributes, ObjectInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000_000  # nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was said of an object when its file was written."""

    size: int  # bytes
    mtime_ns: int
    inode: int
    etag: str
    created: datetime  # aware, UTC
    digests: Mapping[str, bytes]
    attributes: Attributes

    def describes(self, file: os.stat_result) -> bool:
        """Whether this file is, unchanged, the one that the record is about."""
        return (
            self.size == file.st_size
            and self.mtime_ns == file.st_mtime_ns
            and (self.mtime_ns % _SECOND != 0 or self.inode == file.st_ino)
        )


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it is."""

    info: ObjectInfo
    record: Record | None  # None: put there, or changed, by another program


def known(key: str, record: Record) -> Found:
    """What is known of an object whose file the record describes."""
    info = ObjectInfo(
        key=key,
        size=record.size,
        etag=record.etag,
        created=record.created,
        modified=time_of(record.mtime_ns),
        digests=record.digests,
        attributes=record.attributes,
    )
    return Found(info, record)


def foreign(key: str, file: os.stat_result) -> Found:
    """What the file system tells of an object; the etag follows from everything that changes with the file."""
    # Hashed, since an inode number is nobody's business. The ctime cannot be set back by a program that edits a file.
    seen = f"{file.st_ino} {file.st_size} {file.st_mtime_ns} {file.st_ctime_ns}"
    etag = hashlib.blake2b(seen.encode(), digest_size=16).hexdigest()
    modified = time_of(file.st_mtime_ns)
    return Found(ObjectInfo(key=key, size=file.st_size, etag=etag, created=modified, modified=modified), None)


@lru_cache(maxsize=8192)  # about 10 MiB
def parsed(key: str, raw: bytes) -> Found | None:
    """What a record, as stored, says of the object `key` if it describes its file; None if it is no record.

    Remembered, since of what the kernel has in memory a reading costs little more than this.
    """
    record = load(decode(raw))
    return None if record is None else known(key, record)


def nanoseconds(time: datetime) -> int:
    """Since 1970, as file systems count."""
    return (time - _EPOCH) // _MICROSECOND * 1000


def dump(record: Record) -> dict[str, Any]:
    """The record as a value of JSON; what is not set is left out."""
    value: dict[str, Any] = {
        "size": record.size,
        "mtime_ns": record.mtime_ns,
        "inode": record.inode,
        "etag": record.etag,
        "created": (record.created - _EPOCH) // _MICROSECOND,
        "digests": recorded.dump_digests(record.digests),
    }
    attributes = recorded.dump_attributes(record.attributes)
    if attributes is not None:
        value["attributes"] = attributes
    return value


def load(value: Any) -> Record | None:
    """The record that `dump` gave; None for anything else, which is as good as no record."""
    try:
        return Record(
            size=value["size"],
            mtime_ns=value["mtime_ns"],
            inode=value["inode"],
            etag=recorded.load_etag(value["etag"]),
            created=_EPOCH + timedelta(microseconds=value["created"]),
            digests=recorded.load_digests(value["digests"]),
            attributes=recorded.load_attributes(value.get("attributes")),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode(raw: bytes) -> Any:
    """The value of JSON; None when it is none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def time_of(nanoseconds: int) -> datetime:
    """The time, to the microsecond; the nearest that can be said of those that some programs give to files."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return _LATEST if nanoseconds > 0 else _EARLIEST
