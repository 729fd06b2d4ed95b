"""A real `objectstore serve` in a process group of its own, so that all of it can be watched, and killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_TAIL: Final = 2000  # characters of the log
_PORTS: Final = range(15_000, 32_000)  # below those that kernels choose from
_SETTINGS: Final = frozenset(
    {"DATA_DIR", "STORAGE_CONFIG", "STORAGE_NAME", "RATE_LIMIT", "HOST", "PORT", "WORKERS", "DURABILITY"}
)


class Stubborn(Exception):
    """The server does not come up, or does not go; the message has the end of its log."""


def start_group(command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start it; what it says is added to `log`. Its process id is that of the group."""
    with log.open("ab") as file:
        return subprocess.Popen(  # noqa: S603  our own program
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def tail(log: Path) -> str:
    """The end of it."""
    return log.read_text(errors="replace").rstrip()[-_TAIL:]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at, and that is still to be had when a server is started again.

    Those that the kernel chooses it gives to clients, too, and one of these may have it by then.
    """
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what else would say which store is served, and how."""
    return {name: value for name, value in environment.items() if name not in _SETTINGS}


def answers(port: int) -> bool:
    """Whether a server on 127.0.0.1 says that it lives."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
        probe.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return probe.recv(64).startswith(b"HTTP/1.1 200")
    return False


def leaves(port: int) -> bool:
    """Whether there is none any more, or one that takes no further request on a connection, since it is to end."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = probe.recv(4096)
    except TimeoutError:
        return False
    except OSError:
        return True
    return not said or b"connection: close" in said.lower()


def living(group: int) -> bool:
    """Whether a process of the group still runs. One that is dead and not yet waited for does not."""
    if not Path("/proc/self/stat").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, 0)
            return True
        return False
    return bool(members(group))


def members(group: int) -> list[int]:
    """The ids of the processes of the group that run, as Linux tells them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state not in {"Z", "X"}:
                    found.append(int(entry.name))
    return found
