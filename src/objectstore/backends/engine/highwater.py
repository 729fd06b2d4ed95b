"""How far the index is known to have come, kept outside of it: so that one that has gone back is noticed.

A log that was removed after a crash, or an older index in the place of the newer, looks sound by itself: what was
acknowledged last is just not in it. So each commit leaves its number in a small file, and an index that ends before
that number is not opened.

The mark must never say more than what is on disk, or a sound store would be refused:

- It is written after the commit has returned, by who has the pen, so it only rises and is never ahead of the index
  while processes die: what they wrote is in the kernel's memory, which their end does not touch.
- It is not synced, so a power cut may leave any earlier mark, or none. With `durability: full` the commit was synced
  before the mark was written at all, and a file system may write it early, but not before it is written. Likewise a
  mark is as old as the index or older in a snapshot of the file system.
- With `durability: relaxed` a power cut may take commits whose mark is on disk. So such a mark holds for the boot of
  the system in which it was written; another one goes by the last mark that was written after a sync.
- It is one write of less than a sector, with a checksum: a mark that is torn, empty or foreign says nothing.

A mark that cannot be written is left as it is: then it says less, which it always may.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from objectstore.backends.engine.directory import FILE_MODE
from objectstore.backends.engine.schema import Durability
from objectstore.errors import ConfigurationError

_MARK: Final = struct.Struct("<QQQ")  # the change that is on disk, the change that is committed, in which boot
_CHECKED: Final = struct.Struct("<I")
_ANY_BOOT: Final = 0
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class HighWater:
    """The mark of one data directory, for its writers. Made when missing."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        # Without a way to tell boots apart, what is relaxed is not marked.
        self._boot = _ANY_BOOT if durability == "full" else _boot()
        self._relaxed = durability != "full"
        self._safe, _ = _read(self._fd)

    def reach(self, seq: int) -> None:
        """Say that the index has come to this change. Call with the pen, after the commit."""
        if self._relaxed:
            if self._boot != _ANY_BOOT:
                self._write(self._safe, seq, self._boot)
        else:
            self._write(seq, seq, _ANY_BOOT)

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, safe: int, seq: int, boot: int) -> None:
        with suppress(OSError):
            os.pwrite(self._fd, _packed(safe, seq, boot), 0)


def mark(path: Path) -> int:
    """The change that the index has come to at least; 0 when nothing is known. Raises OSError.

    Look at it before the index, since both go on.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        safe, in_this_boot = _read(fd)
    finally:
        os.close(fd)
    return max(safe, in_this_boot)


def check(index: Path, marked: int, last: int) -> None:
    """Whether an index with changes up to `last` is as far as it was marked. Raises ConfigurationError."""
    if last < marked:
        raise ConfigurationError(
            f"{index} has changes up to {last} only, and {marked} were acknowledged: its log ({index.name}-wal) was "
            "removed, or the index replaced by an older one; put it back, restore a backup, or have the loss accepted "
            f"by `objectstore check {index.parent} --repair`"
        )


def accept(path: Path, seq: int) -> None:
    """Let this be the mark, though another one was higher. While nobody has the store open. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        os.pwrite(fd, _packed(seq, seq, _ANY_BOOT), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _packed(safe: int, seq: int, boot: int) -> bytes:
    told = _MARK.pack(safe, seq, boot)
    return told + _CHECKED.pack(crc32(told))


def _read(fd: int) -> tuple[int, int]:
    found = os.pread(fd, _MARK.size + _CHECKED.size, 0)
    told = found[: _MARK.size]
    if len(found) < _MARK.size + _CHECKED.size or _CHECKED.unpack(found[_MARK.size :])[0] != crc32(told):
        return 0, 0
    safe, seq, boot = _MARK.unpack(told)
    return safe, seq if boot in {_ANY_BOOT, _boot()} else 0


def _boot() -> int:
    try:
        return int(_BOOT_ID.read_text().replace("-", "")[:16], 16) or 1
    except (OSError, ValueError):
        return _ANY_BOOT
