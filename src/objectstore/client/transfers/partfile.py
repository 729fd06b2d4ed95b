"""The file that a download grows in, beside its target, and the note of what has come of it.

`.NAME.objectstore-part` has the bytes at their places, `.NAME.objectstore-part.json` tells of which object they are and
which parts are there. The target appears, or is replaced, when all of it is there and verified.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.client.transfers import keeping
from objectstore.client.transfers.layout import Layout, numbers, runs

SUFFIX: Final = ".objectstore-part"
_VERSION: Final = 1
_LONGEST: Final = 200  # bytes of a name to which something can be added
_BLOCK: Final = 1024 * 1024  # bytes read back at once
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Begun:
    """Of which object, in which parts, a file has something."""

    site: str
    key: str
    etag: str
    layout: Layout
    digest: bytes | None  # SHA-256 of the object, when it is known


class PartFile:
    """Held by one transfer at a time; parts may be written by several threads. Closing it is harmless at any time."""

    def __init__(self, target: Path, mode: int | None = None) -> None:
        """`mode` is that of a target that is not there yet; None: as the umask is then."""
        name = target.name
        if len(os.fsencode(name)) > _LONGEST:
            name = hashlib.sha256(os.fsencode(name)).hexdigest()
        self._target = target
        self._new_mode = mode
        self.path = target.with_name(f".{name}{SUFFIX}")
        self._note = target.with_name(f"{self.path.name}.json")
        self._fd: int | None = None
        self._changing = threading.Lock()
        self._hashing = threading.Lock()
        self._begun: Begun | None = None
        self._noted = False
        self.done: set[int] = set()
        self._sha256 = hashlib.sha256()
        self._hashed = 0  # parts

    def open(self) -> None:
        """Raises BlockingIOError: another transfer has the same target; OSError: the folder cannot be written to."""
        try:
            self._fd = keeping.hold(self.path)
        except OSError as error:
            error.filename = str(self._target)  # which is what the user knows
            raise

    def earlier(self, site: str, key: str) -> Begun | None:
        """What an earlier transfer of this object had begun; its parts are `done`."""
        told = keeping.load(self._note)
        try:
            if (told["version"], told["site"], told["key"]) != (_VERSION, site, key):
                return None
            layout = Layout(int(told["size"]), int(told["part_size"]))
            done = numbers(told["done"], layout.count)
            digest = None if told["sha256"] is None else bytes.fromhex(told["sha256"])
            begun = Begun(site, key, str(told["etag"]), layout, digest)
        except (KeyError, TypeError, ValueError):
            return None
        # What was noted may not have come to the disk before a crash: the digest at the end tells, if there is one.
        if digest is None or os.fstat(self._file).st_size < max(map(layout.stop, done), default=0):
            return None
        self._begun, self.done, self._noted = begun, done, True
        return begun

    def begin(self, begun: Begun) -> None:
        """Start from nothing."""
        self._begun, self.done = begun, set()
        self._sha256, self._hashed = hashlib.sha256(), 0
        self.clear()

    def clear(self) -> None:
        """Forget what an earlier transfer has left."""
        self._unlink_note()
        os.ftruncate(self._file, 0)

    def write(self, position: int, chunks: Sequence[bytes]) -> None:
        """Raises OSError, which tells what is kept when the disk is full."""
        try:
            written = os.pwritev(self._file, chunks, position)
            left = sum(map(len, chunks)) - written
            # A disk that becomes full takes a part of it; writing the rest tells why.
            rest = memoryview(b"".join(chunks))[written:] if left else memoryview(b"")
            while rest:
                position += written
                written = os.pwrite(self._file, rest, position)
                rest = rest[written:]
        except OSError as error:
            raise self._explained(error) from error

    def reached(self, start: int, stop: int) -> None:
        """All to `stop` has been written, from `start` and the beginning of its part: note the parts that are whole."""
        layout = self._of.layout
        first = start // layout.part_size
        past = layout.count if stop == layout.size else stop // layout.part_size
        with self._changing:
            fresh = set(range(first, past)) - self.done
            if not fresh:
                return
            self.done |= fresh
            if len(self.done) < layout.count or self._noted:
                self._save()

    def hash_prefix(self) -> None:
        """Hash what has come without a gap, while it is still in memory; one thread at a time does."""
        layout = self._of.layout
        if not self._hashing.acquire(blocking=False):
            return
        try:
            while self._hashed < layout.count and self._hashed in self.done:
                for at in range(layout.start(self._hashed), layout.stop(self._hashed), _BLOCK):
                    size = min(_BLOCK, layout.stop(self._hashed) - at)
                    self._sha256.update(os.pread(self._file, size, at))
                self._hashed += 1
        finally:
            self._hashing.release()

    def is_whole(self) -> bool:
        """Whether all that was written has the digest of the object, when that is known."""
        self.hash_prefix()
        return self._of.digest is None or self._sha256.digest() == self._of.digest

    def finish(self, *, settle: bool) -> None:
        """Put it in the place of the target, its bytes being on the disk, and with `settle` its new name too."""
        self.permit()
        self.sync()
        self.place()
        if settle:
            settled(self._target.parent)

    def permit(self) -> None:
        """Give it the mode that the target has, or is to have."""
        os.fchmod(self._file, self._mode())

    def sync(self) -> None:
        """Return when its bytes are on the disk."""
        os.fsync(self._file)

    def place(self) -> None:
        """Put it in the place of the target."""
        self.path.replace(self._target)
        self._unlink_note()
        self.close()

    def drop(self) -> None:
        """Remove what has come."""
        if self._fd is not None:
            self._unlink_note()
            self.path.unlink(missing_ok=True)
            self.close()

    def give_up(self) -> None:
        """Leave what can be gone on with; remove it when there is nothing."""
        if self._noted:
            self.close()
        else:
            self.drop()

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    @property
    def _file(self) -> int:
        if self._fd is None:
            raise ValueError("the file is closed")
        return self._fd

    @property
    def _of(self) -> Begun:
        if self._begun is None:
            raise ValueError("nothing was begun")
        return self._begun

    def _save(self) -> None:
        begun = self._of
        if begun.digest is None:
            return
        keeping.note(
            self._note,
            {
                "version": _VERSION,
                "site": begun.site,
                "key": begun.key,
                "etag": begun.etag,
                "size": begun.layout.size,
                "sha256": begun.digest.hex(),
                "part_size": begun.layout.part_size,
                "done": runs(self.done),
            },
        )
        self._noted = True

    def _unlink_note(self) -> None:
        self._note.unlink(missing_ok=True)
        self._noted = False

    def _mode(self) -> int:
        with suppress(OSError):
            return stat.S_IMODE(self._target.stat().st_mode)
        return usual_mode() if self._new_mode is None else self._new_mode

    def _explained(self, error: OSError) -> OSError:
        if error.errno not in _FULL:
            return error
        kept = f"what has come is kept in {self.path.name}: make room, and download it again" if self._noted else ""
        told = f"{os.strerror(error.errno or 0)}; {kept or 'make room, and download it again'}"
        return OSError(error.errno, told, str(self._target))


def settled(folder: Path) -> None:
    """Return when the names in the folder are on the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def usual_mode() -> int:
    """That of files that are made, as the umask is now."""
    return 0o666 & ~_umask()


def _umask() -> int:
    # Setting it, the only call that tells it, would change it for other threads in between.
    with suppress(OSError, ValueError):
        told = Path("/proc/self/status").read_text().partition("Umask:")[2]
        return int(told.split(maxsplit=1)[0], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
