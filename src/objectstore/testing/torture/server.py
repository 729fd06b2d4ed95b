"""The server that is tortured: a real `objectstore serve` in a process group of its own, killed as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.testing.torture.arming import GRACE_VARIABLE, STEP_VARIABLE
from objectstore.testing.torture.kills import At, Kill

_STARTING: Final = 90.0  # seconds, on a machine that has other things to do
_DYING: Final = 30.0  # seconds
_POLL: Final = 0.005  # seconds
_TAIL: Final = 2000  # characters of the log


class Stubborn(Exception):
    """The server does not come up, or does not go; the message has the end of its log."""


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

    def start(self, kill: Kill | None = None) -> Server:
        """Start it, with the kill that it is to do itself, if it is one."""
        counter = self.folder / "hits"
        counter.unlink(missing_ok=True)
        arguments = ["serve", "--data", self.data, "--port", self.port, "--workers", self.workers]
        arguments += ["--tokens", self.tokens, "--server", self.server, "--log-level", "warning"]
        environment = {**_clean(os.environ), "ACCESS_LOG": "false", GRACE_VARIABLE: str(self.grace)}
        if isinstance(kill, At):
            environment[STEP_VARIABLE] = f"{kill.step}:{kill.hit}:{counter}"
        with self.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own program
                [*self.command, *map(str, arguments)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Server(self, process)


class Server:
    """One life of it."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes]) -> None:
        self._place = place
        self._process = process

    def comes_up(self) -> bool:
        """Wait until it answers; whether it does, else it has killed itself. Raises Stubborn."""
        deadline = time.monotonic() + _STARTING
        while time.monotonic() < deadline:
            if self.dead():
                return False
            if _answers(self._place.port):
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
        while _living(self._process.pid):
            if time.monotonic() > deadline:
                raise Stubborn(f"processes of the group {self._process.pid} do not die")
            time.sleep(_POLL)

    def _tail(self) -> str:
        return self._place.log.read_text(errors="replace")[-_TAIL:]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what else would say which store is served, and how."""
    meant = {"DATA_DIR", "STORAGE_CONFIG", "STORAGE_NAME", "RATE_LIMIT", "HOST", "PORT", "WORKERS", "DURABILITY"}
    return {name: value for name, value in environment.items() if name not in meant}


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        probe.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return probe.recv(64).startswith(b"HTTP/1.1 200")
    return False


def _living(group: int) -> bool:
    """Whether a process of the group still runs. One that is dead and not yet waited for does not."""
    processes = Path("/proc")
    if not (processes / "self" / "stat").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, 0)
            return True
        return False
    for entry in processes.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state not in {"Z", "X"}:
                    return True
    return False
