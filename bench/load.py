"""What drives the servers: wrk for many small requests, curl for large bodies, both on the other core."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bench.contestants import Server
from bench.measurement import Sample
from bench.processes import LOAD_CORES, pinned
from bench.seeding import Seed

_SCRIPT: Final = Path(__file__).with_name("load.lua")
_MARK: Final = "RESULT "
Method = Literal["GET", "HEAD", "PUT", "DELETE"]


class LoadError(Exception):
    """The load was not served as it should have been, so there is nothing to measure."""


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


def wrk(
    server: Server,
    method: Method,
    keys: Seed,
    *,
    first: int = 0,
    mode: Literal["cycle", "sequence", "all"] = "cycle",
    connections: int,
    seconds: int,
    spare: int = 0,
    threads: int = 1,
    cores: Sequence[int] = LOAD_CORES,
) -> Answered:
    """Send so much, as `load.lua` says; `spare` is the number of a key that stays there.

    Raises:
        LoadError: any request was refused or broke off.
    """
    command = ["wrk", "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s", "--timeout", "30s"]
    command += ["--latency", "-s", str(_SCRIPT), server.url, "--"]
    path = f"{server.path}{keys.folder}/"
    arguments = [method, path, str(first), str(keys.count), str(keys.size if method == "PUT" else 0), mode]
    done = subprocess.run(
        pinned(cores, *command, *arguments, server.token, f"{path}{spare:09}"),
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


def rate(server: Server, method: Method, keys: Seed, **how: object) -> Sample:
    """Requests in a second, by `wrk`, with what they cost the server."""
    server.program.forget_peak()
    before = server.program.cpu_seconds()
    answered = wrk(server, method, keys, **how)  # type: ignore[arg-type]  # the options of `wrk`, passed on
    cpu = server.program.cpu_seconds() - before
    return Sample(
        value=answered.requests / answered.seconds,
        cpu=cpu / answered.requests,
        peak=server.program.peak(),
        command=answered.command,
    )
