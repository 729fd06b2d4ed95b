"""Bodies that the index names, one by one: is each there, and as it was written?

It may be asked beside processes that have the store open. What was overwritten or deleted while it was looked at
is no fault. What was read from a file is let go of again, so that the pages that readers need stay in memory.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.failures import is_damage
from objectstore.backends.engine.index import Index

FaultKind: TypeAlias = Literal["missing", "wrong-size", "wrong-digest", "unreadable"]

BLOCK: Final = 1024 * 1024  # bytes
_AT_ONCE: Final = 1000  # rows
_STORED: Final = """
    SELECT key, size, sha256, blob, objects.seq, length(data) FROM objects LEFT JOIN bodies USING (seq)
    WHERE key >= ? ORDER BY key LIMIT ?"""
_ROWS: Final = "SELECT key, size, sha256, blob, seq FROM objects WHERE key >= ? ORDER BY key LIMIT ?"
_ROWS_BACK: Final = "SELECT key FROM objects WHERE key > ? ORDER BY key DESC"
_ROW_BACK: Final = """
    SELECT key, size, sha256, blob, seq FROM objects
    WHERE key > ? AND key < coalesce(?, x'') ORDER BY key DESC LIMIT 1"""
_ROW_FROM_BEHIND: Final = """
    SELECT key, size, sha256, blob, seq FROM objects WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1"""
_PARTS: Final = """
    SELECT upload, number, size, sha256, blob, parts.seq, length(data) FROM parts LEFT JOIN bodies USING (seq)
    WHERE (upload, number) > (?, ?) ORDER BY upload, number LIMIT ?"""
_SIZE: Final = "SELECT length(data) FROM bodies WHERE seq = ?"
_OBJECT_STAYS: Final = "SELECT EXISTS (SELECT 1 FROM objects WHERE key = ? AND seq = ?)"
_PART_STAYS: Final = "SELECT EXISTS (SELECT 1 FROM parts WHERE upload || '/' || number = ? AND seq = ?)"


@dataclass(frozen=True, slots=True)
class Stored:
    """A body, as its row tells."""

    name: str  # the key, or `upload/number` of a part
    size: int  # bytes
    sha256: bytes
    blob: str | None
    seq: int
    inline_size: int | None = None  # bytes that are there
    readable: bool = True
    part: bool = False


class Fault(NamedTuple):
    """What is wrong with a body."""

    kind: FaultKind
    message: str


class Gap(NamedTuple):
    """Keys that a damaged index does not tell any more: those after the one and before the other."""

    after: str
    before: str | None  # None: all that follow

    def __str__(self) -> str:
        before = "" if self.before is None else f" and before {self.before!r}"
        after = f"after {self.after!r}" if self.after else "from the first on"
        return f"keys {after}{before} cannot be listed"


def no_reading(_size: int) -> None:
    """Nobody wants to know how many bytes were read."""


class Bodies:
    """The bodies of a data directory, through one connection that reads. Raises sqlite3.Error, OSError."""

    def __init__(self, directory: Directory, connection: sqlite3.Connection) -> None:
        self._directory = directory
        self._execute = connection.execute
        self._index = Index(connection)
        self.gaps: list[Gap] = []  # that `objects` came upon

    def objects(self, after: str | None = None) -> Iterator[Stored]:
        """In the order of their keys, beginning after that one."""
        start: str | None = "" if after is None else after + "\0"
        while start is not None:
            rows = self._some(start)
            if rows is None:
                gap = self._gap(start)
                self.gaps.append(gap)
                start = gap.before
                continue
            if not rows:
                return
            yield from rows
            start = rows[-1].name + "\0"

    def parts(self, after: str | None = None) -> Iterator[Stored]:
        """Those of unfinished uploads, beginning after the one of that name."""
        upload, _, last = ("" if after is None else after).rpartition("/")
        number = int(last or 0)
        while rows := self._execute(_PARTS, (upload, number, _AT_ONCE)).fetchall():
            for upload, number, size, sha256, blob, seq, inline_size in rows:
                yield Stored(f"{upload}/{number}", size, sha256, blob, seq, inline_size, part=True)

    def fault(self, stored: Stored, *, deep: bool, reading: Callable[[int], None] = no_reading) -> Fault | None:
        """What is wrong with the body; `deep` reads it, and tells how many bytes, block by block."""
        found = self.look(stored, deep=deep, reading=reading)
        # Overwritten or deleted since the row was read? Then this is no fault.
        return found if found is not None and self.stays(stored) else None

    def stays(self, stored: Stored) -> bool:
        """Whether its row is as it was."""
        query = _PART_STAYS if stored.part else _OBJECT_STAYS
        return bool(self._execute(query, (stored.name, stored.seq)).fetchone()[0])

    def look(self, stored: Stored, *, deep: bool, reading: Callable[[int], None] = no_reading) -> Fault | None:
        """What seems wrong, whether or not its row is still as it was."""
        if not stored.readable:
            return Fault("unreadable", "the body is in a damaged part of the index")
        try:
            size, digest = self._inline(stored, deep) if stored.blob is None else self._file(stored, deep, reading)
        except FileNotFoundError:
            return Fault("missing", "the body is missing")
        except OSError as error:
            return Fault("unreadable", f"the body cannot be read: {error.strerror or error}")
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            return Fault("unreadable", f"the body cannot be read: {error}")
        if size is None:
            return Fault("missing", "the body is missing")
        if size != stored.size:
            return Fault("wrong-size", f"the body has {size} bytes, not {stored.size}")
        if digest not in {None, stored.sha256}:
            return Fault("wrong-digest", "the body is not what was written")
        return None

    def _inline(self, stored: Stored, deep: bool) -> tuple[int | None, bytes | None]:
        if not deep or (stored.size and stored.inline_size is None):
            return (stored.inline_size if stored.size else 0), None
        data = self._index.body(stored.seq) or b""
        return len(data), hashlib.sha256(data).digest()

    def _file(self, stored: Stored, deep: bool, reading: Callable[[int], None]) -> tuple[int, bytes | None]:
        path = self._directory.blob(str(stored.blob))
        size = os.stat(path).st_size  # noqa: PTH116  once a blob, and pathlib would double it
        return size, digest_of(path, reading) if deep and size == stored.size else None

    def _some(self, start: str) -> list[Stored] | None:
        """The next bodies, or none; None when the index is damaged here."""
        try:
            return [Stored(*row) for row in self._execute(_STORED, (start, _AT_ONCE)).fetchall()]
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
        for count in (_AT_ONCE, 1):
            try:
                rows = self._execute(_ROWS, (start, count)).fetchall()
            except sqlite3.Error:
                continue
            return [self._apart(Stored(*row)) for row in rows]
        with suppress(sqlite3.Error):
            # On an upper page, it is not found by way of a damaged page before it, but by way of the one behind.
            rows = self._execute(_ROW_FROM_BEHIND, (start, start)).fetchall()
            return [self._apart(Stored(*row)) for row in rows] or None
        return None

    def _apart(self, stored: Stored) -> Stored:
        """With the size of the body, asked for itself: another page may be sound where that of its row is."""
        if stored.blob is not None or not stored.size:
            return stored
        name, size, sha256, seq = stored.name, stored.size, stored.sha256, stored.seq
        try:
            found = self._execute(_SIZE, (seq,)).fetchone()
        except sqlite3.Error:
            return Stored(name, size, sha256, None, seq, readable=False)
        return Stored(name, size, sha256, None, seq, None if found is None else found[0])

    def _gap(self, start: str) -> Gap:
        """From the other end, as far as that goes."""
        before: str | None = None
        try:
            for (key,) in self._execute(_ROWS_BACK, (start,)):  # pragma: no branch  it ends at the damage
                before = key
        except sqlite3.Error:
            pass
        # Python looks for one more row before it gives one, and so keeps back the last that can be read.
        with suppress(sqlite3.Error):
            for row in self._execute(_ROW_BACK, (start, before)).fetchall():
                before = row[0]
        return Gap(start.removesuffix("\0"), before)


def digest_of(path: str, reading: Callable[[int], None] = no_reading) -> bytes:
    """The SHA-256 of a file. What it takes from the page cache it gives back. Raises OSError."""
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY)
    try:
        at = 0
        while block := os.read(fd, BLOCK):
            digest.update(block)
            os.posix_fadvise(fd, at, len(block), os.POSIX_FADV_DONTNEED)
            at += len(block)
            reading(len(block))
    finally:
        os.close(fd)
    return digest.digest()
