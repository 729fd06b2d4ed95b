"""Large bodies whose rows are lost: kept beside the store, so that whoever knows their size and digest finds them.

When an index has lost rows, a file that no row names may be the only copy of something that was acknowledged. So
it goes to DATA/lost under its name instead of being removed, and what is known of it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from objectstore.backends.engine.backupset import replace_file
from objectstore.backends.engine.directory import Directory, make_folder, sync_folder
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
    """Let DATA/lost have a file of that name with these bytes, durably; until then it stays as it was. Raises OSError.

    Whoever repairs a store must find all of what a repair before wrote down, or nothing: a part would be taken for it.
    """
    make_folder(directory.lost)
    path = directory.lost / name
    replace_file(path, data, directory.lost / f"{name}.new")
    return path


def record(directory: Directory, told: Iterable[str]) -> None:
    """Add lines to DATA/lost/report.txt, durably: who dies before it tells of a loss leaves nothing else that does.

    Raises:
        OSError: they cannot be written.
    """
    report = directory.lost / REPORT
    before = report.read_bytes() if report.exists() else b""
    lines = "".join(f"{line}\n" for line in told)
    write(directory, REPORT, before + lines.encode(errors="backslashreplace"))


def in_use(directory: Directory) -> bool:
    """Whether a living process has the store open. Call while `directory.opening()`. Raises OSError."""
    return directory.staging.is_dir() and not all(dead for _, dead in directory.processes())
