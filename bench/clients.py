"""What the clients do in a second. `python -m bench.clients CLIENT WORK URL …` measures one of them.

Each runs in a process of its own on the load's core: our clients, and the bare HTTP library that they use.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final, Literal, Self, TypeAlias

import httpx2

from bench.contestants import ROOT
from bench.load import download, metered, upload
from bench.measurement import LoadError, Sample
from bench.processes import LOAD_CORES, pinned
from bench.rows.row import Lane
from bench.seeding import KIB
from bench.stage import Stage
from objectstore import AsyncRestStore, RestStore

Client: TypeAlias = Literal["sync", "async", "httpx2-sync", "httpx2-async"]
Work: TypeAlias = Literal["gets", "download", "upload"]
_AT_ONCE: Final = 32
_ABSENT: Final = "absent"  # asked for once, so that connecting is not measured
_CHUNK: Final = 256 * KIB  # bytes; what our clients send at once
_TOKEN: Final = "BENCH_TOKEN"  # noqa: S105  the variable that hands the token on


def lane(client: Client, work: Work, server_name: str) -> Lane:
    """Measures this client at this work against that server."""

    def measure(stage: Stage, turn: int) -> Sample:
        server, scale = stage.server(server_name), stage.scale
        os.sync()
        if work == "gets":
            seed = stage.seed("small")
            target, number = f"{seed.folder}/", seed.count
        else:
            target, number = f"{stage.seed('big').folder}/moved", scale.transfer
            if work == "download":
                upload(server, target, stage.body(number))
                target += "0"
        base = server.url if client in {"sync", "async"} else server.url + server.path
        command = ["-m", "bench.clients", client, work, base, target, str(number), str(stage.seconds(turn))]
        with metered(server) as meter:
            done = subprocess.run(
                pinned(LOAD_CORES, sys.executable, *command),
                check=False,
                capture_output=True,
                text=True,
                cwd=ROOT,
                env={**os.environ, _TOKEN: server.token},
            )
        if done.returncode:
            raise LoadError(f"{client} against {server_name}, turn {turn}:\n{done.stderr}")
        return Sample(value=float(done.stdout), peak=meter.peak, command=" ".join(["python", *command]))

    return measure


def curl_lane(work: Work, server_name: str) -> Lane:
    """Moves the same body by curl."""

    def measure(stage: Stage, _turn: int) -> Sample:
        server, size = stage.server(server_name), stage.scale.transfer
        key = f"{stage.seed('big').folder}/moved"
        os.sync()
        moved = upload(server, key, stage.body(size))
        if work == "download":
            moved = download(server, f"{key}0", size)
        return Sample(value=moved.rate, command=moved.command)

    return measure


def _sync_gets(base: str, target: str, number: int, seconds: int) -> float:
    with RestStore.create(base, os.environ[_TOKEN]) as store:
        return _counted(store.get, target, number, seconds)


def _httpx_sync_gets(base: str, target: str, number: int, seconds: int) -> float:
    with httpx2.Client(base_url=base, headers=_credential(), trust_env=False) as client:

        def get(key: str) -> object:
            return client.get(key).raise_for_status().content

        return _counted(get, target, number, seconds)


def _counted(get: Callable[[str], object], target: str, number: int, seconds: int) -> float:
    get(f"{target}{0:09}")
    count, began = 0, time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        get(f"{target}{count % number:09}")
        count += 1
    return count / (now - began)


async def _async_gets(base: str, target: str, number: int, seconds: int) -> float:
    async with AsyncRestStore.create(base, os.environ[_TOKEN]) as store:
        counts = [0] * _AT_ONCE
        began = time.perf_counter()

        async def get(worker: int) -> None:
            while time.perf_counter() < began + seconds:
                await store.get(f"{target}{(worker + _AT_ONCE * counts[worker]) % number:09}")
                counts[worker] += 1

        await asyncio.gather(*map(get, range(_AT_ONCE)))
        return sum(counts) / (time.perf_counter() - began)


async def _httpx_async_gets(base: str, target: str, number: int, seconds: int) -> float:
    async with httpx2.AsyncClient(base_url=base, headers=_credential(), trust_env=False) as client:
        counts = [0] * _AT_ONCE
        began = time.perf_counter()

        async def get(worker: int) -> None:
            while time.perf_counter() < began + seconds:
                found = await client.get(f"{target}{(worker + _AT_ONCE * counts[worker]) % number:09}")
                found.raise_for_status()
                counts[worker] += 1

        await asyncio.gather(*map(get, range(_AT_ONCE)))
        return sum(counts) / (time.perf_counter() - began)


def _sync_download(base: str, target: str, number: int, _seconds: int) -> float:
    with RestStore.create(base, os.environ[_TOKEN]) as store:
        store.exists(_ABSENT)
        with _Timed(number) as timed, store.stream(target) as reader:
            for chunk in reader:
                timed.moved += len(chunk)
    return timed.rate


def _httpx_sync_download(base: str, target: str, number: int, _seconds: int) -> float:
    with httpx2.Client(base_url=base, headers=_credential(), trust_env=False) as client:
        client.get(_ABSENT)
        with _Timed(number) as timed, client.stream("GET", target) as found:
            for chunk in found.raise_for_status().iter_raw():
                timed.moved += len(chunk)
    return timed.rate


async def _async_download(base: str, target: str, number: int, _seconds: int) -> float:
    async with AsyncRestStore.create(base, os.environ[_TOKEN]) as store:
        await store.exists(_ABSENT)
        with _Timed(number) as timed:
            async with store.stream(target) as reader:
                async for chunk in reader:
                    timed.moved += len(chunk)
    return timed.rate


async def _httpx_async_download(base: str, target: str, number: int, _seconds: int) -> float:
    async with httpx2.AsyncClient(base_url=base, headers=_credential(), trust_env=False) as client:
        await client.get(_ABSENT)
        with _Timed(number) as timed:
            async with client.stream("GET", target) as found:
                async for chunk in found.raise_for_status().aiter_raw():
                    timed.moved += len(chunk)
    return timed.rate


def _sync_upload(base: str, target: str, number: int, _seconds: int) -> float:
    with RestStore.create(base, os.environ[_TOKEN]) as store:
        store.exists(_ABSENT)
        with _Timed(number) as timed:
            timed.moved = store.put(target, _chunks(number)).size
    return timed.rate


def _httpx_sync_upload(base: str, target: str, number: int, _seconds: int) -> float:
    with httpx2.Client(base_url=base, headers=_credential(), trust_env=False) as client:
        client.get(_ABSENT)
        with _Timed(number) as timed:
            sized = {"Content-Length": str(number)}
            client.put(target, content=_chunks(number), headers=sized).raise_for_status()
            timed.moved = number
    return timed.rate


async def _async_upload(base: str, target: str, number: int, _seconds: int) -> float:
    async with AsyncRestStore.create(base, os.environ[_TOKEN]) as store:
        await store.exists(_ABSENT)
        with _Timed(number) as timed:
            timed.moved = (await store.put(target, _achunks(number))).size
    return timed.rate


async def _httpx_async_upload(base: str, target: str, number: int, _seconds: int) -> float:
    async with httpx2.AsyncClient(base_url=base, headers=_credential(), trust_env=False) as client:
        await client.get(_ABSENT)
        with _Timed(number) as timed:
            sized = {"Content-Length": str(number)}
            (await client.put(target, content=_achunks(number), headers=sized)).raise_for_status()
            timed.moved = number
    return timed.rate


class _Timed:
    """Times a transfer of `size` bytes; `moved` is what really was."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.moved = 0
        self.rate = 0.0  # MB/s

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if exc_type is None and self.moved != self._size:
            raise LoadError(f"{self.moved} of {self._size} bytes were moved")
        self.rate = self.moved / (time.perf_counter() - self._began) / 1e6


def _credential() -> dict[str, str]:
    token = os.environ[_TOKEN]
    return {"Authorization": f"Bearer {token}"} if token else {}


def _chunks(size: int) -> Iterator[bytes]:
    chunk = os.urandom(_CHUNK)
    for _ in range(size // _CHUNK):
        yield chunk


async def _achunks(size: int) -> AsyncIterator[bytes]:
    for chunk in _chunks(size):
        yield chunk


_SYNC: Final[Mapping[tuple[Client, Work], Callable[[str, str, int, int], float]]] = {
    ("sync", "gets"): _sync_gets,
    ("sync", "download"): _sync_download,
    ("sync", "upload"): _sync_upload,
    ("httpx2-sync", "gets"): _httpx_sync_gets,
    ("httpx2-sync", "download"): _httpx_sync_download,
    ("httpx2-sync", "upload"): _httpx_sync_upload,
}
_ASYNC: Final = {
    ("async", "gets"): _async_gets,
    ("async", "download"): _async_download,
    ("async", "upload"): _async_upload,
    ("httpx2-async", "gets"): _httpx_async_gets,
    ("httpx2-async", "download"): _httpx_async_download,
    ("httpx2-async", "upload"): _httpx_async_upload,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.clients", description=__doc__)
    parser.add_argument("client", choices=("sync", "async", "httpx2-sync", "httpx2-async"))
    parser.add_argument("work", choices=("gets", "download", "upload"))
    parser.add_argument("base", help="URL of the server; for httpx2, with the path that goes before keys")
    parser.add_argument("target", help="a key, or what keys begin with")
    parser.add_argument("number", type=int, help="of keys, or bytes of the body")
    parser.add_argument("seconds", type=int)
    told = parser.parse_args()
    which = told.client, told.work
    options = told.base, told.target, told.number, told.seconds
    if which in _SYNC:
        print(_SYNC[which](*options))
    else:
        # As most who use it run it: without an event loop from elsewhere.
        print(asyncio.run(_ASYNC[which](*options)))


if __name__ == "__main__":
    main()
