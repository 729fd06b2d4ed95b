"""Scrubbing in the background of a server: one process of those that share a data directory does it at a time."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from objectstore.backends.engine import scrub
from objectstore.backends.engine.scrub import Scrub
from objectstore.backends.engine.scrubstate import ScrubFolder
from objectstore.errors import ObjectStoreError

POLL: Final = 60.0  # seconds, between two looks whether it is time, and before the first

_log: Final = logging.getLogger("objectstore.server")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Scrubber:
    """Scrubs one data directory whenever `interval` has passed since the last pass began."""

    path: Path
    interval: timedelta
    rate: int  # bytes per second; 0 is any number
    poll: float = POLL  # seconds
    now: Callable[[], datetime] = _utc_now
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    async def run(self) -> None:
        """Until cancelled; then what was verified so far is written down before this ends."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="objectstore-scrub") as executor:
            while True:
                await asyncio.sleep(self.poll)
                round_ = loop.run_in_executor(executor, self._round)
                try:
                    await asyncio.shield(round_)
                except asyncio.CancelledError:
                    self._stop.set()
                    await round_
                    raise

    def damaged(self) -> int:
        """How many bodies are known to be damaged. Reads a small file. Raises Corrupted, OSError."""
        return ScrubFolder(self.path).read().damaged

    def _round(self) -> None:
        folder = ScrubFolder(self.path)
        try:
            if not scrub.is_due(folder.read(), self.interval, self.now()) or folder.is_asked_for():
                return
            with folder.scrubbing() as ours:
                # Again, since another process may just have come to the end of it.
                if ours and scrub.is_due(folder.read(), self.interval, self.now()):
                    Scrub(self.path, rate=self.rate, stop=self._stop, yielding=True, now=self.now).run()
        except scrub.Interrupted:
            pass
        except (ObjectStoreError, OSError) as error:
            # The next round goes on where this one was.
            _log.warning("scrub: %s does not go on: %s", self.path, error)
