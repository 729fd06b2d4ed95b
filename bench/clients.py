"""What HTTP clients do in a second. `python -m bench.clients CLIENT WORK URL …` measures one of them.

Each runs in a process of its own: for small objects on the load's core, for large bodies on both, which is what a
client that hashes beside moving is made for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final, Literal, TypeAlias

from bench.contestants import ROOT
from bench.libraries import AWAITING, BLOCKING, Awaiting, Blocking, missing
from bench.load import download, metered, upload
from bench.measurement import LoadError, Sample
from bench.processes import BOTH_CORES, LOAD_CORES, SERVER_CORES, pinned
from bench.rows.row import Lane
from bench.seeding import KIB
from bench.stage import Missing, Stage

Work: TypeAlias = Literal["gets", "download", "upload"]
_AT_ONCE: Final = 32
_CHUNK: Final = 256 * KIB  # bytes of an upload at once
_TOKEN: Final = "BENCH_TOKEN"  # noqa: S105  the variable that hands the token on


def lane(client: str, work: Work, server_name: str, *, large: bool = False) -> Lane:
    """Measures this client at this work against that server; `large` moves 1 GiB instead of 256 MiB."""

    def measure(stage: Stage, turn: int) -> Sample:
        reason = missing(client)
        if reason is not None:
            raise Missing(reason)
        server, size = stage.server(server_name), stage.scale.large if large else stage.scale.transfer
        os.sync()
        target, number, cores = f"{stage.seed('big').folder}/moved", size, BOTH_CORES
        if work == "gets":
            seed = stage.seed("small")
            target, number, cores = f"{seed.folder}/", seed.count, LOAD_CORES
        elif work == "download":
            upload(server, target, stage.body(size))
            target += "0"
        command = ["-m", "bench.clients", client, work, server.url + server.path, target, str(number)]
        command.append(str(stage.seconds(turn)))
        if work == "upload":
            server.program.pin(BOTH_CORES)
        try:
            with metered(server) as meter:
                done = subprocess.run(
                    pinned(cores, sys.executable, *command),
                    check=False,
                    capture_output=True,
                    text=True,
                    cwd=ROOT,
                    env={**os.environ, _TOKEN: server.token},
                )
        finally:
            server.program.pin(SERVER_CORES)
        if done.returncode:
            raise LoadError(f"{client} against {server_name}, turn {turn}:\n{done.stderr}")
        value, cpu = map(float, done.stdout.split())
        return Sample(value=value, cpu=cpu, peak=meter.peak, command=" ".join(["python", *command]))

    return measure


def curl_lane(work: Work, server_name: str, *, large: bool = False) -> Lane:
    """Moves the same body by curl."""

    def measure(stage: Stage, _turn: int) -> Sample:
        server, size = stage.server(server_name), stage.scale.large if large else stage.scale.transfer
        key = f"{stage.seed('big').folder}/moved"
        os.sync()
        if work == "download":
            upload(server, key, stage.body(size))
            moved = download(server, f"{key}0", size)
        else:
            server.program.pin(BOTH_CORES)
            try:
                moved = upload(server, key, stage.body(size), cores=BOTH_CORES)
            finally:
                server.program.pin(SERVER_CORES)
        return Sample(value=moved.rate, command=moved.command)

    return measure


class _Watch:
    """Counts the seconds, and those of the processor that all threads of this process use."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._used = time.process_time()

    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def told(self, rate: float, count: int) -> str:
        """The figure, and the processor time of one operation."""
        return f"{rate} {(time.process_time() - self._used) / count}"


def _gets(client: Blocking, target: str, number: int, seconds: int) -> str:
    client.get(f"{target}{0:09}")  # connecting is not measured
    count, watch = 0, _Watch()
    while (took := watch.seconds()) < seconds:
        client.get(f"{target}{count % number:09}")
        count += 1
    return watch.told(count / took, count)


async def _agets(client: Awaiting, target: str, number: int, seconds: int) -> str:
    async def get(worker: int, seconds: float) -> None:
        while watch.seconds() < seconds:
            await client.get(f"{target}{(worker + _AT_ONCE * counts[worker]) % number:09}")
            counts[worker] += 1

    counts, watch = [0] * _AT_ONCE, _Watch()
    await asyncio.gather(*(get(worker, 0.1) for worker in range(_AT_ONCE)))
    counts, watch = [0] * _AT_ONCE, _Watch()
    await asyncio.gather(*(get(worker, seconds) for worker in range(_AT_ONCE)))
    return watch.told(sum(counts) / watch.seconds(), sum(counts))


def _moves(client: Blocking, work: str, target: str, number: int) -> str:
    watch = _Watch()
    if work == "download":
        _whole(client.download(target), number)
    else:
        client.upload(target, _chunks(number), number)
    return watch.told(number / watch.seconds() / 1e6, 1)


async def _amoves(client: Awaiting, work: str, target: str, number: int) -> str:
    watch = _Watch()
    if work == "download":
        _whole(await client.download(target), number)
    else:
        await client.upload(target, _achunks(number), number)
    return watch.told(number / watch.seconds() / 1e6, 1)


def _whole(moved: int, size: int) -> None:
    if moved != size:
        raise LoadError(f"{moved} of {size} bytes were moved")


def _chunks(size: int) -> Iterator[bytes]:
    chunk = os.urandom(_CHUNK)
    for _ in range(size // _CHUNK):
        yield chunk


async def _achunks(size: int) -> AsyncIterator[bytes]:
    for chunk in _chunks(size):
        yield chunk


def _measured(told: argparse.Namespace) -> str:
    with BLOCKING[told.client](told.base, os.environ[_TOKEN]) as client:
        if told.work == "gets":
            return _gets(client, told.target, told.number, told.seconds)
        return _moves(client, told.work, told.target, told.number)


async def _ameasured(told: argparse.Namespace) -> str:
    async with AWAITING[told.client](told.base, os.environ[_TOKEN]) as client:
        if told.work == "gets":
            return await _agets(client, told.target, told.number, told.seconds)
        return await _amoves(client, told.work, told.target, told.number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.clients", description=__doc__)
    parser.add_argument("client", choices=(*BLOCKING, *AWAITING))
    parser.add_argument("work", choices=("gets", "download", "upload"))
    parser.add_argument("base", help="URL of the server, with the path that goes before keys")
    parser.add_argument("target", help="a key, or what keys begin with")
    parser.add_argument("number", type=int, help="of keys, or bytes of the body")
    parser.add_argument("seconds", type=int)
    told = parser.parse_args()
    # As most who use it run it: without an event loop from elsewhere.
    print(_measured(told) if told.client in BLOCKING else asyncio.run(_ameasured(told)), flush=True)
    # Threads of some libraries outlive the interpreter and crash it, when all has been measured.
    os._exit(0)


if __name__ == "__main__":
    main()
