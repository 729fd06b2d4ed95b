"""What a server takes of the machine, as Linux tells it of the processes of its group."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.testing.servergroup import members

_KIB: Final = 1024
_JUDGED: Final = 120.0  # seconds of looks that it takes to say that memory grows
_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED: Final = "01"
_CLOSE_WAIT: Final = "08"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """All processes together at one moment."""

    at: float  # seconds since the run began
    resident: int  # bytes; what processes share counts in each
    proportional: int  # bytes; what processes share is divided between them
    files: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How memory went in one life of the server, after it had warmed up."""

    seconds: float  # from the first look that counts to the last
    per_hour: float  # bytes: the slope of a line through all looks
    mean: float  # bytes

    @property
    def tells(self) -> bool:
        """Whether it is long enough to say anything."""
        return self.seconds >= _JUDGED

    @property
    def grown(self) -> float:
        """Bytes, along the line."""
        return self.per_hour * self.seconds / 3600


def look(group: int, at: float) -> Vitals | None:
    """None: nothing of it runs, or this system does not tell."""
    found = [one for one in map(_of_process, members(group)) if one is not None]
    if not found:
        return None
    resident, proportional, files, threads = map(sum, zip(*found, strict=True))
    return Vitals(at=at, resident=resident, proportional=proportional, files=files, threads=threads)


def _of_process(process: int) -> tuple[int, int, int, int] | None:
    folder = Path("/proc") / str(process)
    with contextlib.suppress(OSError):
        status = _fields(folder / "status")
        sums = _fields(folder / "smaps_rollup")
        files = len(list((folder / "fd").iterdir()))
        return status["VmRSS"] * _KIB, sums["Pss"] * _KIB, files, status["Threads"]
    return None


def _fields(path: Path) -> dict[str, int]:
    found = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdigit():
            found[name] = int(number[0])
    return found


def growth(life: Sequence[Vitals], warm: float) -> Growth | None:
    """Of the looks of one life later than `warm` seconds into it; None: they are too few."""
    counted = [one for one in life if one.at - life[0].at >= warm]
    if len(counted) < 3 or counted[-1].at == counted[0].at:
        return None
    times, sizes = [one.at for one in counted], [float(one.proportional) for one in counted]
    mean_time, mean = sum(times) / len(times), sum(sizes) / len(sizes)
    spread = sum((time - mean_time) ** 2 for time in times)
    slope = sum((time - mean_time) * (size - mean) for time, size in zip(times, sizes, strict=True)) / spread
    return Growth(seconds=times[-1] - times[0], per_hour=slope * 3600, mean=mean)


def connections(port: int) -> dict[str, int]:
    """How many the kernel has at the server's end, by state: `established`, `close_wait`."""
    counts = {"established": 0, "close_wait": 0}
    for state in _states(port):
        if state == _ESTABLISHED:
            counts["established"] += 1
        elif state == _CLOSE_WAIT:
            counts["close_wait"] += 1
    return counts


def _states(port: int) -> Iterable[str]:
    local = f":{port:04X}"
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(local):
                    yield fields[3]


def scrape(port: int) -> dict[str, float]:
    """The figures without labels of `/metrics`. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = b""
        while piece := connection.recv(_KIB * _KIB):
            said += piece
    found = {}
    for line in said.decode(errors="replace").splitlines():
        name, _, value = line.partition(" ")
        with contextlib.suppress(ValueError):
            found[name] = float(value)
    return found
