"""`python power_commands.py DISK DEFECT NAME…`: does what operators do to data folders, each in DISK/NAME, traced."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from backends.engine.damage import repair
from backends.engine.powerloss import MARKS
from objectstore.auth.linksecret import FILE_NAME, LinkSecret
from objectstore.auth.store import TokenFile
from objectstore.backends.engine import backup, backupset, rebuilding, rescue, restore, schema, transcript
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.scrub import Scrub
from objectstore.backends.engine.scrubstate import ScrubFolder

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


def rows_never_synced() -> None:
    """Neither the log of the new index nor the index itself."""
    opened: Any = schema
    opened._SYNCHRONOUS = {"full": "OFF"}


def files_never_synced() -> None:
    _patch(backupset, "os", _System())


def names_never_synced() -> None:
    for module in (backupset, rescue, rebuilding):
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


def copies_never_synced() -> None:
    _patch(transcript, "os", _System())


def places_never_synced() -> None:
    for module in (backup, backupset, restore):
        _patch(module, "sync_folder", lambda _path: None)


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
    "copies never synced": copies_never_synced,
    "places never synced": places_never_synced,
}


def back_up(root: Path, *, share: bool = False) -> None:
    backup.take(root / "data", root / "backup", now=NOW, share=share)


def bring_back(root: Path) -> None:
    restore.restore(root / "backup", root / "again", deep=True)


def mend(root: Path) -> None:
    list(check(root / "data", deep=True, repair=True, backup=root / "backup"))


def scrub(root: Path) -> None:
    with ScrubFolder(root).scrubbing() as alone:
        assert alone
        Scrub(root, now=lambda: NOW, piece=1).run()


def upgrade(root: Path) -> None:
    async def opened() -> None:
        async with EngineBackend(root):
            pass

    asyncio.run(opened())


def add_token(root: Path) -> None:
    LinkSecret(root / FILE_NAME).needed()
    TokenFile(root / "tokens.json").add("new", scopes=["read"], now=NOW, ttl=None)


# Whatever has another name is the repair of a damage.
ACTS: Final[dict[str, Callable[[Path], None]]] = {
    "backup": back_up,
    "backup again": back_up,
    "backup by links": partial(back_up, share=True),
    "restore": bring_back,
    "mend": mend,
    "scrub": scrub,
    "upgrade": upgrade,
    "token": add_token,
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
        ACTS.get(name, repair)(folder_of(disk, name))
        mark("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
