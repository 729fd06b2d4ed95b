"""Settling what dead processes left: their folders in staging whose lock can be taken.

What lies in such a folder is a body that was never finished, or the marker of a batch of blobs (`blobs.py`).
A blob of a batch that no row names was renamed but not committed: it goes. The folder goes last, so a crash
during the sweep leaves all that is needed to sweep again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from objectstore.backends.engine import steps
from objectstore.backends.engine.blobs import BATCH_SUFFIX, names_of
from objectstore.backends.engine.directory import Directory, make_folder, sync_folder
from objectstore.backends.engine.index import Index


def sweep(directory: Directory, index: Index, step: Callable[[str], None]) -> int:
    """Settle every folder of a dead process; how many there were. Call while `directory.opening()`.

    Nobody makes a folder meanwhile, so one that is not locked has no living owner.
    """
    make_folder(directory.staging)  # empty in a backup, and so perhaps not in it
    swept = 0
    for folder, dead in directory.processes():
        if dead:
            _sweep_process(directory, index, folder, step)
            swept += 1
    return swept


def _sweep_process(directory: Directory, index: Index, folder: Path, step: Callable[[str], None]) -> None:
    for marker in folder.glob(f"*{BATCH_SUFFIX}"):
        _sweep_batch(directory, index, marker.name.removesuffix(BATCH_SUFFIX))
    step(steps.AFTER_SWEEP_BLOBS)
    with contextlib.suppress(FileNotFoundError):  # its process ended in the ordinary way, just now
        shutil.rmtree(folder)
    step(steps.AFTER_SWEEP)


def _sweep_batch(directory: Directory, index: Index, batch: str) -> None:
    names = names_of(batch)
    known = index.known_among(names)
    for blob in names:
        if blob in known:
            continue
        path = directory.blob(blob)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108  256 times a batch, and pathlib would double it
            # On disk before the marker goes, as always.
            sync_folder(path[: path.rindex("/")])
