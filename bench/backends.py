"""What each backend does in process, beside its bare medium. `python -m bench.backends WORK SUBJECT …` measures one.

Each runs in a process of its own on the load's core; a server that it needs runs on the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeAlias, get_args

from bench.contestants import ROOT
from bench.measurement import LoadError, Sample
from bench.media import BARE, Subject, bare
from bench.processes import LOAD_CORES, pinned
from bench.rows.row import Lane
from bench.seeding import KIB, MIB, make_file
from bench.stage import Stage
from objectstore.backends import reading
from objectstore.backends.contract import Backend
from objectstore.config.build import build
from objectstore.config.schema import load

Work: TypeAlias = Literal["get-small", "put-small", "get-large", "put-large"]
_KEYS: Final = 100  # that small objects are read from and written to
_CHUNK: Final = MIB  # of the large body
_TOKEN: Final = "BENCH_TOKEN"  # noqa: S105  the variable that hands the token on

_DESCRIBED: Final = Path(__file__).with_name("stores.yaml")
_URL: Final = "BENCH_URL"

# The stores of that file, each with the contestant that it talks to.
STORES: Final[Mapping[str, str | None]] = {
    "engine": None,
    "filesystem": None,
    "sqlite": None,
    "zip": None,
    "redis": "redis",
    "s3": "rclone-s3",
    "rest": "granian",
    "gzip": None,
    "cache": "rclone-s3",
}
_NEEDED: Final[Mapping[str, str | None]] = {**STORES, **BARE}


def lanes(work: Work) -> dict[str, Lane]:
    """All who can do it; a zip is only read."""
    return {name: _lane(name, work) for name in _NEEDED if name != "zip" or work.startswith("get")}


def _lane(name: str, work: Work) -> Lane:
    needed = _NEEDED[name]

    def measure(stage: Stage, turn: int) -> Sample:
        env = dict(os.environ)
        if needed is not None:
            server = stage.server(needed)
            env |= {_URL: server.url, _TOKEN: server.token}
        os.sync()
        with tempfile.TemporaryDirectory(dir=stage.folder, prefix="backend-") as folder:
            command = ["-m", "bench.backends", work, name, folder, str(stage.scale.transfer), str(stage.seconds(turn))]
            done = subprocess.run(
                pinned(LOAD_CORES, sys.executable, *command),
                check=False,
                capture_output=True,
                text=True,
                cwd=ROOT,
                env=env,
            )
        if done.returncode:
            raise LoadError(f"{work} by {name}, turn {turn}:\n{done.stderr}")
        value, peak = done.stdout.split()
        told = " ".join(["python", *command]).replace(str(stage.folder), "SCRATCH")
        return Sample(value=float(value), peak=int(peak), command=told)

    return measure


def _opened(name: str) -> AbstractAsyncContextManager[Subject]:
    return bare(name, os.environ.get(_URL, "")) if name in BARE else _store(name)


class _Ours:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def put(self, key: str, body: bytes) -> None:
        await self._backend.put(key, body)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        await self._backend.put(key, chunks)

    async def get(self, key: str) -> int:
        async with self._backend.get(key) as opened:
            return sum([len(chunk) async for chunk in reading.chunks(opened)])


@asynccontextmanager
async def _store(name: str) -> AsyncIterator[Subject]:
    async with build(load(_DESCRIBED, os.environ, name)) as backend:
        yield _Ours(backend)


async def _small(act: Callable[[str], Awaitable[object]], seconds: int) -> float:
    """Milliseconds for each, one after the other."""
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        await act(f"small/{count % _KEYS}")
        count += 1
    return (time.perf_counter() - began) / count * 1000


async def _large(moved: Awaitable[int | None], size: int) -> float:
    """MB/s."""
    began = time.perf_counter()
    if await moved not in {None, size}:
        raise LoadError("the object has another size")
    return size / (time.perf_counter() - began) / 1e6


async def _chunks(size: int) -> AsyncIterator[bytes]:
    chunk = os.urandom(_CHUNK)
    for _ in range(size // _CHUNK):
        yield chunk


async def _measure(subject: Subject, work: Work, size: int, seconds: int) -> float:
    match work:
        case "put-small":
            body = os.urandom(KIB)
            return await _small(lambda key: subject.put(key, body), seconds)
        case "get-small":
            return await _small(subject.get, seconds)
        case "put-large":
            return await _large(subject.put_stream("large", _chunks(size)), size)
        case "get-large":
            return await _large(subject.get("large"), size)


async def _fill(subject: Subject, work: Work, size: int) -> None:
    """Give it what is to be read."""
    if work == "get-large":
        await subject.put_stream("large", _chunks(size))
    elif work == "get-small":
        for number in range(_KEYS):
            await subject.put(f"small/{number}", os.urandom(KIB))


def _fill_zip(work: Work, size: int) -> None:
    with zipfile.ZipFile("objects.zip", "w") as archive:
        if work == "get-large":
            archive.write(make_file(Path("body"), size), "large")
        else:
            for number in range(_KEYS):
                archive.writestr(f"small/{number}", os.urandom(KIB))


async def _run(name: str, work: Work, size: int, seconds: int) -> float:
    if name == "zip":
        _fill_zip(work, size)
    else:
        async with _opened(name) as subject:
            await _fill(subject, work, size)
    async with _opened(name) as subject:
        if work.startswith("get"):
            # Once before, so that it is in memory, or in the cache, and the connection is there.
            await subject.get("large" if work == "get-large" else "small/0")
        return await _measure(subject, work, size, seconds)


def main() -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m bench.backends", description=__doc__)
    parser.add_argument("work", choices=get_args(Work))
    parser.add_argument("name", choices=_NEEDED)
    parser.add_argument("folder", type=Path, help="on the disk to be measured; empty")
    parser.add_argument("size", type=int, help="bytes of the large body")
    parser.add_argument("seconds", type=int, help="that small ones take")
    told = parser.parse_args()
    os.chdir(told.folder)
    print(asyncio.run(_run(told.name, told.work, told.size, told.seconds)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB, flush=True)
    # Threads of obstore may abort a process that tears its interpreter down (PyO3/pyo3-async-runtimes#40).
    os._exit(0)


if __name__ == "__main__":
    main()
