"""What the data directory holds, byte by byte, after a kill and when all is quiet."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.backends.engine import schema
from objectstore.backends.engine.check import check
from objectstore.backends.engine.directory import GUESTS, Directory

_OWN: Final = frozenset({"FORMAT", "changes", "highwater", "index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"})
_NAMED: Final = "SELECT blob FROM objects WHERE blob IS NOT NULL UNION SELECT blob FROM parts WHERE blob IS NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the directory takes, in bytes."""

    blobs: int  # of files that objects and parts name
    garbage: int  # of files that wait to be unlinked
    index: int  # the index and its log
    files_besides: int  # files that hold bodies and that nothing names: on their way, or left behind

    @property
    def total(self) -> int:
        return self.blobs + self.garbage + self.index


def look(data: Path) -> list[str]:
    """What is wrong in a directory that nobody has open; what dead processes left is settled on the way.

    All that `objectstore check --deep` finds, and each file that is not accounted for.
    """
    if not (data / "FORMAT").exists():
        return []  # the very first opening was cut short
    wrong = [f"{finding.kind}: {finding.name}: {finding.message}" for finding in check(data, deep=True)]
    directory = Directory(data)
    named, garbage = _bodies(directory)
    for folder, _, names in os.walk(data):
        for name in names:
            where = Path(folder, name).relative_to(data).parts
            if not _expected(where, named | garbage):
                wrong.append(f"unaccounted: {'/'.join(where)}: neither the store's own nor named by its index")
    return wrong


def room(data: Path) -> Room:
    """What takes room now; of a directory that may be in use."""
    directory = Directory(data)
    files = {path.name: _size(path) for path in directory.blobs.glob("*/*")}
    staged = {path.name: _size(path) for path in directory.staging.glob("*/*") if path.suffix != ".batch"}
    named, garbage = _bodies(directory)
    return Room(
        blobs=sum(size for name, size in files.items() if name in named),
        garbage=sum(size for name, size in files.items() if name in garbage),
        index=sum(_size(path) for path in data.glob("index.sqlite3*")),
        files_besides=len(files.keys() - named - garbage) + len(staged),
    )


def _expected(where: tuple[str, ...], accounted: set[str]) -> bool:
    match where:
        case (name,):
            return name in _OWN or name in GUESTS
        case ("blobs", folder, name):
            return name in accounted and name.startswith(folder)
        case ("scrub", _):
            return True
        case _:
            return False


def _bodies(directory: Directory) -> tuple[set[str], set[str]]:
    with closing(schema.open_for_reading(directory.index)) as connection:
        connection.execute("BEGIN")
        return _column(connection, _NAMED), _column(connection, "SELECT blob FROM garbage")


def _column(connection: sqlite3.Connection, query: str) -> set[str]:
    return {value for (value,) in connection.execute(query)}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
