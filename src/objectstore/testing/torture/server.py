"""The server that is tortured: a real `objectstore serve` in a process group of its own, killed as a whole.

Most of its lives are forks of a process that has everything imported (`zygote.py`); some are started as users do it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from objectstore.testing.servergroup import Stubborn, answers, living, start_group, tail, without_settings
from objectstore.testing.torture.arming import GRACE_VARIABLE, STEP_VARIABLE
from objectstore.testing.torture.kills import At, Kill
from objectstore.testing.torture.zygote import Zygote

_STARTING: Final = 300.0  # seconds, on a machine that has other things to do
_DYING: Final = 120.0  # seconds; a sync that is under way is ended first, and a disk may be busy
_POLL: Final = 0.005  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How the server is started, again and again."""

    command: Sequence[str]  # of the entry that arms it; what follows it are arguments of `objectstore`
    folder: Path
    port: int
    workers: int
    server: str
    grace: float  # seconds

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.json"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def zygote(self) -> Zygote:
        """The process that forks lives of it."""
        return Zygote(self.command, without_settings(os.environ))

    def start(self, kill: Kill | None = None, zygote: Zygote | None = None) -> Server:
        """Start it, with the kill that it is to do itself, if it is one; without `zygote` from nothing."""
        counter = self.folder / "hits"
        counter.unlink(missing_ok=True)
        arguments = ["serve", "--data", self.data, "--port", self.port, "--workers", self.workers]
        arguments += ["--tokens", self.tokens, "--server", self.server, "--log-level", "warning"]
        environment = {"ACCESS_LOG": "false", GRACE_VARIABLE: str(self.grace)}
        if isinstance(kill, At):
            environment[STEP_VARIABLE] = f"{kill.step}:{kill.hit}:{counter}"
        told = [str(argument) for argument in arguments]
        if zygote is not None:
            return Server(self, _Fork(zygote, zygote.start(told, environment, self.log)))
        process = start_group([*self.command, *told], without_settings(os.environ) | environment, self.log)
        return Server(self, process)


class Process(Protocol):
    """One that leads its group."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Fork:
    zygote: Zygote
    pid: int

    def poll(self) -> int | None:
        return self.zygote.poll(self.pid)

    def wait(self) -> int:
        return self.zygote.wait(self.pid)


class Server:
    """One life of it."""

    def __init__(self, place: Place, process: Process) -> None:
        self._place = place
        self._process = process

    def comes_up(self) -> bool:
        """Wait until it answers; whether it does, else it has killed itself. Raises Stubborn."""
        deadline = time.monotonic() + _STARTING
        while time.monotonic() < deadline:
            if self.dead():
                return False
            if answers(self._place.port):
                return True
            time.sleep(_POLL)
        raise Stubborn(f"the server did not come up within {_STARTING:g} s: {self._tail()}")

    def dead(self) -> bool:
        """Whether it has killed itself. Raises Stubborn when it has ended in any other way."""
        code = self._process.poll()
        if code is None:
            return False
        if code != -signal.SIGKILL:
            raise Stubborn(f"the server ended by itself with {code}: {self._tail()}")
        self._bury()
        return True

    def kill(self) -> None:
        """Kill the whole group, now; when this returns none of it runs any more."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._bury()

    def _bury(self) -> None:
        self._process.wait()
        deadline = time.monotonic() + _DYING
        # One that is in the middle of a sync ends after it, and that must not happen under the eyes of the next.
        while living(self._process.pid):
            if time.monotonic() > deadline:
                raise Stubborn(f"processes of the group {self._process.pid} do not die")
            time.sleep(_POLL)

    def _tail(self) -> str:
        return tail(self._place.log)
