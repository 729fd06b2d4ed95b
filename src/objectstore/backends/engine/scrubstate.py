"""What scrubbing keeps in the data directory: how far it is, what it has verified, and who does it.

    DATA/scrub/state.json            how far, and the sums
    DATA/scrub/report.jsonl.gz       what the last whole pass has seen, a line for each body
    DATA/scrub/unfinished.jsonl.gz   the same of the pass under way, as far as the state says

The folder's own lock says who scrubs; that of `turn` says that somebody else would like to.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from objectstore.backends.engine.backupset import replace_file
from objectstore.backends.engine.directory import FILE_MODE, make_folder, try_lock
from objectstore.errors import Corrupted

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One look at everything. Times are seconds since 1970."""

    began: float
    ended: float | None = None
    bodies: int = 0  # verified: those found as they were written, and the damaged
    size: int = 0  # bytes of the sound ones among them
    damaged: int = 0
    part: bool = False  # whether it is at the parts of unfinished uploads, which come after the objects
    after: str | None = None  # the name of the body that was looked at last
    report_size: int = 0  # bytes of the report that count


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is remembered. `now` is the pass under way, `last` the last whole one."""

    now: Pass | None = None
    last: Pass | None = None
    bodies: int = 0  # verified, over all passes
    size: int = 0  # bytes of the sound ones among them
    trouble: str | None = None  # why the pass under way did not go on

    @property
    def damaged(self) -> int:
        """Bodies known to be damaged: until a whole pass has found them sound, those of the last one count."""
        return max((one.damaged for one in (self.now, self.last) if one is not None), default=0)


class ScrubFolder:
    """Where all of it is."""

    def __init__(self, data: Path) -> None:
        self.root = data / "scrub"
        self.report = self.root / "report.jsonl.gz"
        self.unfinished = self.root / "unfinished.jsonl.gz"
        self._state = self.root / "state.json"
        self._turn = self.root / "turn"

    @contextmanager
    def scrubbing(self) -> Iterator[bool]:
        """Whether this process is the one that scrubs, until the end. Raises OSError."""
        make_folder(self.root)
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield try_lock(fd)
        finally:
            os.close(fd)

    @contextmanager
    def asking(self) -> Iterator[bool]:
        """Ask who scrubs in the background to leave it to this process; whether nobody else asks. Raises OSError."""
        make_folder(self.root)
        fd = os.open(self._turn, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            yield try_lock(fd)
        finally:
            os.close(fd)

    def is_asked_for(self) -> bool:
        """Whether somebody is `asking`. Raises OSError."""
        with self.asking() as free:
            return not free

    def read(self) -> State:
        """What is remembered; nothing at first. Raises Corrupted, OSError."""
        try:
            found = json.loads(self._state.read_bytes())
            if found.pop("version") == VERSION:
                return State(**{**found, "now": _pass(found["now"]), "last": _pass(found["last"])})
        except FileNotFoundError:
            return State()
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise Corrupted(f"{self._state} is damaged, or of a newer release; delete it to scrub from the start")

    def write(self, state: State) -> None:
        """Remember it, durably. Raises OSError."""
        text = json.dumps({"version": VERSION, **asdict(state)})
        replace_file(self._state, text.encode(), self._state.with_suffix(".new"))

    def finish(self, state: State) -> State:
        """The pass under way is through: its report is the one that counts. Raises OSError."""
        if self.unfinished.exists():
            self.unfinished.replace(self.report)
        ended = replace(state, now=None, last=under_way(state))
        self.write(ended)
        return ended


def under_way(state: State) -> Pass:
    """The pass that whoever scrubs has begun, or goes on with."""
    if state.now is None:
        raise ValueError("no pass is under way")
    return state.now


def _pass(found: dict[str, Any] | None) -> Pass | None:
    return None if found is None else Pass(**found)
