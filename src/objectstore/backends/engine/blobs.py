"""Large bodies: a file each, never changed once it has its name among the blobs.

A body is written to a staging file, synced, renamed into `blobs` and its folder synced, and only then does a
row name it. A crash in between leaves a blob without a row. So that opening finds those without looking at
every blob, names are reserved beforehand: a marker `staging/<process>/<batch>.batch` stands for 256 names,
and is synced before the first of them is used. It goes when all 256 are settled: named by a row, or unlinked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from objectstore.backends.engine import steps
from objectstore.backends.engine.directory import FILE_MODE, FOLDER_MODE, Directory, nearly_full, sync_folder, try_lock
from objectstore.backends.engine.schema import Durability
from objectstore.backends.statistics import Distribution

SYNCS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)  # seconds
BATCH_SIZE: Final = 256
BATCH_SUFFIX: Final = ".batch"
_PROBE: Final = "probe"


def names_of(batch: str) -> list[str]:
    """The blobs that a batch stands for. They begin differently, so they go to different folders."""
    return [f"{number:02x}{batch}" for number in range(BATCH_SIZE)]


class Blobs:
    """The blobs of a data directory and this process's folder in staging. Safe to use from several threads."""

    def __init__(self, directory: Directory, durability: Durability, step: Callable[[str], None]) -> None:
        self.directory = directory
        self.staging = directory.staging  # this process's folder in it, once open
        self.step = step
        self.durable = durability == "full"
        self.syncs = Distribution(SYNCS)  # seconds that each took
        self._lock = threading.Lock()
        self._process = -1  # fd whose lock says that this process lives
        self._batch = ""
        self._names: list[str] = []  # of the batch, not used yet
        self._unsettled: dict[str, int] = {}  # batch to how many of its names are not settled

    def open(self) -> None:
        """Make this process's folder and lock it. Call while `directory.opening()`, so that nobody sweeps it before."""
        self.staging = self.directory.staging / f"{os.getpid()}-{secrets.token_hex(4)}"
        self.staging.mkdir(mode=FOLDER_MODE)
        self._process = os.open(self.staging, os.O_RDONLY | os.O_DIRECTORY)
        try_lock(self._process)
        self.step(steps.AFTER_CLAIM)

    def close(self) -> None:
        """Give the folder up. What is unsettled then stays for the next opening to settle."""
        if self._names and self._unsettled[self._batch] == len(self._names):
            self._marker(self._batch).unlink()
        self._names, self._unsettled = [], {}
        with contextlib.suppress(OSError):
            self.staging.rmdir()
        os.close(self._process)

    def create(self) -> StagedBlob:
        """A new blob to be written. Raises OSError."""
        if nearly_full(self.directory.root):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self._lock:
            if not self._names:
                self._reserve()
            name, batch = self._names.pop(), self._batch
        return StagedBlob(self, name, batch)

    def open_to_read(self, blob: str) -> int:
        """A file descriptor."""
        return os.open(self.directory.blob(blob), os.O_RDONLY)

    def probe(self) -> None:
        """Make a file and remove it, which only a disk that can be written to allows. Raises OSError."""
        path = self.staging / _PROBE
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE))
        path.unlink(missing_ok=True)  # somebody else may be at it

    def settle(self, batch: str) -> None:
        """One name of the batch is named by a row, or has no file."""
        with self._lock:
            self._unsettled[batch] -= 1
            if self._unsettled[batch] == 0:
                del self._unsettled[batch]
                self._marker(batch).unlink()

    def _reserve(self) -> None:
        batch = secrets.token_hex(11)
        os.close(os.open(self._marker(batch), os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        if self.durable:
            sync_folder(self.staging)
            sync_folder(self.staging.parent)
        self._batch = batch
        self._names = names_of(batch)
        self._unsettled[batch] = BATCH_SIZE
        self.step(steps.AFTER_RESERVE)

    def _marker(self, batch: str) -> Path:
        return self.staging / f"{batch}{BATCH_SUFFIX}"


class StagedBlob:
    """A blob on its way. One thread at a time; ends by `keep` or `discard`, whichever way it went."""

    def __init__(self, blobs: Blobs, blob_id: str, batch: str) -> None:
        self.id = blob_id
        self._blobs = blobs
        self._batch = batch
        self._place = f"{blobs.staging}/{blob_id}"
        try:
            self._fd = os.open(self._place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        except OSError:
            blobs.settle(batch)
            raise
        blobs.step(steps.AFTER_CREATE)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self) -> None:
        """All is written: make it a blob, durably."""
        step = self._blobs.step
        step(steps.AFTER_WRITE)
        if self._blobs.durable:
            began = time.perf_counter()
            os.fdatasync(self._fd)
            self._blobs.syncs.add(time.perf_counter() - began)
        step(steps.AFTER_SYNC)
        self._close()
        path = self._blobs.directory.blob(self.id)
        try:
            os.rename(self._place, path)  # noqa: PTH104  pathlib would cost as much again
        except FileNotFoundError:
            # The first blob of this folder, in this process or another.
            with contextlib.suppress(FileExistsError):
                os.mkdir(_folder(path), FOLDER_MODE)  # noqa: PTH102  as above
            sync_folder(self._blobs.directory.blobs)
            os.rename(self._place, path)  # noqa: PTH104  as above
        self._place = path
        step(steps.AFTER_RENAME)
        if self._blobs.durable:
            sync_folder(_folder(path))
        step(steps.AFTER_FOLDER_SYNC)

    def keep(self) -> None:
        """A committed row names it."""
        self._blobs.settle(self._batch)

    def discard(self) -> None:
        """Nothing will name it. May be called at any point of its way."""
        self._close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._place)  # noqa: PTH108  as above
        if self._blobs.durable:
            # On disk before the marker goes, else a power cut could bring the blob back unaccounted.
            sync_folder(_folder(self._place))
        self._blobs.settle(self._batch)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _folder(path: str) -> str:
    return path[: path.rindex("/")]
