"""The data directory: its layout, its format version, and the locks that processes sharing it take.

    DATA/FORMAT                     what this is, and which version
    DATA/index.sqlite3              what is stored (`schema.py`)
    DATA/blobs/ab/<blob>            large bodies, a file each, never changed
    DATA/staging/<process>/<blob>   large bodies being written, a folder for each process that has the store open
    DATA/changes                    counters that tell readers what has changed (`board.py`)
    DATA/highwater                  the change that the index has come to (`highwater.py`)
    DATA/lost/<blob>                bodies whose rows are lost, kept by a repair (`rescue.py`)

Locks are `flock`s on the folders themselves, so that they need no files and end with the process:
DATA while opening, `staging` and `blobs` for taking turns at writing, `staging/<process>` for "alive".
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from objectstore.errors import ConfigurationError

FORMAT_NAME: Final = "objectstore engine"
FORMAT_VERSION: Final = 1
# Of the server, which keeps them beside its data.
GUESTS: Final = frozenset({"tokens.json", "tokens.json.lock", "links.key", "links.key.lock"})
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
RESERVE: Final = 16 * 1024 * 1024  # bytes of the disk that only deleting may use
_OPENING_TIMEOUT: Final = 60.0  # seconds; a sweep after a crash has to unlink what was left
_POLL: Final = 0.01  # seconds


class Directory:
    """Where everything of one data directory is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.format = root / "FORMAT"
        self.index = root / "index.sqlite3"
        self.log = root / "index.sqlite3-wal"
        self.changes = root / "changes"
        self.highwater = root / "highwater"
        self.blobs = root / "blobs"
        self.staging = root / "staging"
        self.lost = root / "lost"

    def blob(self, blob_id: str) -> str:
        """The path of a blob; its folder is named by the first two characters."""
        return f"{self.blobs}/{blob_id[:2]}/{blob_id}"

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """One opener at a time, over all processes. The folder is made when it is missing.

        Raises:
            ConfigurationError: it cannot be made, or another process has been opening it for a minute.
        """
        try:
            make_folder(self.root, parents=True)
            fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ConfigurationError(f"the data directory {self.root} cannot be used: {error.strerror}") from error
        try:
            deadline = time.monotonic() + _OPENING_TIMEOUT
            while not try_lock(fd):
                if time.monotonic() > deadline:
                    raise ConfigurationError(f"another process has been opening {self.root} for a minute; is it stuck?")
                time.sleep(_POLL)
            yield
        finally:
            os.close(fd)

    def processes(self) -> Iterator[tuple[Path, bool]]:
        """The folders in staging, each with whether its process is dead. Call while `opening`. Raises OSError.

        A dead one is locked while it is looked at. A process that ends may take its own away at any time.
        """
        for folder in sorted(self.staging.iterdir()):
            try:
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone by now, or not ours
            try:
                yield folder, try_lock(fd)
            finally:
                os.close(fd)

    def claim(self) -> bool:
        """Make sure that the directory is of our format; whether it is still to be filled. Call while `opening`.

        Raises:
            ConfigurationError: it holds something else, or a newer format. It was not touched.
        """
        if not self.format.exists():
            self._refuse_foreign()
            self._write_format()
            return True
        self.check_format()
        # The folder of blobs is made last, so without it a first opening was cut short.
        if not self.blobs.is_dir():
            return True
        if not self.index.is_file():
            raise ConfigurationError(f"{self.index} is missing, so nothing in {self.root} can be found; restore it")
        return False

    def check_format(self) -> None:
        """Whether this is a data directory that this release can use. Raises ConfigurationError."""
        try:
            found = json.loads(self.format.read_bytes())
            name, version = found["format"], found["version"]
        except OSError as error:
            raise ConfigurationError(f"{self.root} is not a data directory of this store: {error}") from error
        except (ValueError, KeyError, TypeError):
            name, version = None, None
        if name != FORMAT_NAME or not isinstance(version, int):
            raise ConfigurationError(f"{self.format} is not the FORMAT file of this store; name another data directory")
        if version > FORMAT_VERSION:
            raise ConfigurationError(
                f"{self.root} has format version {version}; this release reads up to {FORMAT_VERSION}: "
                "use the release that wrote it, or a newer one"
            )

    def _refuse_foreign(self) -> None:
        # What a crash leaves of the very first step is ours, and tokens may be made before there are objects.
        names = {entry.name for entry in self.root.iterdir() if not entry.name.startswith(".FORMAT-")}
        foreign = sorted(names - GUESTS)
        if foreign:
            raise ConfigurationError(
                f"{self.root} is not a data directory of this store and not empty (it holds {foreign[0]!r}); "
                "name an empty or a new folder"
            )

    def _write_format(self) -> None:
        temporary = self.root / f".FORMAT-{secrets.token_hex(4)}"
        text = json.dumps({"format": FORMAT_NAME, "version": FORMAT_VERSION}) + "\n"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self.format)
        for leftover in self.root.glob(".FORMAT-*"):
            leftover.unlink()
        sync_folder(self.root)


def make_folder(path: Path, *, parents: bool = False) -> None:
    """Make the folder unless it exists, private, and durable: the folder that names it is synced."""
    if path.is_dir():
        return
    if parents and not path.parent.is_dir():
        make_folder(path.parent, parents=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=FOLDER_MODE)
    sync_folder(path.parent)


def nearly_full(path: Path) -> bool:
    """Whether the disk has only room left for what deleting needs: the log of the index. Raises OSError."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < RESERVE or (disk.f_files > 0 and disk.f_favail == 0)


def sync_folder(path: Path | str) -> None:
    """Make the names in this folder survive the power going off."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def try_lock(fd: int) -> bool:
    """Lock the open file, unless somebody else has. The lock ends with `fd`, so with the process at the latest."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_UN)
