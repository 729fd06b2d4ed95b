"""Programs started for a measurement: where they run, what they use of the processor and of memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE: Final = 30  # seconds that a program is given to end by itself
_ALL: Final = sorted(os.sched_getaffinity(0))

SERVER_CORES: Final = (_ALL[0],)
LOAD_CORES: Final = (_ALL[min(1, len(_ALL) - 1)],)
BOTH_CORES: Final = tuple(sorted({*SERVER_CORES, *LOAD_CORES}))


def pinned(cores: Sequence[int], *command: str) -> list[str]:
    """The command line that runs `command` on these cores alone."""
    return ["taskset", "-c", ",".join(map(str, cores)), *command]


def script(name: str) -> str:
    """The path of a program that was installed with the packages of this Python, or its bare name."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Program:
    """A running program with all the processes that it started."""

    process: subprocess.Popen[str]

    def processes(self) -> list[int]:
        """The ids of its processes, itself first."""
        return list(_descendants(self.process.pid))

    def cpu_seconds(self) -> float:
        """Processor time used so far, by children that have ended too."""
        return sum(_cpu_seconds(pid) for pid in self.processes())

    def forget_peak(self) -> None:
        """Let `peak` count from now on."""
        for pid in self.processes():
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Bytes of memory that the largest of its processes has held at most."""
        return max(map(_peak, self.processes()), default=0)

    def pin(self, cores: Sequence[int]) -> None:
        """Let all of its threads run on these cores alone from now on."""
        for pid in self.processes():
            for task in _tasks(pid):
                with suppress(OSError):
                    os.sched_setaffinity(task, cores)


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
    cwd: Path | None = None,
) -> Iterator[Program]:
    """The program, from its start to its end, which SIGTERM asks for. What it says on stderr goes to `log`.

    Its environment is ours, `without` these variables, and with `env` added.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=cwd,
            env={**inherited, **(env or {})},
            process_group=0,  # Ctrl-C ends the measurement, which then ends its programs in order
        )
    with process:
        try:
            yield Program(process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for task in _tasks(pid):
        with suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from _descendants(int(child))


def _tasks(pid: int) -> list[int]:
    try:
        return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS  # utime, stime, and those of children that were waited for


def _peak(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
