"""Bringing single damaged bodies back from a backup, byte for byte.

A body is taken from the backup only if it has the size and the digest that the row in the data directory says. So
it does not matter how old the backup is: what has changed since then is simply not in it. Servers may go on
meanwhile: a file is replaced by rename, a body in the index by a transaction in its turn.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from objectstore.backends.engine import schema, transcript
from objectstore.backends.engine.backupset import BackupSet
from objectstore.backends.engine.board import Board
from objectstore.backends.engine.directory import Directory, make_folder, sync_folder
from objectstore.backends.engine.hold import held
from objectstore.backends.engine.rows import Row
from objectstore.backends.engine.stored import Bodies, Gap, Stored, digest_of
from objectstore.backends.engine.turns import Turns
from objectstore.errors import ConfigurationError

_TURN_TIMEOUT: Final = 60.0  # seconds
_SAME: Final = """
    SELECT blob, data FROM {table} LEFT JOIN bodies USING (seq)
    WHERE {table}.sha256 = :sha256 AND {table}.size = :size"""
_SAME_KEY: Final = f"{_SAME.format(table='objects')} AND key = :key"
_ANYWHERE: Final = f"{_SAME.format(table='objects')} UNION ALL {_SAME.format(table='parts')}"


class Donor:
    """A backup that bodies are taken from, while nobody changes it."""

    def __init__(self, kept: BackupSet, index: sqlite3.Connection) -> None:
        self._kept = kept
        self._index = index

    def find(self, stored: Stored) -> Path | bytes | None:
        """A sound body of this size and digest: a file, or the bytes. Raises sqlite3.Error, OSError."""
        if not stored.part and (found := self._sound(stored, _SAME_KEY)) is not None:
            return found
        # Under another key: it was copied or renamed since, or was a part then.
        return self._sound(stored, _ANYWHERE)

    def rows(self, gaps: Iterable[Gap]) -> Iterator[Row]:
        """The objects in it whose keys lie in the gaps. Raises sqlite3.Error."""
        for gap in gaps:
            columns = ", ".join(Row._fields)
            between = "key > :after AND (:before IS NULL OR key < :before)"
            query = f"SELECT {columns} FROM objects WHERE {between}"  # noqa: S608  ours
            yield from map(Row._make, self._index.execute(query, gap._asdict()))

    def _sound(self, stored: Stored, query: str) -> Path | bytes | None:
        sought = {"sha256": stored.sha256, "size": stored.size, "key": stored.name}
        for blob, data in self._index.execute(query, sought):
            if blob is None and hashlib.sha256(data or b"").digest() == stored.sha256:
                return bytes(data or b"")
            if blob is not None:
                path: Path = self._kept.blobs / blob[:2] / blob
                with suppress(OSError):
                    if digest_of(str(path)) == stored.sha256:
                        return path
        return None


@contextmanager
def donor(source: Path) -> Iterator[Donor]:
    """The backup in the folder `source`. Raises ConfigurationError, sqlite3.Error, OSError."""
    kept = BackupSet(source)
    with kept.reading():
        manifest = kept.read()
        if not manifest.state:
            raise ConfigurationError(f"there is no whole backup in {source}: the first one was cut short")
        kept.check_format(manifest)
        # Never to be changed, so no log has to be made beside it: it may lie on what can only be read.
        uri = f"{kept.index(manifest.state).absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as index:
            yield Donor(kept, index)


def mend(directory: Directory, stored: Stored, source: Donor) -> bool:
    """Put a sound body in the place of the damaged one; whether the backup has one. Raises sqlite3.Error, OSError."""
    found = source.find(stored)
    if found is None:
        return False
    # Nothing is unlinked meanwhile: so the name that a file gets is still one that a row, or garbage, knows.
    with held(directory):
        if stored.blob is None:
            data = found.read_bytes() if isinstance(found, Path) else found
            return _put_inline(directory, stored, data)
        with closing(schema.open_for_reading(directory.index)) as connection:
            if not Bodies(directory, connection).stays(stored):
                return True
        return _put_file(directory, stored, stored.blob, found)


def _put_file(directory: Directory, stored: Stored, blob: str, found: Path | bytes) -> bool:
    target = Path(directory.blob(blob))
    make_folder(target.parent)
    aside = target.with_name(f"{blob}.mended")
    if isinstance(found, Path):
        _, digest = transcript.copy(str(found), str(aside))
    else:
        aside.write_bytes(found)
        digest = hashlib.sha256(found).digest()
    if digest != stored.sha256:  # it has changed between the look and the copy
        aside.unlink()
        return False
    # It never had another mode, and a backup may have been brought here by another program.
    aside.chmod(0o600)
    fd = os.open(aside, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    aside.replace(target)
    sync_folder(target.parent)
    return True


def _put_inline(directory: Directory, stored: Stored, data: bytes) -> bool:
    with closing(Turns(directory, _TURN_TIMEOUT)) as turns, closing(Board(directory.changes)) as board:
        turns.take()
        # Closed before the turn ends: the last connection to close makes a checkpoint.
        with closing(schema.open_for_writing(directory.index, "full")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not Bodies(directory, connection).stays(stored):
                connection.execute("ROLLBACK")
                return True
            connection.execute("INSERT OR REPLACE INTO bodies VALUES (?, ?)", (stored.seq, data))
            # Servers may have kept the damaged one in memory.
            changing = board.begin([stored.name])
            try:
                connection.execute("COMMIT")
            finally:
                board.end(changing)
    return True
