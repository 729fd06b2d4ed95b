"""The one live display of many transfers, on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from objectstore.cli.count import Count
from objectstore.cli.output import human_size
from objectstore.cli.progress import PATIENCE

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PERIOD: Final = 0.1  # seconds between two looks


class Live:
    """Files, bytes, rate and time left. It appears when all takes longer than `PATIENCE`, and is gone at the end."""

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._next = now() + PATIENCE
        self._drawn: tuple[Progress, TaskID] | None = None
        self._drawing = threading.Lock()

    def update(self, count: Count) -> None:
        now = self._now()
        if now < self._next:
            return
        with self._drawing:
            self._next = now + _PERIOD
            if self._drawn is None:
                self._drawn = _draw(self._stream)
            progress, task = self._drawn
            progress.update(task, completed=count.bytes, total=count.total, description=line(count, now))

    def close(self) -> None:
        if self._drawn is not None:
            self._drawn[0].stop()


def line(count: Count, now: float) -> str:
    """What is beside the bar: `12/100 files, 3.4 MiB/s, 5 s left`."""
    parts = [f"{count.ended}/{count.files} files", f"{human_size(count.bytes)} of {human_size(count.total)}"]
    rate, left = count.rate(now), count.left(now)
    if rate is not None and left is not None:
        parts += [f"{human_size(int(rate))}/s", f"{duration(left)} left"]
    if count.failed:
        parts.append(f"{count.failed} failed")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """`5 s`, `4:05`, `2:03:09`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _draw(stream: TextIO) -> tuple[Progress, TaskID]:
    from rich.console import Console  # rich takes a while to import; what is done soon never needs it
    from rich.progress import BarColumn, Progress, TextColumn

    progress = Progress(
        BarColumn(), TextColumn("{task.description}", markup=False), console=Console(file=stream), transient=True
    )
    task = progress.add_task("", total=None)
    progress.start()
    return progress, task
