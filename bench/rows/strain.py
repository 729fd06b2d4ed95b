"""How the server bears strain: a busy neighbour, many large transfers, more workers, a large store at the start."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.connection import Connection
from bench.contestants import Server
from bench.load import download, metered, rate, upload, uploading, wrk
from bench.measurement import LoadError, Sample
from bench.processes import BOTH_CORES, LOAD_CORES, SERVER_CORES
from bench.rows.row import Lane, Row
from bench.seeding import MIB
from bench.stage import Stage, Store

_OURS: Final = ("granian", "uvicorn")
_MANY: Final = 64  # transfers at once


def _quiet(name: str) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        return _slowest(stage, stage.server(name), stage.seconds(turn))

    return measure


def _beside_an_upload(name: str) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        server = stage.server(name)
        body = stage.body(min(stage.scale.large, 256 * MIB))
        os.sync()
        with uploading(server, f"{stage.seed('big').folder}/neighbour", body):
            return _slowest(stage, server, stage.seconds(turn))

    return measure


def _slowest(stage: Stage, server: Server, seconds: int) -> Sample:
    """Milliseconds that all but the slowest hundredth stay under."""
    with metered(server) as meter:
        answered = wrk(server, "GET", stage.seed("small"), connections=32, seconds=seconds)
    return Sample(value=answered.p99 * 1000, peak=meter.peak, command=answered.command)


def _cold(name: str, store: Store) -> Lane:
    def measure(stage: Stage, _turn: int) -> Sample:
        index = stage.filled(store) / "index.sqlite3"
        for one in _OURS:
            stage.stop(one, store)
        _forget(index)
        began = time.perf_counter()
        server = stage.server(name, store)
        with Connection(server.port, server.headers) as connection:
            status, body = connection.ask("GET", "/objects?limit=1&prefix=many%2F")
        took = time.perf_counter() - began
        if status != 200:
            raise LoadError(f"{server.name} answered {status}: {body!r}")
        return Sample(
            value=took, cpu=server.program.cpu_seconds(), peak=server.program.peak(), command=stage.commands[name]
        )

    return measure


def _forget(path: Path) -> None:
    """Have the system drop what it holds of the file in memory."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _scaled(name: str, cores: Sequence[int], threads: int) -> Lane:
    def measure(stage: Stage, turn: int) -> Sample:
        return rate(
            stage.server(name),
            "GET",
            stage.seed("small"),
            connections=32 * threads,
            seconds=stage.seconds(turn),
            threads=threads,
            cores=cores,
        )

    return measure


def _downloads(name: str) -> Lane:
    def measure(stage: Stage, _turn: int) -> Sample:
        server, size = stage.server(name), stage.scale.large
        key = stage.holds_large(server)
        with metered(server) as meter:
            moved = download(server, key, size, times=_MANY)
        return Sample(value=meter.peak / MIB, cpu=meter.cpu / _MANY, peak=meter.peak, command=moved.command)

    return measure


def _uploads(name: str) -> Lane:
    def measure(stage: Stage, _turn: int) -> Sample:
        server, body = stage.server(name), stage.body(stage.scale.uploaded)
        os.sync()
        with metered(server) as meter:
            moved = upload(server, f"{stage.seed('big').folder}/many", body, times=_MANY)
        return Sample(value=meter.peak / MIB, cpu=meter.cpu / _MANY, peak=meter.peak, command=moved.command)

    return measure


ROWS: Final = (
    Row(
        name="p99-quiet",
        title="GET 1 KiB, the 99th percentile, nothing else going on",
        unit="ms",
        how="wrk, 32 connections",
        seeds=("small",),
        lanes={name: _quiet(name) for name in (*_OURS, "nginx")},
    ),
    Row(
        name="p99-upload",
        title="GET 1 KiB, the 99th percentile, while one client uploads",
        unit="ms",
        how="as before, while curl sends a large body over and over from the load's core",
        seeds=("small", "big"),
        lanes={name: _beside_an_upload(name) for name in (*_OURS, "nginx")},
    ),
    Row(
        name="workers",
        title="GET 1 KiB, one and two workers",
        unit="/s",
        how="wrk with 32 connections for each worker; the load needs a core too, so like is compared with like: one "
        "worker that shares its core with the load, two that share both with twice the load; beside them one with "
        "the load on the other core",
        seeds=("small",),
        lanes={
            "granian": _scaled("granian", LOAD_CORES, 1),
            "granian, load on its core": _scaled("granian", SERVER_CORES, 1),
            "granian-2, load on both cores": _scaled("granian-2", BOTH_CORES, 2),
        },
    ),
    Row(
        name="memory-down",
        title="Memory while 64 clients download 1 GiB each",
        unit="MiB",
        how="one curl with 64 transfers at once; the most that the largest process held",
        seeds=("big",),
        lanes={name: _downloads(name) for name in _OURS},
        once=True,
    ),
    Row(
        name="memory-up",
        title="Memory while 64 clients upload",
        unit="MiB",
        how="one curl with 64 transfers at once, of 128 MiB each so that the disk holds them; the most that the "
        "largest process held",
        seeds=("big",),
        lanes={name: _uploads(name) for name in _OURS},
        once=True,
    ),
    Row(
        name="cold-start",
        title="Cold start to first answer, 1 M objects",
        unit="s",
        how="from starting the command to the first key that it lists; the index is dropped from the page cache before",
        lanes={name: _cold(name, "many") for name in _OURS} | {"granian, 10 k objects": _cold("granian", "few")},
        warms_up=False,
    ),
)
