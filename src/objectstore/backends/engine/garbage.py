"""Blobs that no row names any more: unlinked once nobody can still be sending them by name.

The rows of `garbage` come with the transaction that let go of the blob. A blob is unlinked first and its row
struck out after, so a crash in between costs an unlink of nothing. Of several processes one does it at a
time, and none while a backup is taken (`hold.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from objectstore.backends.engine import steps
from objectstore.backends.engine.directory import Directory, sync_folder
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.hold import collecting
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.operations import ForgetGarbage
from objectstore.backends.engine.writer import Writer
from objectstore.errors import ObjectStoreError

_AT_ONCE: Final = 256  # blobs
_WRONG_CLOCK: Final = 24 * 3600 * 1_000_000  # microseconds; so much later than now nothing was let go of
_SHORTEST_INTERVAL: Final = 1.0  # seconds

logger = logging.getLogger(__name__)


class Collector:
    """Collects garbage that is older than `grace` seconds, on the loop that reads."""

    def __init__(
        self,
        directory: Directory,
        index: Index,
        writer: Writer,
        executor: Executor,
        *,
        grace: float,
        now: Callable[[], int],
        step: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._index = index
        self._writer = writer
        self._executor = executor
        self._grace = grace
        self.collected = 0  # blobs, since this process has it open
        self._now = now
        self._step = step

    async def run(self) -> None:
        """Collect now and then, until cancelled."""
        while True:
            try:
                await self.collect()
            except ObjectStoreError as error:
                # Nothing is lost by waiting: the rows are still there.
                logger.warning("garbage was not collected: %s", error)
            await asyncio.sleep(max(self._grace / 2, _SHORTEST_INTERVAL))

    async def collect(self) -> int:
        """Unlink what is old enough; how many blobs that were. None, while it is held back."""
        collected = 0
        before = self._now() - round(self._grace * 1_000_000)
        while garbage := self._some(before):
            blobs = [blob for _, blob in garbage]
            try:
                unlinked = await asyncio.get_running_loop().run_in_executor(self._executor, self._unlink, blobs)
            except OSError as error:
                raise translate(error) from error
            if not unlinked:
                break
            await self._writer.commit(ForgetGarbage(garbage))
            self._step(steps.AFTER_FORGET)
            collected += len(blobs)
            self.collected += len(blobs)
        return collected

    def _some(self, before: int) -> list[tuple[int, str]]:
        # What a clock that was ahead has dated would else stay until it is as late as that.
        return self._index.garbage_since(before, _AT_ONCE) or self._index.garbage_after(
            self._now() + _WRONG_CLOCK, _AT_ONCE
        )

    def _unlink(self, blobs: list[str]) -> bool:
        """Whether it was done; a later round does what this one may not."""
        folders = set()
        with collecting(self._directory) as allowed:
            if not allowed:
                return False
            for blob in blobs:
                path = self._directory.blob(blob)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108  pathlib would cost as much again
                folders.add(path[: path.rindex("/")])
        # On disk before the rows go, else a power cut could bring a blob back that nothing accounts for.
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                sync_folder(folder)
        self._step(steps.AFTER_UNLINK)
        return True
