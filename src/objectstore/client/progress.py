"""A bar that shows how far a transfer is, drawn by Rich: on a terminal, or in a notebook.

A notebook shows it as a widget where `ipywidgets` is installed, else as text.

    with Bar("uploading") as bar:
        store.upload("large.bin", "large.bin", progress=bar)

`pip install 'objectstore[cli]'` brings Rich along.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Bar:
    """What `progress=` takes, for one call at a time. It is there in its `with`, and stays to be read after it."""

    def __init__(self, label: str = "", *, console: Console | None = None) -> None:
        """Drawn on `console`, which is that of stderr when none is given. Raises ModuleNotFoundError: without Rich."""
        self._progress = _drawing(console)
        self._task = self._progress.add_task(label, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, done: int, total: int | None) -> None:
        self._progress.update(self._task, completed=done, total=total)


def _drawing(console: Console | None) -> Progress:
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"Bar needs {error.name}: pip install 'objectstore[cli]'", name=error.name) from error
    return Progress(
        TextColumn("{task.description}", markup=False),  # a key may look like markup
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        # Rich draws in a notebook by widgets; without them it would draw nothing, and warn of that.
        console=console or Console(stderr=True, force_jupyter=None if find_spec("ipywidgets") else False),
    )
