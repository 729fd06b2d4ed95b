"""Reading everything again, now and then, and comparing it with its digests: before somebody needs it.

A pass goes through all objects in the order of their keys, then through the parts of unfinished uploads. Where it
is, it writes down every few seconds, so that another process, or this one after a restart, goes on from there.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final

from objectstore.backends.engine import fixity, schema
from objectstore.backends.engine.directory import Directory, nearly_full
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.fixity import Verified
from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State, under_way
from objectstore.backends.engine.stored import Bodies, Stored
from objectstore.errors import ObjectStoreError, StorageFull
from objectstore.wire.records import format_time

_PIECE: Final = 1000  # bodies between two notes of where it is
_PIECE_TIME: Final = 10.0  # seconds, likewise
_ROW_COST: Final = 4096  # bytes that a body counts for beside its own: the page of its row
_LOOK: Final = 1.0  # seconds between two looks whether somebody else wants to scrub

logger = logging.getLogger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def is_due(state: State, interval: timedelta, now: datetime) -> bool:
    """Whether there is something to go on with, or the last pass began an interval ago."""
    if state.now is not None or state.last is None:
        return True
    age = now.timestamp() - state.last.began
    # A clock that was wrong and is right again must not put it off for years.
    return age < 0 or age >= interval.total_seconds()


class Interrupted(Exception):
    """The pass is to be left where it is."""


class Pace:
    """Keeps to so many bytes a second; 0 is any number. `stop` ends the waiting by Interrupted."""

    def __init__(self, rate: int, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._stop = stop
        self._clock = clock
        self._free_at = clock()  # when what was read so far is paid for

    def spend(self, size: int) -> None:
        """So many bytes were read."""
        wait = 0.0
        if self._rate:
            now = self._clock()
            self._free_at = max(self._free_at, now) + size / self._rate
            wait = self._free_at - now
        if self._stop.wait(wait):
            raise Interrupted


class Scrub:
    """A pass over the data directory `path`, reading at most `rate` bytes a second (0: as fast as it goes).

    Used from one thread. `stop` ends it at once, `yielding` also when another process asks for it.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: int = 0,
        stop: threading.Event | None = None,
        yielding: bool = False,
        now: Callable[[], datetime] = _utc_now,
        tell: Callable[[int], None] = lambda _size: None,
        piece: int = _PIECE,
    ) -> None:
        self._directory = Directory(path)
        self._folder = ScrubFolder(path)
        self._pace = Pace(rate, threading.Event() if stop is None else stop)
        self._yielding = yielding
        self._look_at = 0.0
        self._now = now
        self._tell = tell
        self._piece = piece

    def run(self, *, restart: bool = False) -> State:
        """Go on with the pass under way, or begin one, to its end. Call while `ScrubFolder.scrubbing`.

        Each damaged body is logged. What was verified is remembered however this ends.

        Raises:
            ConfigurationError: it is no data directory, or of a newer format.
            Interrupted: by `stop`, or since another process asked.
            StorageFull: there is no room to write the report.
            Unavailable, Corrupted: something else than a body cannot be read.
        """
        self._directory.check_format()
        try:
            state = self._folder.read()
            now = None if restart else state.now
            if now is not None and now.ended is not None:
                # A crash came when it was through: its report may have its place already.
                return self._folder.finish(replace(state, trouble=None))
            state = replace(state, now=now or Pass(began=self._now().timestamp()), trouble=None)
            try:
                with closing(schema.open_for_reading(self._directory.index)) as connection:
                    return self._pass(state, Bodies(self._directory, connection))
            except (ObjectStoreError, OSError, sqlite3.Error) as error:
                self._remember_trouble(error)
                raise
        except (OSError, sqlite3.Error) as error:
            raise translate(error) from error

    def _pass(self, state: State, bodies: Bodies) -> State:
        waiting: list[Verified] = []
        note_at = time.monotonic() + _PIECE_TIME
        try:
            for stored in self._bodies(under_way(state), bodies):
                one = self._verify(bodies, stored)
                state = _counted(state, stored, one)
                if one is not None:
                    waiting.append(one)
                self._spend(_ROW_COST)
                if len(waiting) >= self._piece or time.monotonic() >= note_at:
                    state = self._note(state, waiting)
                    note_at = time.monotonic() + _PIECE_TIME
        except Interrupted:
            self._note(state, waiting)
            raise
        for gap in bodies.gaps:
            logger.error("scrub: the index of %s is damaged: %s", self._directory.root, gap)
            one = _of_index(str(gap), self._now())
            state = _counted(state, None, one)
            waiting.append(one)
        state = replace(state, now=replace(under_way(state), ended=self._now().timestamp()))
        state = self._note(state, waiting)
        done = under_way(state)
        logger.info("scrub: verified %d bodies, %d damaged", done.bodies, done.damaged)
        return self._folder.finish(state)

    def _bodies(self, now: Pass, bodies: Bodies) -> Iterator[Stored]:
        if not now.part:
            yield from chain(bodies.objects(now.after), bodies.parts())
        else:
            yield from bodies.parts(now.after)

    def _verify(self, bodies: Bodies, stored: Stored) -> Verified | None:
        """How it was found; None when it was overwritten or deleted meanwhile."""
        fault = bodies.look(stored, deep=True, reading=self._spend)
        if fault is not None and not bodies.stays(stored):
            return None
        if stored.blob is None:
            self._spend(stored.size)
        if fault is not None:
            what = "the part" if stored.part else "the object"
            logger.error(
                "scrub: %s %r is damaged: %s; `objectstore check --deep --repair --from BACKUP` mends it",
                what,
                stored.name,
                fault.message,
            )
        return fixity.verified(stored, fault, self._now())

    def _spend(self, size: int) -> None:
        self._tell(size)
        self._pace.spend(size)
        if self._yielding and (now := time.monotonic()) >= self._look_at:
            self._look_at = now + _LOOK
            if self._folder.is_asked_for():
                raise Interrupted

    def _note(self, state: State, waiting: list[Verified]) -> State:
        """Write down what was verified, and then that it was."""
        now = under_way(state)
        if nearly_full(self._directory.root):
            raise StorageFull("the disk is nearly full, and there is no room for the report of a scrub")
        # Also when nothing waits: what a crash has left behind the report is cut off.
        size = fixity.append(self._folder.unfinished, now.report_size, waiting)
        waiting.clear()
        state = replace(state, now=replace(now, report_size=size))
        self._folder.write(state)
        return state

    def _remember_trouble(self, error: Exception) -> None:
        try:
            self._folder.write(replace(self._folder.read(), trouble=str(error)))
        except (ObjectStoreError, OSError):
            logger.warning("scrub: how far it is could not be written down in %s", self._folder.root)


def _counted(state: State, stored: Stored | None, one: Verified | None) -> State:
    now = under_way(state)
    if stored is not None:
        now = replace(now, part=stored.part, after=stored.name)
    if one is None:
        return replace(state, now=now)
    size = one.size if one.sound else 0
    now = replace(now, bodies=now.bodies + 1, size=now.size + size, damaged=now.damaged + (not one.sound))
    return replace(state, now=now, bodies=state.bodies + 1, size=state.size + size)


def _of_index(message: str, at: datetime) -> Verified:
    return Verified(
        kind="index",
        key="",
        size=0,
        sha256="",
        verified=format_time(at),
        status="damaged-index",
        message=message,
    )
