"""The folder that a backup is kept in: its layout, its manifest, and the lock of who works on it.

    DIR/BACKUP                          the manifest: which state counts, and what is in it
    DIR/states/<id>/index.sqlite3       the index as it was at one moment
    DIR/states/<id>/FORMAT tokens.json links.key  what lay beside it
    DIR/blobs/ab/<blob>                 large bodies; they never change, so states share them

A backup adds blobs and a state, then replaces the manifest, then removes what only the state before needed.
So whenever it ends, the manifest names a state that is whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from objectstore.backends.engine.directory import FILE_MODE, Directory, make_folder, sync_folder, try_lock
from objectstore.errors import ConfigurationError

FORMAT_NAME: Final = "objectstore backup"
FORMAT_VERSION: Final = 1
FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))  # of blobs
BESIDE: Final = ("tokens.json", "links.key")  # what is kept of that which lies beside the data
_BLOBS_OF_FOLDER: Final = """
    SELECT blob, size, sha256 FROM objects WHERE blob >= :first AND blob < :end
    UNION SELECT blob, size, sha256 FROM parts WHERE blob >= :first AND blob < :end ORDER BY blob"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a folder of backups holds. `state` is empty while there is none."""

    state: str = ""
    taken: str = ""  # RFC 3339
    sequence: int = 0  # the number of the latest change in it
    objects: int = 0
    size: int = 0  # bytes of the objects, each counted
    blobs: int = 0
    blobs_size: int = 0  # bytes
    index_size: int = 0  # bytes
    index_sha256: str = ""


class WantedBlob(NamedTuple):
    """A blob that a state names."""

    name: str
    size: int  # bytes
    sha256: bytes


class BackupSet:
    """Where everything of one folder of backups is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "BACKUP"
        self.states = root / "states"
        self.blobs = root / "blobs"

    def index(self, state: str) -> Path:
        return self.states / state / "index.sqlite3"

    def check_format(self, manifest: Manifest) -> None:
        """Raises ConfigurationError: the state that counts is of a format that this release does not know."""
        directory = Directory(self.states / manifest.state)
        # Without it the backup is damaged, which is another matter, and no reason not to make a better one.
        if manifest.state and directory.format.exists():
            directory.check_format()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Alone in the folder, which is made when it is missing. Raises ConfigurationError, OSError."""
        make_folder(self.root, parents=True)
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not try_lock(fd):
                raise ConfigurationError(f"{self.root} is in use: another backup or a restore is under way")
            yield
        finally:
            os.close(fd)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While nobody changes it. Raises ConfigurationError, OSError."""
        try:
            fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            raise ConfigurationError(f"there is no backup in {self.root}: there is no such folder") from None
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigurationError(f"{self.root} is in use: a backup is under way") from None
            yield
        finally:
            os.close(fd)

    def claim(self) -> bool:
        """Make sure that the folder is one of backups; whether it is new. Call while `changing`.

        Raises:
            ConfigurationError: it holds something else. It was not touched.
        """
        if self.manifest.exists():
            return False
        # What a crash leaves of the very first step is ours.
        foreign = sorted(entry.name for entry in self.root.iterdir() if entry != self._new_manifest)
        if foreign:
            raise ConfigurationError(
                f"{self.root} holds no backup and is not empty (it holds {foreign[0]!r}); name an empty or a new folder"
            )
        self.write(Manifest())
        return True

    def read(self) -> Manifest:
        """What the folder holds. Raises ConfigurationError."""
        try:
            found = json.loads(self.manifest.read_bytes())
            name, version = found.pop("format"), found.pop("version")
        except OSError as error:
            raise ConfigurationError(f"there is no backup in {self.root}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            name, version = None, None
        if name != FORMAT_NAME or not isinstance(version, int):
            raise ConfigurationError(f"{self.manifest} is not the manifest of a backup of this store")
        if version > FORMAT_VERSION:
            raise ConfigurationError(
                f"{self.root} has the backup format {version}; this release reads up to {FORMAT_VERSION}: "
                "use the release that wrote it, or a newer one"
            )
        return _manifest(self.manifest, found)

    def write(self, manifest: Manifest) -> None:
        """Let `manifest` be what counts, durably."""
        text = json.dumps({"format": FORMAT_NAME, "version": FORMAT_VERSION, **asdict(manifest)}, indent=2) + "\n"
        replace_file(self.manifest, text.encode(), self._new_manifest)

    @property
    def _new_manifest(self) -> Path:
        return self.root / ".BACKUP.new"


def wanted(index: sqlite3.Connection, folder: str) -> list[WantedBlob]:
    """The blobs of this folder that the index names, in order. Raises sqlite3.Error."""
    # Names are lower case hexadecimal digits, and `g` follows the last of them.
    return [WantedBlob._make(row) for row in index.execute(_BLOBS_OF_FOLDER, {"first": folder, "end": f"{folder}g"})]


def write_file(path: Path, contents: bytes) -> None:
    """Make a small private file, durably but for its name."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, contents: bytes, new: Path) -> None:
    """Let a small private file have these contents, durably; until then it is as it was. Raises OSError.

    They are written to `new` beside it first, where a crash may have left something.
    """
    new.unlink(missing_ok=True)
    write_file(new, contents)
    new.rename(path)
    sync_folder(path.parent)


def _manifest(path: Path, members: dict[str, Any]) -> Manifest:
    known = {name: value for name, value in members.items() if name in Manifest.__slots__}
    state = known.get("state")
    # It becomes part of a path.
    if not isinstance(state, str) or "/" in state or state.startswith("."):
        raise ConfigurationError(f"{path} does not say which state of the store it is about")
    return Manifest(**known)
