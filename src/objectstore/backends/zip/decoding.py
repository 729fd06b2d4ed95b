"""The bytes of an entry, as they lie there or decompressed, checked against their CRC when they are read whole."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import Final
from zipfile import ZipExtFile, ZipInfo

from objectstore.backends.zip.directory import OpenFile
from objectstore.errors import Corrupted, Unsupported

_LOCAL_SIZE: Final = 30  # bytes of a local header without name and extra field
_ENCRYPTED: Final = 0x1
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError)


def _what_damage_raises() -> tuple[type[Exception], ...]:
    try:
        from lzma import LZMAError
    except ImportError:
        # This Python was built without it.
        return _DAMAGED
    return *_DAMAGED, LZMAError


DAMAGED: Final = _what_damage_raises()
"""What reading a damaged entry raises."""


def refuse_unreadable(entry: ZipInfo) -> None:
    """Raises Unsupported for an entry whose bytes cannot be had."""
    if entry.flag_bits & _ENCRYPTED:
        raise Unsupported(f"the entry {entry.filename!r} of the archive is encrypted, which ZipStore cannot read")
    if entry.compress_type not in _METHODS:
        raise Unsupported(
            f"the entry {entry.filename!r} of the archive is compressed by method {entry.compress_type}, which "
            "ZipStore does not know; it knows stored, deflated, bzip2 and LZMA"
        )


def begin_of(file: OpenFile, entry: ZipInfo) -> int:
    """Where in the file the bytes of the entry begin. Raises Corrupted."""
    header = os.pread(file.fd, _LOCAL_SIZE, entry.header_offset)
    if len(header) < _LOCAL_SIZE or header[:4] != b"PK\3\4":
        raise Corrupted(f"the entry {entry.filename!r} is not where the directory of the archive says")
    name, extra = struct.unpack_from("<2H", header, 26)
    return entry.header_offset + _LOCAL_SIZE + int(name) + int(extra)


def decoded(file: OpenFile, entry: ZipInfo, begin: int) -> ZipExtFile:
    """The entry as a file to read; who reads it to the end has it checked. Raises `DAMAGED`."""
    return ZipExtFile(_Window(file, begin), "r", entry)


def damaged(entry: ZipInfo, error: Exception) -> Corrupted:
    return Corrupted(f"the entry {entry.filename!r} of the archive is damaged: {error}")


class _Window:
    """A file with a position of its own, over a descriptor that others read too."""

    def __init__(self, file: OpenFile, at: int) -> None:
        self._file = file
        self._at = at

    def read(self, size: int) -> bytes:
        data = os.pread(self._file.fd, size, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset if whence == os.SEEK_SET else self._at + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True
