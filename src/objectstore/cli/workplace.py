"""The folder that a test of a server works in, and how such a test is cut short."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from objectstore.cli.exits import Usage
from objectstore.cli.output import Output

# The last one comes when a terminal is closed, unless nohup has it ignored.
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True, kw_only=True)
class Workplace:
    """Where the test works; what is there goes when it has ended, unless it is to be kept."""

    folder: Path
    kept: bool = False


@contextmanager
def workplace(data: Path | None, name: str, out: Output) -> Iterator[Workplace]:
    """`data`, or a temporary folder.

    A signal that tells the test to end is raised once, as KeyboardInterrupt or SystemExit. Those that follow are
    ignored, so that what ends the server is not itself cut short. A temporary folder goes then, `data` keeps what is in
    it. When the test fails by an error, either is kept.

    Raises:
        Usage: `data` holds something, or is no folder.
        OSError: it cannot be made or read.
    """
    if data is not None:
        if data.exists() and not data.is_dir():
            raise Usage(f"{data} is not a folder; name a new or an empty one")
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(data.iterdir()):
            raise Usage(f"{data} is not empty; name a new or an empty folder")
    with _told_once():
        place = Workplace(folder=data or Path(tempfile.mkdtemp(prefix=f"objectstore-{name}-")))
        try:
            yield place
        except (KeyboardInterrupt, SystemExit):
            if data is None:
                shutil.rmtree(place.folder)
            else:
                out.say(f"what it left is in {data}")
            raise
        except Exception:
            out.say(f"what it left is in {place.folder}")
            raise
        if not place.kept:
            _clear(place.folder)
            if data is None:
                place.folder.rmdir()


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _ignored(_signal: int, _frame: FrameType | None) -> None:
    """One that came when the test had been told to end already."""


@contextmanager
def _told_once() -> Iterator[None]:
    before = {one: handler for one in _ENDING if (handler := signal.getsignal(one)) is not signal.SIG_IGN}

    def told(number: int, frame: FrameType | None) -> None:
        for one in before:
            # SIG_IGN would have Python complain of those that have come already.
            signal.signal(one, _ignored)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)
        sys.exit(128 + number)  # as shells tell it

    for one in before:
        signal.signal(one, told)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
