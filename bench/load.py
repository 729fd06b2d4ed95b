"""What drives the servers: wrk for many small requests, curl for large bodies, both on the other core."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Required, TypedDict, Unpack

from bench.contestants import Server
from bench.measurement import LoadError, Sample
from bench.processes import LOAD_CORES, pinned
from bench.seeding import Seed

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_MARK: Final = "RESULT "
Method = Literal["GET", "HEAD", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What wrk tells."""

    requests: int
    seconds: float
    p50: float  # seconds
    p99: float  # seconds
    command: str


def missing() -> str | None:
    """Which of the programs that drive the servers is not installed, if any."""
    absent = [name for name in ("wrk", "curl", "taskset") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


class How(TypedDict, total=False):
    """The options of `wrk`."""

    first: int  # number of the first key
    mode: Literal["cycle", "sequence", "all"]  # see load.lua
    connections: Required[int]
    seconds: Required[int]
    spare: int  # number of a key that stays there
    threads: int
    cores: Sequence[int]


def wrk(server: Server, method: Method, keys: Seed, **how: Unpack[How]) -> Answered:
    """Send so much, as `load.lua` says. Raises LoadError when any request was refused or broke off."""
    first, mode, seconds = how.get("first", 0), how.get("mode", "cycle"), how["seconds"]
    command = ["wrk", "-t", str(how.get("threads", 1)), "-c", str(how["connections"]), "-d", f"{seconds}s"]
    command += ["--timeout", "30s"]
    command += ["--latency", "-s", str(_SCRIPT), server.url, "--"]
    path = f"{server.path}{keys.folder}/"
    arguments = [method, path, str(first), str(keys.count), str(keys.size if method == "PUT" else 0), mode]
    done = subprocess.run(
        pinned(how.get("cores", LOAD_CORES), *command, *arguments, server.token, f"{path}{how.get('spare', 0):09}"),
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds + 120,
    )
    shown = shlex.join([*command, *arguments]).replace(str(_SCRIPT.parent.parent) + os.sep, "")
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode != 0 or not lines:
        raise LoadError(f"{shown} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    told = json.loads(lines[0].removeprefix(_MARK))
    if told["refused"] or told["broken"] or not told["requests"]:
        raise LoadError(
            f"{server.name}: of {told['requests']:.0f} × {method} {path}… {told['refused']:.0f} were refused and "
            f"{told['broken']:.0f} broke off"
        )
    return Answered(
        requests=int(told["requests"]),
        seconds=told["seconds"],
        p50=told.get("p50", 0.0),
        p99=told.get("p99", 0.0),
        command=shown,
    )


@dataclass(slots=True)
class Meter:
    """What a server used while a block ran. Known when the block has ended."""

    cpu: float = 0.0  # seconds
    peak: int = 0  # bytes


@contextmanager
def metered(server: Server) -> Iterator[Meter]:
    meter = Meter()
    server.program.forget_peak()
    before = server.program.cpu_seconds()
    yield meter
    meter.cpu = server.program.cpu_seconds() - before
    meter.peak = server.program.peak()


def rate(server: Server, method: Method, keys: Seed, **how: Unpack[How]) -> Sample:
    """Requests in a second, by `wrk`, with what they cost the server."""
    with metered(server) as meter:
        answered = wrk(server, method, keys, **how)
    return Sample(
        value=answered.requests / answered.seconds,
        cpu=meter.cpu / answered.requests,
        peak=meter.peak,
        command=answered.command,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What curl tells of one or several bodies."""

    size: int  # bytes in all
    seconds: float  # until the last was done
    command: str

    @property
    def rate(self) -> float:
        """MB/s."""
        return self.size / self.seconds / 1e6


def download(server: Server, key: str, size: int, *, span: tuple[int, int] | None = None, times: int = 1) -> Moved:
    """Read a body of `size` bytes, or bytes of it from `span[0]` up to `span[1]`, so many times at once."""
    ranged = [] if span is None else ["-r", f"{span[0]}-{span[1] - 1}"]
    size = size if span is None else span[1] - span[0]
    targets = ["-o", os.devnull, server.url + server.path + key] * times
    return _curl(server, [*ranged, *targets], size, times, LOAD_CORES)


def upload(server: Server, key: str, body: Path, *, times: int = 1, cores: Sequence[int] = LOAD_CORES) -> Moved:
    """Send a file, so many times at once, to `key` and a number."""
    targets = []
    for number in range(times):
        targets += ["-o", os.devnull, "-T", str(body), f"{server.url}{server.path}{key}{number}"]
    return _curl(server, ["-H", "Expect:", *targets], body.stat().st_size, times, cores)


def _curl(server: Server, arguments: Sequence[str], size: int, times: int, cores: Sequence[int]) -> Moved:
    """Raises LoadError unless each transfer moved `size` bytes and succeeded."""
    command = ["curl", "-sS", "-w", "%{http_code} %{size_download} %{size_upload} %{time_total}\\n"]
    if times > 1:
        command += ["--parallel", "--parallel-immediate", "--parallel-max", str(times)]
    credential = ["-H", f"Authorization: Bearer {server.token}"] if server.token else []
    began = time.perf_counter()
    done = subprocess.run(
        pinned(cores, *command, *credential, *arguments), check=False, capture_output=True, text=True, timeout=900
    )
    took = time.perf_counter() - began
    told = [line.split() for line in done.stdout.splitlines()]
    whole = [line for line in told if line[0].startswith("2") and str(size) in line[1:3]]
    if done.returncode != 0 or len(whole) != times:
        raise LoadError(f"{server.name}: {len(whole)} of {times} transfers succeeded:\n{done.stdout}{done.stderr}")
    seconds = took if times > 1 else float(whole[0][3])
    return Moved(size=size * times, seconds=seconds, command=shlex.join([*command, *arguments[:5]]))


@contextmanager
def uploading(server: Server, key: str, body: Path) -> Iterator[None]:
    """One client sends the file over and over, as fast as it is taken, while the block runs."""
    ended = threading.Event()
    failures: list[LoadError] = []

    def send() -> None:
        while not ended.is_set():
            try:
                upload(server, key, body)
            except LoadError as error:
                failures.append(error)
                return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()
    if failures:
        raise failures[0]
