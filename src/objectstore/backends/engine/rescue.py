"""Large bodies whose rows are lost: kept beside the store, so that whoever knows their size and digest finds them.

When an index has lost rows, a file that no row names may be the only copy of something that was acknowledged. So
it goes to DATA/lost under its name instead of being removed, and what is known of it is told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from objectstore.backends.engine.directory import Directory, make_folder, sync_folder, try_lock
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.stored import digest_of


class Nameless(NamedTuple):
    """A body that no row names."""

    path: Path
    size: int  # bytes
    sha256: bytes

    def __str__(self) -> str:
        return f"{self.size} bytes, SHA-256 {self.sha256.hex()}"


def nameless(directory: Directory, index: Index) -> Iterator[Nameless]:
    """The files of bodies that no row names. Raises sqlite3.Error, OSError."""
    for folder in sorted(directory.blobs.iterdir()):
        files = sorted(entry.name for entry in folder.iterdir())
        known = index.known_among(files)
        for name in files:
            if name not in known:
                path = folder / name
                yield Nameless(path, path.stat().st_size, digest_of(str(path)))


def keep(directory: Directory, body: Nameless) -> None:
    """Move the file to DATA/lost, durably. Raises OSError."""
    make_folder(directory.lost)
    body.path.rename(directory.lost / body.path.name)
    sync_folder(directory.lost)
    sync_folder(body.path.parent)


def in_use(directory: Directory) -> bool:
    """Whether a living process has the store open. Call while `directory.opening()`. Raises OSError."""
    if not directory.staging.is_dir():
        return False
    for folder in directory.staging.iterdir():
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not try_lock(fd):
                return True
        finally:
            os.close(fd)
    return False
