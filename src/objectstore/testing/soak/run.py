"""A run: a server, clients that use it, a restart under load, and a look at what is left when they have gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.errors import ConfigurationError, Unavailable
from objectstore.testing.servergroup import (
    Stubborn,
    answers,
    free_port,
    leaves,
    living,
    start_group,
    tail,
    without_settings,
)
from objectstore.testing.soak import vitals
from objectstore.testing.soak.crew import SoakCrew
from objectstore.testing.soak.held import HeldUploads, Unheld
from objectstore.testing.soak.record import Record
from objectstore.testing.soak.vitals import Growth, Vitals
from objectstore.testing.soak.workload import Sizes
from objectstore.testing.soak.world import Share
from objectstore.testing.torture import disk

_STARTING: Final = 90.0  # seconds, on a machine that has other things to do
_GRACE: Final = 90.0  # seconds for requests under way when it is told to end, on such a machine
_ENDING: Final = _GRACE + 30.0  # seconds until all of it is gone
_HEARING: Final = 10.0  # seconds until it has begun to end
_HELD: Final = 4  # uploads that are under way then for certain
_POLL: Final = 0.05  # seconds
_LOOKS: Final = 200  # at the server, in a run
_SPARE_FILES: Final = 16  # more than before the load, for each worker: threads and the index open some for good
_SPARE_TASKS: Final = 4  # the same of tasks
# Of a life of the server, in which its memory may grow: until each thread and each connection has once done the largest
# of what they do, which on a busy machine takes minutes.
_WARM: Final = 0.5
_GROWS: Final = 0.1  # of the memory, in the time that was looked at
_GROWS_LEAST: Final = 32 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to do, and for how long."""

    folder: Path  # is made, or empty
    seed: int
    seconds: float
    sizes: Sizes
    idle: int = 10_000  # connections
    active: int = 1_000  # clients
    clients: int = 2  # processes
    workers: int = 1
    server: str = "granian"
    restart_at: float | None = None  # seconds after the beginning; None: never
    most: int = 0  # requests at once, of all workers; 0: any number
    idle_timeout: float = 30.0  # seconds
    settling: float = 60.0  # seconds after the last client for files and tasks to go
    command: Sequence[str] = (sys.executable, "-m", "objectstore")


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How it ended."""

    options: Options
    began: datetime
    seconds: float = 0.0
    record: Record = field(default_factory=Record)
    fresh: Vitals | None = None  # of the server before there were any clients
    holding: Vitals | None = None  # when the idle connections were open
    held: int = 0  # how many these were
    lives: list[list[Vitals]] = field(default_factory=list)  # of each life, under load
    left: Vitals | None = None  # when all clients had gone
    growth: Growth | None = None  # in the longest life
    restarts: int = 0
    held_at_end: int = 0  # uploads that were under way for certain when the server was told to end
    ending: float = 0.0  # seconds from the signal to the end of the server
    away: float = 0.0  # seconds from the signal to the first answer after it
    tasks: tuple[float, float] = (0.0, 0.0)  # of the server's event loops, before and after
    wrong: list[str] = field(default_factory=list)

    @property
    def per_idle(self) -> float | None:
        """Bytes that each idle connection takes in the server."""
        if self.fresh is None or self.holding is None or not self.held:
            return None
        return (self.holding.proportional - self.fresh.proportional) / self.held


def run(options: Options, progress: Callable[[str], None] = lambda _told: None) -> Outcome:
    """Let a server be used as the options say, and check everything.

    Raises:
        ConfigurationError: the folder holds something.
        OSError: it cannot be made or written to.
    """
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(options.folder.iterdir()):
        raise ConfigurationError(f"{options.folder} is not empty; name a new or an empty folder")
    began = datetime.now(UTC)
    token = TokenFile(options.folder / "tokens.json").add("soak", scopes=SCOPES, now=began, ttl=None)
    place = _Place(options, free_port())
    crew = SoakCrew(_shares(options, place.port), token, options.folder / "clients.log")
    outcome = Outcome(options=options, began=began)
    with crew, contextlib.closing(place):
        try:
            _Run(outcome, place, crew, token, progress).to_the_end()
        except (Stubborn, Unheld, Unavailable) as error:
            outcome.wrong.append(str(error))
    return outcome


def _shares(options: Options, port: int) -> list[Share]:
    """The clients, dealt out evenly."""
    shares = []
    first = 0
    for number in range(options.clients):
        active = options.active // options.clients + (number < options.active % options.clients)
        shares.append(
            Share(
                port=port,
                seed=options.seed,
                idle=options.idle // options.clients + (number < options.idle % options.clients),
                first=first,
                active=active,
                sizes=options.sizes,
                limited=options.most > 0,
                idle_timeout=options.idle_timeout,
            )
        )
        first += active
    return shares


class _Place:
    """The server, started again after it was told to end."""

    def __init__(self, options: Options, port: int) -> None:
        self._options = options
        self.port = port
        self.data = options.folder / "data"
        self._log = options.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def group(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it answers. Raises Stubborn."""
        options = self._options
        arguments = ["serve", "--data", self.data, "--port", self.port, "--workers", options.workers]
        arguments += ["--tokens", options.folder / "tokens.json", "--server", options.server, "--log-level", "warning"]
        environment = {
            **without_settings(os.environ),
            "ACCESS_LOG": "false",
            "METRICS_PUBLIC": "true",
            "SHUTDOWN_TIMEOUT": f"{_GRACE:g}",
            "IDLE_TIMEOUT": f"{options.idle_timeout:g}",
            "MAX_CONCURRENT_REQUESTS": str(options.most),
        }
        self._process = start_group([*options.command, *map(str, arguments)], environment, self._log)
        deadline = time.monotonic() + _STARTING
        while not answers(self.port):
            if self._process.poll() is not None:
                raise Stubborn(f"the server ended by itself with {self._process.returncode}: {tail(self._log)}")
            if time.monotonic() > deadline:
                raise Stubborn(f"the server did not come up within {_STARTING:g} s: {tail(self._log)}")
            time.sleep(_POLL)

    def look_alive(self) -> None:
        """Raises Stubborn when it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise Stubborn(f"the server ended by itself with {self._process.returncode}: {tail(self._log)}")

    def tell(self) -> None:
        """Tell it to end; returns when it has begun to, as far as can be seen."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _HEARING
        while not leaves(self.port) and time.monotonic() < deadline:
            time.sleep(_POLL)

    def wait(self) -> None:
        """Returns when it has ended. Raises Stubborn when it does not, or not well."""
        assert self._process is not None
        deadline = time.monotonic() + _ENDING
        while self._process.poll() is None or living(self.group):
            if time.monotonic() > deadline:
                raise Stubborn(f"the server did not end within {_ENDING:g} s: {tail(self._log)}")
            time.sleep(_POLL)
        if self._process.returncode:
            raise Stubborn(f"the server ended with {self._process.returncode} when told to end: {tail(self._log)}")

    def close(self) -> None:
        """Whatever happened, nothing of it runs any more."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def said(self) -> list[str]:
        """What there is in its log that a server should not have to say."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if "Traceback" in line]


class _Run:
    def __init__(
        self, outcome: Outcome, place: _Place, crew: SoakCrew, token: str, progress: Callable[[str], None]
    ) -> None:
        self._outcome = outcome
        self._options = outcome.options
        self._place = place
        self._crew = crew
        self._token = token
        self._progress = progress
        self._origin = time.monotonic()

    def to_the_end(self) -> None:
        outcome = self._outcome
        self._place.start()
        before = vitals.scrape(self._place.port)
        outcome.fresh = self._look()
        self._progress(f"opening {self._options.idle} idle connections")
        outcome.held = self._crew.hold()
        outcome.holding = self._look()
        self._crew.begin()
        self._progress(f"{self._options.active} clients at work for {self._options.seconds:g} s")
        self._load()
        outcome.record = self._crew.end()
        self._progress("looking at what is left")
        self._settle(before)
        self._place.tell()
        self._place.wait()
        outcome.seconds = self._now()
        self._judge()

    def _now(self) -> float:
        return time.monotonic() - self._origin

    def _look(self) -> Vitals | None:
        return vitals.look(self._place.group, self._now())

    def _load(self) -> None:
        options = self._options
        pause = max(options.seconds / _LOOKS, _POLL)
        began = self._now()
        restart = None if options.restart_at is None else began + options.restart_at
        self._outcome.lives.append([])
        while self._now() < began + options.seconds:
            time.sleep(pause)
            if restart is not None and self._now() >= restart:
                restart = None
                self._restart()
            self._place.look_alive()
            found = self._look()
            if found is not None:
                self._outcome.lives[-1].append(found)

    def _restart(self) -> None:
        self._progress("telling the server to end, and starting it again")
        options, outcome = self._options, self._outcome
        number = min(_HELD, options.most or _HELD)
        with HeldUploads(self._place.port, self._token, options.seed, number) as held:
            outcome.held_at_end = held.begin()
            self._crew.leaving()
            began = self._now()
            self._place.tell()
            outcome.wrong += held.finish()
            self._place.wait()
            outcome.ending = self._now() - began
            self._place.start()
            outcome.away = self._now() - began
            outcome.wrong += held.look()
        outcome.restarts += 1
        self._crew.returned()
        outcome.lives.append([])

    def _settle(self, before: dict[str, float]) -> None:
        """Wait until the server has let go of all that the clients made it hold, or it is plain that it does not."""
        outcome, workers = self._outcome, self._options.workers
        most_files = (outcome.fresh.files if outcome.fresh else 0) + _SPARE_FILES * workers
        most_tasks = before.get("objectstore_tasks", 0.0) + _SPARE_TASKS * workers
        deadline = time.monotonic() + self._options.settling
        while True:
            outcome.left = self._look()
            tasks = vitals.scrape(self._place.port).get("objectstore_tasks", 0.0)
            sockets = vitals.connections(self._place.port)
            outcome.tasks = (before.get("objectstore_tasks", 0.0), tasks)
            held = [f"{number} connections are {state}" for state, number in sockets.items() if number > 1]
            if outcome.left is not None and outcome.left.files > most_files:
                held.append(f"{outcome.left.files} files are open, and at most {most_files} should be")
            if tasks > most_tasks:
                held.append(f"{tasks:.0f} tasks live, and at most {most_tasks:.0f} should")
            if not held:
                return
            if time.monotonic() > deadline:
                outcome.wrong += [f"{self._options.settling:g} s after the last client {one}" for one in held]
                return
            time.sleep(_POLL)

    def _judge(self) -> None:
        outcome = self._outcome
        record = outcome.record
        outcome.wrong += [f"{count} × {kind}" for kind, count in sorted(record.wrong.items())]
        outcome.wrong += disk.look(self._place.data)
        if said := self._place.said():
            outcome.wrong.append(f"the log of the server has {len(said)} tracebacks")
        longest = max(outcome.lives, key=lambda life: life[-1].at - life[0].at if life else 0.0)
        if not longest:
            return
        outcome.growth = found = vitals.growth(longest, _WARM * (longest[-1].at - longest[0].at))
        if found is not None and found.tells and found.grown > max(_GROWS * found.mean, _GROWS_LEAST):
            outcome.wrong.append(
                f"memory grew by {found.grown / 2**20:.0f} MiB in {found.seconds:.0f} s, "
                f"{found.per_hour / 2**20:.0f} MiB an hour"
            )
