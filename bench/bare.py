"""What the parts do alone, without a server: the application, the engine, SQLite, the disk.

`python -m bench.bare WORK …` runs one. Each runs in a process of its own on the server's core, so that it has what
a server has.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, TypeAlias

from bench import application, engine
from bench.contestants import ROOT
from bench.measurement import Sample
from bench.processes import SERVER_CORES, pinned
from bench.rows.row import Lane
from bench.seeding import MIB
from bench.stage import Stage, Store
from objectstore.backends.engine.backend import INLINE_LIMIT, EngineBackend

Work: TypeAlias = Literal[
    "application-get", "application-put", "engine-get", "engine-put", "sqlite", "files", "sha-256", "sync", "page"
]


def lane(work: Work, size: int, at_once: int = 1, *, store: Store | None = None) -> Lane:
    """Measures this work, with bodies of `size` bytes, so many at once; a page is of a large store."""

    def measure(stage: Stage, turn: int) -> Sample:
        os.sync()
        folder = stage.folder if store is None else stage.filled(store)
        command = ["-m", "bench.bare", work, str(folder), str(size), str(at_once), str(stage.seconds(turn))]
        done = subprocess.run(
            pinned(SERVER_CORES, sys.executable, *command), check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        return Sample(value=float(done.stdout), command=" ".join(["python", *command]).replace(str(stage.folder), "."))

    return measure


def large_lane(work: Work) -> Lane:
    """As `lane`, for a body as large as the large objects are."""

    def measure(stage: Stage, turn: int) -> Sample:
        return lane(work, stage.scale.large)(stage, turn)

    return measure


def _application_get(folder: Path, size: int, at_once: int, seconds: int) -> float:
    return application.requests("GET", folder, size, at_once, seconds)


def _application_put(folder: Path, size: int, at_once: int, seconds: int) -> float:
    return application.requests("PUT", folder, size, at_once, seconds)


def _engine_get(folder: Path, size: int, _at_once: int, seconds: int) -> float:
    async def gets() -> float:
        async with EngineBackend(folder / "data") as backend:
            for number in range(1000):
                await backend.put(str(number), os.urandom(size))
            count, ended = 0, time.perf_counter() + seconds
            while time.perf_counter() < ended:
                async with backend.get(str(count % 1000)):
                    count += 1
        return count / seconds

    return engine.run(gets())


def _engine_put(folder: Path, size: int, at_once: int, seconds: int) -> float:
    # As many as take about the time that was asked for.
    probe = 20 * at_once
    rate = engine.run(engine.puts(folder / "probe", size, probe, at_once, INLINE_LIMIT))
    return engine.run(engine.puts(folder / "put", size, max(probe, int(rate * seconds)), at_once, INLINE_LIMIT))


def _sqlite(folder: Path, size: int, at_once: int, seconds: int) -> float:
    for name in ("probe", "put"):
        (folder / name).mkdir()
    rate = engine.bare_database(folder / "probe", size, 50 * at_once, at_once)
    return engine.bare_database(folder / "put", size, max(100, int(rate * seconds)) * at_once, at_once)


def _files(folder: Path, size: int, at_once: int, seconds: int) -> float:
    """Files that are written, synced, renamed into one folder, which is synced too, by so many threads."""
    staging, target = folder / "staging", folder / "target"
    staging.mkdir()
    target.mkdir()
    body = os.urandom(size)
    counts = [0] * at_once
    ended = time.perf_counter() + seconds

    def write(writer: int) -> None:
        while time.perf_counter() < ended:
            name = f"{writer}-{counts[writer]}"
            fd = os.open(staging / name, os.O_WRONLY | os.O_CREAT)
            os.write(fd, body)
            os.fsync(fd)
            os.close(fd)
            (staging / name).rename(target / name)
            fd = os.open(target, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
            counts[writer] += 1

    began = time.perf_counter()
    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(at_once)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    return sum(counts) / (time.perf_counter() - began)


def _sha256(_folder: Path, size: int, _at_once: int, _seconds: int) -> float:
    """MB/s."""
    block = os.urandom(MIB)
    digest = hashlib.sha256()
    began = time.perf_counter()
    for _ in range(size // MIB):
        digest.update(block)
    return size / (time.perf_counter() - began) / 1e6


def _sync(folder: Path, size: int, _at_once: int, _seconds: int) -> float:
    """MB/s, written and synced."""
    block = os.urandom(MIB)
    began = time.perf_counter()
    with (folder / "body").open("wb", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(block)
        os.fdatasync(file.fileno())
    return size / (time.perf_counter() - began) / 1e6


def _page(data: Path, _size: int, _at_once: int, seconds: int) -> float:
    """Milliseconds for a page of 1000 keys anywhere, by SQLite."""
    with closing(sqlite3.connect(f"{(data / 'index.sqlite3').absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (last,) = connection.execute("SELECT last FROM sequence").fetchone()
        connection.execute("PRAGMA cache_size = -32768")
        choose = random.Random(1)
        took = []
        ended = time.perf_counter() + seconds
        while time.perf_counter() < ended:
            start = f"many/{choose.randrange(max(1, last - 1000)):07}"
            began = time.perf_counter()
            query = "SELECT key FROM objects WHERE key >= ? ORDER BY key LIMIT 1000"
            connection.execute(query, (start,)).fetchall()
            took.append(time.perf_counter() - began)
    return sorted(took)[len(took) // 2] * 1000


_WORKS: Final[Mapping[Work, Callable[[Path, int, int, int], float]]] = {
    "application-get": _application_get,
    "application-put": _application_put,
    "engine-get": _engine_get,
    "engine-put": _engine_put,
    "sqlite": _sqlite,
    "files": _files,
    "sha-256": _sha256,
    "sync": _sync,
    "page": _page,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bare", description=__doc__)
    parser.add_argument("work", choices=_WORKS)
    parser.add_argument("folder", type=Path, help="on the disk to be measured; for a page, a data directory")
    parser.add_argument("size", type=int, help="bytes of a body")
    parser.add_argument("at_once", type=int)
    parser.add_argument("seconds", type=int)
    told = parser.parse_args()
    work = _WORKS[told.work]
    if told.work == "page":
        print(work(told.folder, told.size, told.at_once, told.seconds))
        return
    scratch = Path(tempfile.mkdtemp(dir=told.folder, prefix="bare-"))
    try:
        print(work(scratch, told.size, told.at_once, told.seconds))
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
