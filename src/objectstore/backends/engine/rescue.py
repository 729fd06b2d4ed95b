"""Large bodies whose rows are lost: kept beside the store, so that whoever knows their size and digest finds them.

When an index has lost rows, a file that no row names may be the only copy of something that was acknowledged. So
it goes to DATA/lost under its name instead of being removed, and what is known of it is told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from objectstore.backends.engine.directory import FILE_MODE, Directory, make_folder, sync_folder, try_lock
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.stored import digest_of

REPORT: Final = "report.txt"


class Nameless(NamedTuple):
    """A body that no row names."""

    path: Path
    size: int  # bytes
    sha256: bytes

    def __str__(self) -> str:
        return f"{self.size} bytes, SHA-256 {self.sha256.hex()}"


def nameless(directory: Directory, index: Index) -> Iterator[Nameless]:
    """The files of bodies that no row names. Raises sqlite3.Error, OSError."""
    # What is elsewhere, or a folder, other programs have left.
    for folder in sorted(entry for entry in directory.blobs.iterdir() if entry.is_dir()):
        files = sorted(entry.name for entry in folder.iterdir())
        known = index.known_among(files)
        for name in files:
            path = folder / name
            if name not in known and path.is_file():
                yield Nameless(path, path.stat().st_size, digest_of(str(path)))


def keep(directory: Directory, body: Nameless) -> None:
    """Give the file a second name in DATA/lost, durably; it loses the first when the repair is done. Raises OSError."""
    make_folder(directory.lost)
    kept = directory.lost / body.path.name
    if not kept.exists():
        kept.hardlink_to(body.path)
    sync_folder(directory.lost)


def write(directory: Directory, name: str, data: bytes) -> Path:
    """Make a file of that name in DATA/lost, or again, durably. Raises OSError."""
    make_folder(directory.lost)
    path = directory.lost / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(directory.lost)
    return path


def record(directory: Directory, told: Iterable[str]) -> None:
    """Add lines to DATA/lost/report.txt, durably: who dies before it tells of a loss leaves nothing else that does.

    Raises:
        OSError: they cannot be written.
    """
    make_folder(directory.lost)
    fd = os.open(directory.lost / REPORT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
    with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{line}\n" for line in told)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(directory.lost)


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
