"""How far a transfer has come: counted here, drawn only on a terminal and only when it takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE: Final = 1.0  # seconds that a transfer may take before a bar appears
_PERIOD: Final = 0.1  # seconds between two looks at the bar


class Display(Protocol):
    """Someone who wants to know how far it is."""

    def update(self, done: int, total: int | None) -> None: ...


class Meter:
    """Counts the bytes of one transfer. `total` is None while nobody knows it."""

    def __init__(self, total: int | None = None, display: Display | None = None) -> None:
        self.done = 0  # bytes
        self.total = total  # bytes
        self._display = display

    def advance(self, size: int) -> None:
        self.move_to(self.done + size)

    def move_to(self, done: int) -> None:
        """So far, `done` bytes: less than before when a transfer starts over."""
        self.done = done
        if self._display is not None:
            self._display.update(done, self.total)


class Bar:
    """A bar on a terminal. It appears when the transfer has taken `PATIENCE` seconds, and is gone at the end."""

    def __init__(self, label: str, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._label = label
        self._stream = stream
        self._now = now
        self._next = now() + PATIENCE
        self._drawn: tuple[Progress, TaskID] | None = None

    def update(self, done: int, total: int | None) -> None:
        now = self._now()
        if now < self._next:
            return
        self._next = now + _PERIOD
        if self._drawn is None:
            self._drawn = _draw(self._label, self._stream)
        progress, task = self._drawn
        progress.update(task, completed=done, total=total)

    def close(self) -> None:
        if self._drawn is not None:
            self._drawn[0].stop()


def _draw(label: str, stream: TextIO) -> tuple[Progress, TaskID]:
    from rich.console import Console  # rich takes a while to import; most transfers never need it
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),  # a key may look like markup
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(file=stream),
        transient=True,
    )
    task = progress.add_task(label, total=None)
    progress.start()
    return progress, task


def metered(label: str, total: int | None, stream: TextIO, *, quiet: bool) -> AbstractContextManager[Meter]:
    """A meter for one transfer, with a bar when `stream` is a terminal and nobody asked for silence."""
    if quiet or not stream.isatty():
        return nullcontext(Meter(total))
    return _with_bar(label, total, stream)


@contextmanager
def _with_bar(label: str, total: int | None, stream: TextIO) -> Iterator[Meter]:
    bar = Bar(label, stream)
    try:
        yield Meter(total, bar)
    finally:
        bar.close()
