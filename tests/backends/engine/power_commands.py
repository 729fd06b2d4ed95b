"""`python power_commands.py DISK DEFECT NAME…`: does what operators do to data folders, each in DISK/NAME, traced."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from backends.engine.damage import repair
from backends.engine.powerloss import MARKS
from objectstore.backends.engine import backupset, rebuilding, rescue, schema


def rows_never_synced() -> None:
    """Neither the log of the new index nor the index itself."""
    opened: Any = schema
    opened._SYNCHRONOUS = {"full": "OFF"}


def files_never_synced() -> None:
    _patch(backupset, "os", _System())


def names_never_synced() -> None:
    for module in (rescue, rebuilding):
        _patch(module, "sync_folder", lambda _path: None)


def exchanged_before_the_report() -> None:
    """What is told is written once the sound index is in its place."""
    record, put = rescue.record, rebuilding.put_in_place
    kept: list[Any] = []
    _patch(rescue, "record", lambda *told: kept.append(told))

    def put_and_record(*arguments: Any) -> None:
        put(*arguments)
        record(*kept.pop())

    _patch(rebuilding, "put_in_place", put_and_record)


class _System:
    """`os`, but for one call."""

    def __getattr__(self, name: str) -> Any:
        return (lambda _fd: None) if name == "fsync" else getattr(os, name)


def _patch(module: Any, name: str, value: Any) -> None:
    setattr(module, name, value)


DEFECTS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "rows never synced": rows_never_synced,
    "files never synced": files_never_synced,
    "names never synced": names_never_synced,
    "exchanged before the report": exchanged_before_the_report,
}


def folder_of(disk: Path, name: str) -> Path:
    """Where this is done."""
    return disk / name.replace(" ", "-")


def _mark(fd: int, name: str, mark: str) -> None:
    os.write(fd, f"{name}:{mark}".encode())


def main(disk: Path, defect: str, names: list[str]) -> None:
    DEFECTS[defect]()
    fd = os.open(disk / MARKS, os.O_WRONLY | os.O_CREAT)
    for name in names:
        mark = partial(_mark, fd, name)
        mark("begin")
        repair(folder_of(disk, name))
        mark("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
