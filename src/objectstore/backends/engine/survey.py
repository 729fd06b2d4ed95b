"""How much there is in a data directory, looked at without disturbing those who use it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import Final

from objectstore.backends.engine import schema
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.scrubstate import ScrubFolder, State
from objectstore.backends.statistics import Level
from objectstore.errors import Corrupted

_LOOKED_AT: Final = 1000  # blobs whose sizes are asked for; those of more are estimated by these
_SHARE: Final = 100  # the whole table is counted again after so many times as long as it took


class Survey:
    """Looks when asked, in a thread. What takes long it tells as it was a while ago."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._counted: tuple[int, int] = (0, 0)  # objects, and their bytes
        self._count_from = 0.0  # on the monotonic clock

    def levels(self) -> list[Level]:
        """Raises OSError, sqlite3.Error."""
        directory = self._directory
        disk = os.statvfs(directory.root)
        with closing(schema.open_for_reading(directory.index)) as connection:
            garbage, garbage_bytes = self._garbage(connection)
            ((uploads,),) = connection.execute("SELECT count(*) FROM uploads WHERE completed IS NULL").fetchall()
            objects, size = self._objects(connection)
            found = {
                "objects": objects,
                "object_bytes": size,
                "uploads_open": uploads,
                "engine_garbage_files": garbage,
                "engine_garbage_bytes": garbage_bytes,
                "engine_index_bytes": directory.index.stat().st_size,
                "engine_log_bytes": _size(f"{directory.index}-wal"),
                "disk_free_bytes": disk.f_bavail * disk.f_frsize,
                "disk_bytes": disk.f_blocks * disk.f_frsize,
            }
        return [Level(name, value) for name, value in {**found, **self._scrub()}.items()]

    def _scrub(self) -> dict[str, float]:
        directory = self._directory
        try:
            state = ScrubFolder(directory.root).read()
        except Corrupted:
            state = State()  # which the next pass complains of
        # What was written since a pass began was compared with its digest when it came.
        oldest = directory.format.stat().st_mtime if state.last is None else state.last.began
        return {
            "scrub_verified_bodies": state.bodies,
            "scrub_verified_bytes": state.size,
            "scrub_damaged_bodies": state.damaged,
            "scrub_running": state.now is not None,
            "scrub_oldest_seconds": max(0.0, time.time() - oldest),
            "scrub_last_pass_timestamp_seconds": 0 if state.last is None else state.last.ended or 0,
        }

    def _objects(self, connection: sqlite3.Connection) -> tuple[int, int]:
        now = time.monotonic()
        if now >= self._count_from:
            # Somebody else's question meanwhile gets the old answer, instead of a second count.
            self._count_from = float("inf")
            try:
                (row,) = connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM objects").fetchall()
                self._counted = row
            finally:
                ended = time.monotonic()
                self._count_from = ended + _SHARE * (ended - now)
        return self._counted

    def _garbage(self, connection: sqlite3.Connection) -> tuple[int, int]:
        ((count,),) = connection.execute("SELECT count(*) FROM garbage").fetchall()
        some = connection.execute("SELECT blob FROM garbage LIMIT ?", (_LOOKED_AT,)).fetchall()
        size = sum(_size(self._directory.blob(blob)) for (blob,) in some)
        return count, size if len(some) == count else size * count // len(some)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116  as cheap as can be, for a thousand of them
    except FileNotFoundError:
        return 0
