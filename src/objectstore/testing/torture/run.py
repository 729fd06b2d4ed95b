"""A run: start, look at everything, let the clients loose, kill; again, until it is enough or something is wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.errors import ConfigurationError, Retryable
from objectstore.testing.servergroup import Stubborn, free_port
from objectstore.testing.torture import disk
from objectstore.testing.torture.actor import Actor, Unanswered, connect
from objectstore.testing.torture.crew import TortureCrew
from objectstore.testing.torture.disk import Room
from objectstore.testing.torture.history import Record, merged
from objectstore.testing.torture.kills import After, At, Kill, plan
from objectstore.testing.torture.server import Place, Server
from objectstore.testing.torture.verdict import State, Violation, judge
from objectstore.testing.torture.visits import Visits
from objectstore.testing.torture.workload import COPIES, HOT
from objectstore.testing.torture.zygote import Zygote

KEYS: Final = (*HOT, *COPIES)
ANY_MOMENT: Final = "any moment"
_STEP_LIMIT: Final = 2.5  # seconds under load after which a step that nobody came to is given up
_LOOK_EVERY: Final = 10  # kills between two looks at the disk
_FROM_NOTHING_EVERY: Final = 25  # kills between two servers that are not forked
_QUIET_EVERY: Final = 50  # kills between two waits for the garbage to go
_VISIT_EVERY: Final = 3  # rounds between two commands beside the server
_POLL: Final = 0.005  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to do, and for how long."""

    command: Sequence[str]  # of the entry that arms the server: see `server.Place`
    folder: Path  # is made, or empty
    seed: int
    seconds: float | None = None
    kills: int | None = None
    plan: Iterable[Kill] | None = None  # instead of what the seed says; the run ends with it
    workers: int = 1
    server: str = "granian"
    clients: int = 3
    threads: int = 4  # of each client
    grace: float = 0.5  # seconds that the engine keeps garbage
    quiet: float = 60.0  # seconds after the grace in which garbage is to be gone


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done."""

    kills: Counter[str] = field(default_factory=Counter)  # by the step, or `ANY_MOMENT`
    answered: int = 0  # requests
    unanswered: int = 0
    events: int = 0  # operations on keys that were judged
    undecided: int = 0  # histories of a key that the checker gave up on
    looks: int = 0  # at the whole disk, of a store that nobody had open
    visits: Counter[str] = field(default_factory=Counter)  # of other commands beside the server, by their names
    largest: int = 0  # bytes that the data directory took at most, when all was quiet
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        return sum(self.kills.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended."""

    options: Options
    tally: Tally
    violations: Sequence[Violation]
    last_kill: str = ""
    began: datetime


def run(options: Options, progress: Callable[[Tally], None] = lambda _tally: None) -> Outcome:
    """Torture a server until it is enough, or until something is wrong.

    Raises:
        ConfigurationError: the folder holds something.
        OSError: it cannot be made or written to.
    """
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(options.folder.iterdir()):
        raise ConfigurationError(f"{options.folder} is not empty; name a new or an empty folder")
    place = Place(
        command=options.command,
        folder=options.folder,
        port=free_port(),
        workers=options.workers,
        server=options.server,
        grace=options.grace,
    )
    began = datetime.now(UTC)
    token = TokenFile(place.tokens).add("torture", scopes=SCOPES, now=began, ttl=None)
    with (
        TortureCrew(place.url, token, options.seed, options.clients, options.threads) as crew,
        place.zygote() as zygote,
    ):
        return _Run(options, place, token, crew, zygote, progress).to_the_end(began)


class _Broken(Exception):
    """Something is wrong, and the run at its end."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = violations


class _Run:
    def __init__(
        self,
        options: Options,
        place: Place,
        token: str,
        crew: TortureCrew,
        zygote: Zygote,
        progress: Callable[[Tally], None],
    ) -> None:
        self._options = options
        self._place = place
        self._token = token
        self._crew = crew
        self._zygote = zygote
        self._progress = progress
        self._visits = Visits(place, zygote)
        self._tally = Tally(visits=self._visits.ended)
        self._state = State()
        self._pending = Record()  # of the last round, not judged yet
        self._turn = 0
        self._settled = False  # what nobody touches is written
        self._last_kill = ""
        self._since_look = self._since_quiet = 0
        self._began = time.monotonic()

    def to_the_end(self, began: datetime) -> Outcome:
        violations: Sequence[Violation] = ()
        try:
            for kill in self._options.plan or plan(self._options.seed):
                if self._enough():
                    break
                self._round(kill)
                self._progress(self._tally)
            self._last_round()
        except _Broken as broken:
            violations = broken.violations
        except Stubborn as stubborn:
            violations = [Violation(message=str(stubborn))]
        finally:
            self._visits.kill()
        self._tally.seconds = time.monotonic() - self._began
        return Outcome(
            options=self._options, tally=self._tally, violations=violations, last_kill=self._last_kill, began=began
        )

    def _enough(self) -> bool:
        self._tally.seconds = time.monotonic() - self._began
        if self._options.kills is not None:
            return self._tally.killed >= self._options.kills
        return self._options.seconds is not None and self._tally.seconds >= self._options.seconds

    def _round(self, kill: Kill) -> None:
        if self._since_look >= _LOOK_EVERY:
            self._end_visit()
            self._look_at_disk()
        from_nothing = self._tally.killed % _FROM_NOTHING_EVERY == 0
        server = self._place.start(kill, None if from_nothing else self._zygote)
        try:
            if server.comes_up() and self._judged():
                if self._since_quiet >= _QUIET_EVERY:
                    self._end_visit()
                    self._wait_for_quiet()
                self._work(server, kill)
            elif isinstance(kill, After) or not server.dead():
                # A server that lives, and does not answer a single client.
                time.sleep(_POLL)
        finally:
            died = self._name(server, kill)
            server.kill()
        self._killed(died)

    def _name(self, server: Server, kill: Kill) -> str:
        return kill.step if isinstance(kill, At) and server.dead() else ANY_MOMENT

    def _killed(self, name: str) -> None:
        self._last_kill = name
        self._tally.kills[name] += 1
        self._since_look += 1
        self._since_quiet += 1

    def _work(self, server: Server, kill: Kill) -> None:
        self._turn += 1
        self._crew.go(self._turn)
        if self._turn % _VISIT_EVERY == 1:
            self._visits.begin()
        try:
            deadline = time.monotonic() + (kill.seconds if isinstance(kill, After) else _STEP_LIMIT)
            while time.monotonic() < deadline and not server.dead():
                time.sleep(_POLL)
            self._last_kill = self._name(server, kill)
            server.kill()
        finally:
            self._pending = merged([self._pending, self._crew.pause()])
        self._hear(self._visits.look())
        if self._pending.complaints:
            # Wrong whatever else was seen, so the disk is left as it is for who wants to know why.
            raise _Broken([Violation(message=message) for message in self._pending.complaints])

    def _judged(self) -> bool:
        """Look at everything, and judge what was seen since the last time. False: the server died meanwhile."""
        with connect(self._place.url, self._token) as store:
            look = Actor(store, self._options.seed, f"look{self._turn}")
            try:
                if not self._settled:
                    look.settle_stable()
                    self._settled = True
                look.attempt("looking at uploads", partial(look.check_uploads, self._pending.parts))
                self._pending.parts.clear()  # else a next look, after a kill during this, would miss what this one ends
                look.attempt("listing everything", partial(look.list, ""))
                for key in KEYS:
                    look.attempt(f"reading {key!r}", partial(look.get, key))
                look.attempt("reading what nobody touched", look.look_at_stable)
                look.attempt("ending uploads", look.end_uploads)
            except (Unanswered, Retryable):
                self._pending.complaints += look.record.complaints
                return False
        record = merged([self._pending, look.record])
        judged = judge(self._state, record, KEYS)
        self._tally.answered += record.answered
        self._tally.unanswered += record.unanswered
        self._tally.events += judged.events
        self._tally.undecided += judged.undecided
        if judged.violations:
            raise _Broken(judged.violations)
        self._state = judged.state
        self._pending = Record()
        return True

    def _end_visit(self) -> None:
        self._hear(self._visits.wait())

    def _hear(self, complaint: str | None) -> None:
        if complaint is not None:
            raise _Broken([Violation(message=complaint)])

    def _look_at_disk(self) -> None:
        self._since_look = 0
        self._tally.looks += 1
        if wrong := disk.look(self._place.data):
            raise _Broken([Violation(message=message) for message in wrong])

    def _wait_for_quiet(self) -> None:
        """While nobody writes, everything that nothing names goes, once its grace is over."""
        self._since_quiet = 0
        deadline = time.monotonic() + self._options.grace + self._options.quiet
        room = disk.room(self._place.data)
        while room.garbage or room.files_besides:
            if time.monotonic() > deadline:
                raise _Broken([Violation(message=f"what nothing names is not removed: {room}")])
            time.sleep(0.1)
            room = disk.room(self._place.data)
        self._tally.largest = max(self._tally.largest, room.total)
        if room.total > _bound(room):
            raise _Broken([Violation(message=f"the store takes more room than what it holds explains: {room}")])

    def _last_round(self) -> None:
        server = self._place.start()
        try:
            if not server.comes_up() or not self._judged():
                raise Stubborn("the server did not answer though nobody killed it")
            self._end_visit()
            self._wait_for_quiet()
        finally:
            server.kill()
        self._look_at_disk()


def _bound(room: Room) -> int:
    return room.blobs + 64 * 1024 * 1024
