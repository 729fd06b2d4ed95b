"""The folder in which the workers of a server keep what they count, so that any of them can tell of all."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_log: Final = logging.getLogger("objectstore.server")

_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX: Final = "objectstore-tallies-"
_LOCK: Final = "server.lock"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  the folders in it are made by mkdtemp


@contextmanager
def shared_tallies() -> Iterator[None]:
    """Let the workers started meanwhile share a fresh folder, unless the environment names one already.

    It is in memory where that can be had: on a disk that is busy, an addition in a mapped file may wait.
    """
    if os.environ.get(_VARIABLE):
        yield
        return
    try:
        parent = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _locked(folder)
    except OSError as error:
        _log.warning("there is no place for what workers count, so each tells /metrics of itself alone: %s", error)
        yield
        return
    os.environ[_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path) -> int:
    fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _sweep(parent: Path) -> None:
    """Remove what servers have left that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        # Another user's cannot be opened; one that is just being made has no lock yet.
        with suppress(OSError):
            fd = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(fd)
