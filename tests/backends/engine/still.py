"""A data directory made by hand, row by row, without the engine; and what of a folder would survive a power cut."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from objectstore.backends.engine import schema
from objectstore.backends.engine.directory import FORMAT_NAME, FORMAT_VERSION, Directory


@dataclass(frozen=True)
class Still:
    """What is written into its index is committed at once. Each change has the next number."""

    directory: Directory
    database: sqlite3.Connection

    def object(self, key: str, body: bytes, blob: str | None = None) -> None:
        """Small bodies are in the index, those with a blob in a file."""
        seq, digest = self._keep(body, blob), hashlib.sha256(body).digest()
        values = (key, seq, len(body), digest, blob)
        self.database.execute("REPLACE INTO objects VALUES (?, ?, ?, 'e', 0, 0, ?, NULL, NULL, ?)", values)

    def part(self, upload: str, number: int, body: bytes, blob: str | None = None) -> None:
        seq, digest = self._keep(body, blob), hashlib.sha256(body).digest()
        values = (upload, number, seq, len(body), digest, blob)
        self.database.execute("INSERT INTO parts VALUES (?, ?, ?, ?, 'e', 0, ?, NULL, ?)", values)

    def remove(self, key: str) -> None:
        self.database.execute("UPDATE sequence SET last = last + 1")
        self.database.execute(
            "INSERT OR IGNORE INTO garbage SELECT 1, blob FROM objects WHERE key = ? AND blob > ''", (key,)
        )
        self.database.execute("DELETE FROM objects WHERE key = ?", (key,))

    def blob(self, name: str) -> Path:
        return Path(self.directory.blob(name))

    def _keep(self, body: bytes, blob: str | None) -> int:
        self.database.execute("UPDATE sequence SET last = last + 1")
        ((seq,),) = self.database.execute("SELECT last FROM sequence").fetchall()
        if blob is not None:
            path = self.blob(blob)
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                path.write_bytes(body)
        elif body:
            self.database.execute("INSERT INTO bodies VALUES (?, ?)", (seq, body))
        return int(seq)


@contextmanager
def still(root: Path) -> Iterator[Still]:
    """An empty one in a new folder; nothing is synced."""
    directory = Directory(root)
    for path in (directory.root, directory.blobs, directory.staging):
        path.mkdir()
    directory.format.write_text(json.dumps({"format": FORMAT_NAME, "version": FORMAT_VERSION}))
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(schema.TABLES + schema.USAGE_TABLES)
        yield Still(directory, connection)


@dataclass
class Syncs:
    """What was synced: files with what was in them, folders with the names that they had then."""

    found: dict[Path, bytes | set[str]] = field(default_factory=dict)

    def note(self, fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            self.found[path] = set(os.listdir(path))  # noqa: PTH208  names, not paths
        else:
            self.found[path] = path.read_bytes()

    def survives(self, path: Path) -> bool:
        """Whether the file is on disk under its name, whatever that was when it was synced, and so are its folders."""
        contents = path.read_bytes()
        if not any(found == contents for at, found in self.found.items() if at.parent == path.parent):
            return False
        return self.is_named(path)

    def is_named(self, path: Path) -> bool:
        """Whether the name is on disk, and so is that of each folder above that was made meanwhile."""
        names = self.found.get(path.parent)
        return isinstance(names, set) and path.name in names


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    """Nothing is synced, which takes longer than all the rest; what would be is noted."""
    noted = Syncs()
    monkeypatch.setattr(os, "fsync", noted.note)
    monkeypatch.setattr(os, "fdatasync", noted.note)
    return noted


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
