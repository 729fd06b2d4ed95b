"""Making a sound index of a damaged one, of what stands on its sound pages, of the files of bodies, and of a backup.

The new index is written beside the old one and takes its place by rename; the old one stays in DATA/lost. So a
repair that is cut short is begun again, of the same damaged index. What has no name any more goes to DATA/lost, and
what is to be told to DATA/lost/report.txt, before the new index takes its place: a sound one is not looked at so.

A row is lost with its page. Of an object whose body is a file there is a second entry, by the file, mostly on
another page: then key, size and digest are known again, and etag, times and attributes are new. Other keys are lost
between neighbours that are known: where a tree has no page between two rows that must have one between them.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from objectstore.backends.engine import highwater, rescue, schema, steps
from objectstore.backends.engine.directory import Directory, make_folder, sync_folder
from objectstore.backends.engine.etags import Etags
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.mending import Donor
from objectstore.backends.engine.pages import Page, Value, pages
from objectstore.backends.engine.rescue import Nameless
from objectstore.backends.engine.rows import PartRow, Row, UploadRow
from objectstore.backends.engine.stored import Gap, digest_of

# Of two rows with one key the newer counts: the other was left on a page that is free, and nobody knows it.
_NEWER: Final = "INSERT INTO {} VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {} WHERE excluded.seq > {}.seq"
_MARKS: Final = ", ".join("?" * len(Row._fields))
_COLUMNS: Final = ", ".join(f"{name} = excluded.{name}" for name in Row._fields[1:])
_OBJECT: Final = _NEWER.format("objects", _MARKS, "key", _COLUMNS, "objects")
_PART_MARKS: Final = ", ".join("?" * len(PartRow._fields))
_PART_COLUMNS: Final = ", ".join(f"{name} = excluded.{name}" for name in PartRow._fields[2:])
_OTHERS: Final = {
    "parts": _NEWER.format("parts", _PART_MARKS, "upload, number", _PART_COLUMNS, "parts"),
    "uploads": f"INSERT OR IGNORE INTO uploads VALUES ({', '.join('?' * len(UploadRow._fields))})",  # noqa: S608  the columns are ours
    "garbage": "INSERT OR IGNORE INTO garbage VALUES (?, ?)",
    "bodies": "INSERT OR IGNORE INTO bodies VALUES (?, ?)",
}
# What was let go of is there again when the list of free pages is damaged.
_NAMED_GARBAGE: Final = """
    DELETE FROM garbage WHERE blob IN (SELECT blob FROM objects UNION ALL SELECT blob FROM parts)"""
_NAMELESS_BODIES: Final = """
    SELECT seq, data FROM bodies WHERE seq NOT IN (SELECT seq FROM objects) AND seq NOT IN (SELECT seq FROM parts)"""
_DIGEST: Final = 32  # bytes
_SEQUENCE: Final = 2  # the page of the number of the last change: of the table that is made first, and none ever moves
_ASIDE: Final = "index.rebuilt"


@dataclass(slots=True)
class Rebuilt:
    """What came of it."""

    gaps: list[Gap] = field(default_factory=list)  # keys that may be lost
    missing: tuple[int, int] | None = None  # changes that it had lost before, from the first to the last
    from_files: list[str] = field(default_factory=list)  # keys whose etag, times and attributes are new
    from_backup: list[str] = field(default_factory=list)  # keys as the backup has them
    kept: list[str] = field(default_factory=list)  # bodies in DATA/lost that have no name: size and digest
    nameless: Sequence[Nameless] = ()  # large ones, which are still to be kept


def rebuild(directory: Directory, source: Donor | None, step: Callable[[str], None]) -> Rebuilt:
    """Make a sound index beside the damaged one. While nobody has the store open, and until it is put in its place.

    Raises:
        sqlite3.Error, OSError: it cannot be written.
    """
    # What is in the log goes along, if SQLite still knows where it belongs.
    with (
        suppress(sqlite3.Error),
        closing(schema.open_for_writing(directory.index, "full")) as damaged,
    ):
        damaged.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    step(steps.AFTER_OLD_LOG)
    aside = directory.root / _ASIDE
    for leftover in directory.root.glob(f"{aside.name}*"):
        leftover.unlink()  # of a repair that was cut short
    schema.create(aside)
    step(steps.AFTER_EMPTY_INDEX)
    with closing(schema.open_for_writing(aside, "full")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        rebuilding = _Rebuilding(directory, connection, source)
        rebuilding.run()
        connection.execute("COMMIT")
        rebuilding.told.nameless = list(rescue.nameless(directory, Index(connection)))
        # Only the file itself will be renamed. Closing does the same, but does not tell when it fails.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    step(steps.AFTER_ROWS)
    return rebuilding.told


def put_in_place(directory: Directory, told: Rebuilt, step: Callable[[str], None]) -> None:
    """Let the sound index take the place of the damaged one. Raises OSError."""
    for body in told.nameless:
        rescue.keep(directory, body)
        step(steps.AFTER_KEEP)
    make_folder(directory.lost)
    place = _place(directory)
    for suffix in ("", "-wal"):
        old, kept = Path(f"{directory.index}{suffix}"), Path(f"{place}{suffix}")
        if old.exists() and not kept.exists():
            kept.hardlink_to(old)
    sync_folder(directory.lost)
    step(steps.AFTER_ASIDE)
    # The old log goes first: it must never be taken for that of the new index.
    for suffix in ("-wal", "-shm"):
        Path(f"{directory.index}{suffix}").unlink(missing_ok=True)
    sync_folder(directory.root)
    step(steps.AFTER_UNLOG)
    (directory.root / _ASIDE).replace(directory.index)
    sync_folder(directory.root)
    step(steps.AFTER_EXCHANGE)
    # Not before: until here a repair that is cut short has changed nothing of what the damaged index names.
    for body in told.nameless:
        body.path.unlink()


class _Rebuilding:
    def __init__(self, directory: Directory, connection: sqlite3.Connection, source: Donor | None) -> None:
        self.told = Rebuilt()
        self._directory = directory
        self._connection = connection
        self._source = source
        self._last = 0
        self._stood_at: int | None = None  # as the index says itself
        self._files: dict[str, str] = {}  # keys to blobs, as the index of blobs has them
        self._spans: list[_Span] = []

    def run(self) -> None:
        for page in pages(self._directory.index):
            self._take(page)
        marked, came_to = highwater.mark(self._directory.highwater), self._came_to()
        if came_to is not None and came_to < marked:
            self.told.missing = (came_to + 1, marked)
        self._last = max(self._last, marked)
        self.told.gaps = list(_gaps(self._spans))
        self._from_backup()
        self._from_files()
        self._connection.execute(_NAMED_GARBAGE)
        self._keep_nameless()
        self._connection.execute("UPDATE sequence SET last = ?", (self._last,))

    def _came_to(self) -> int | None:
        """The last change that is in the damaged index, as far as it tells."""
        if self._stood_at is None and _log_is_left(self._directory):
            return self._last
        return self._stood_at

    def _take(self, page: Page) -> None:
        keys: list[str] = []
        for row, row_id in zip(page.rows, page.row_ids, strict=True):
            if page.kind == "rows":
                self._take_numbered(page.number, row_id, row)
            elif (found := _object_of(row)) is not None:
                keys.append(found.key)
                self._last = max(self._last, found.seq)
                self._connection.execute(_OBJECT, found)
            elif (table := _table_of(row)) is not None:
                if table == "parts":
                    self._last = max(self._last, PartRow._make(row).seq)
                self._connection.execute(_OTHERS[table], row)
            elif len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], str):
                self._files[row[1]] = row[0]
        if keys and page.kind == "leaf":
            self._spans.append(_Span(keys[0], keys[-1], inner=False))
        elif page.kind == "inner":
            self._spans += [_Span(key, key, inner=True) for key in keys]

    def _take_numbered(self, page: int, row_id: int, row: tuple[Value, ...]) -> None:
        match row:
            case (_, bytes(data)):
                self._last = max(self._last, row_id)
                self._connection.execute(_OTHERS["bodies"], (row_id, data))
            case (_, int(last)) if page == _SEQUENCE:
                self._stood_at = last
                self._last = max(self._last, last)

    def _from_backup(self) -> None:
        for row in () if self._source is None else self._source.rows(self.told.gaps):
            # Changed since, if another file has the key.
            if not self._has(row.key) and self._files.get(row.key) in {None, row.blob}:
                self._put(row)
                self.told.from_backup.append(row.key)

    def _from_files(self) -> None:
        etags = Etags()
        for key, blob in sorted(self._files.items()):
            path = self._directory.blob(blob)
            with suppress(OSError):
                if not self._has(key):
                    found = os.stat(path)  # noqa: PTH116  as elsewhere for blobs
                    at = found.st_mtime_ns // 1000
                    self._put(Row(key, 0, found.st_size, etags.next(), at, at, digest_of(path), None, None, blob))
                    self.told.from_files.append(key)

    def _keep_nameless(self) -> None:
        bodies = self._connection.execute(_NAMELESS_BODIES).fetchall()
        for seq, data in bodies:
            place = rescue.write(self._directory, f"{seq}.body", data)
            self.told.kept.append(f"{place.name}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
        self._connection.executemany("DELETE FROM bodies WHERE seq = ?", [(seq,) for seq, _ in bodies])

    def _put(self, row: Row) -> None:
        self._last += 1
        self._connection.execute(_OBJECT, row._replace(seq=self._last))

    def _has(self, key: str) -> bool:
        return self._connection.execute("SELECT 1 FROM objects WHERE key = ?", (key,)).fetchone() is not None


@dataclass(frozen=True, slots=True)
class _Span:
    """Neighbouring keys: of a leaf, or one that stands above leaves."""

    first: str
    last: str
    inner: bool


def _gaps(spans: Iterable[_Span]) -> Iterator[Gap]:
    """Where keys are missing. In a whole tree a row that stands above leaves has a leaf on both sides."""
    inner, last = True, ""  # as if such a row came before the first
    for span in sorted(spans, key=lambda span: span.first.encode()):
        if span.inner == inner:
            yield Gap(last, span.first)
        inner, last = span.inner, span.last
    if inner:
        yield Gap(last, None)


def _object_of(row: tuple[Value, ...]) -> Row | None:
    match row:
        case (
            str(key),
            int(seq),
            int(size),
            str(etag),
            int(created),
            int(modified),
            bytes(digest),
            (str() | None) as digests,
            (str() | None) as attributes,
            (str() | None) as blob,
        ) if len(digest) == _DIGEST:
            return Row(key, seq, size, etag, created, modified, digest, digests, attributes, blob)
        case _:
            return None


def _table_of(row: tuple[Value, ...]) -> str | None:
    match row:
        case (str(), int(), int(), int(), str(), int(), bytes(digest), _, _) if len(digest) == _DIGEST:
            return "parts"
        case (str(), str(), int(), _, _, _, _, _, _, _):
            return "uploads"
        case (int(), str()):
            return "garbage"
        case _:
            return None


def _log_is_left(directory: Directory) -> bool:
    """Whether there are changes in the log that did not come along; a repair that was cut short may have moved it."""
    logs = (directory.log, Path(f"{_place(directory)}-wal"))
    return any(log.exists() and log.stat().st_size > 0 for log in logs)


def _place(directory: Directory) -> Path:
    """Where the damaged index is kept: where a repair that was cut short has kept it already, or where nothing is."""
    places = (directory.lost / f"index-{number}.sqlite3" for number in count())
    return next(
        place
        for place in places
        if (not place.exists() or place.samefile(directory.index))
        and _has_room(Path(f"{place}-wal"), log=directory.log)
    )


def _has_room(kept: Path, *, log: Path) -> bool:
    """Whether the log may be kept there, or is. One that is empty, as who looks at the index makes it, need not be."""
    return not kept.exists() or not log.exists() or log.stat().st_size == 0 or kept.samefile(log)
