"""`python power_acts.py ROOT DEFECT SCENE…`: does the scenes of the crash tests, each in a folder of its own, traced.

A write to the file `marks` says where in the trace what begins and what was acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from backends.engine.powerloss import MARKS
from backends.engine.test_engine_crashes import GRACE, NEVER, SCENES, Scene, nothing
from objectstore.backends.engine import blobs, directory, garbage, recovery
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.blobs import StagedBlob


def body_synced_after_the_commit() -> None:
    """As when the sync and the publishing are swapped: all is synced in the end, too late."""
    opened: Any = StagedBlob
    finish, keep = StagedBlob.finish, StagedBlob.keep

    def unsynced(blob: StagedBlob) -> None:
        system: Any = os
        synced = os.fdatasync
        system.fdatasync = lambda _fd: None
        try:
            finish(blob)
        finally:
            system.fdatasync = synced

    def sync_and_keep(blob: StagedBlob) -> None:
        fd = os.open(blob._blobs.directory.blob(blob.id), os.O_RDONLY)
        os.fdatasync(fd)
        os.close(fd)
        keep(blob)

    opened.finish, opened.keep = unsynced, sync_and_keep


def folders_never_synced() -> None:
    for module in (blobs, directory, garbage, recovery):
        opened: Any = module
        opened.sync_folder = lambda _path: None


def log_never_synced() -> None:
    opened: Any = EngineBackend.__init__
    opened.__kwdefaults__["durability"] = "relaxed"


DEFECTS = {
    "none": lambda: None,
    "body synced after the commit": body_synced_after_the_commit,
    "folders never synced": folders_never_synced,
    "log never synced": log_never_synced,
}


async def perform(root: Path, scene: Scene, mark: Callable[[str], None]) -> None:
    if not scene.new:
        for act in (nothing, *scene.before):
            async with EngineBackend(root, grace=NEVER) as backend:
                await act(backend)
    mark("begin")
    async with EngineBackend(root, grace=GRACE) as backend:
        await scene.act(backend)
        mark("acknowledged")
    mark("closed")


def folder_of(root: Path, name: str) -> Path:
    """Where this scene is played."""
    return root / name.replace(" ", "-")


def _mark(fd: int, name: str, mark: str) -> None:
    os.write(fd, f"{name}:{mark}".encode())


def main(root: Path, defect: str, names: list[str]) -> None:
    DEFECTS[defect]()
    fd = os.open(root / MARKS, os.O_WRONLY | os.O_CREAT)
    for name in names:
        asyncio.run(perform(folder_of(root, name), SCENES[name], partial(_mark, fd, name)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
