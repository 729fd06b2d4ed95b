"""How fast the engine is beside the bare disk and the bare database, in the same minute on the same machine.

    python bench/engine.py [--folder DIR] [--objects N] [--only NAME …] [--inline-limit BYTES]

Absolute figures are the machine's; the ratios are ours. Each pair is measured in turns, and the median of the
rounds is given.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import secrets
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

from objectstore.backends.engine.backend import INLINE_LIMIT, EngineBackend
from objectstore.backends.engine.schema import CHECKPOINT_PAGES, PAGE_SIZE, TABLES
from objectstore.values import ListQuery

KIB = 1024
MIB = 1024 * KIB
ROUNDS = 5


def key_of(number: int) -> str:
    """Keys in no order, as hashes and random names come."""
    return f"some/prefix/{hashlib.blake2b(number.to_bytes(8, 'big'), digest_size=12).hexdigest()}"


def bare_database(folder: Path, size: int, count: int, group: int) -> float:
    """Rows and bodies per second into the same tables by nothing but SQLite, `group` in a transaction."""
    body, digest = os.urandom(size), bytes(32)
    with closing(sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)) as connection:
        for pragma in (f"page_size = {PAGE_SIZE}", "journal_mode = WAL", "synchronous = FULL", "secure_delete = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.executescript(TABLES)
        began = time.perf_counter()
        for first in range(0, count, group):
            numbers = range(first + 1, first + group + 1)
            rows = [(key_of(one), one, size, secrets.token_hex(12), 0, 0, digest, None, None, None) for one in numbers]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(one, body) for one in numbers])
            connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
        return count / (time.perf_counter() - began)


def bare_files(folder: Path, size: int, count: int) -> float:
    """Files per second: write, sync, rename, sync the folder."""
    body = os.urandom(size)
    staging, target = folder / "staging", folder / "target"
    staging.mkdir()
    target.mkdir()
    began = time.perf_counter()
    for number in range(count):
        hashlib.sha256(body).digest()
        fd = os.open(staging / str(number), os.O_WRONLY | os.O_CREAT)
        os.write(fd, body)
        os.fdatasync(fd)
        os.close(fd)
        (staging / str(number)).rename(target / str(number))
        fd = os.open(target, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    return count / (time.perf_counter() - began)


async def puts(folder: Path, size: int, count: int, connections: int, inline_limit: int) -> float:
    """Objects per second put by so many at once."""
    body = os.urandom(size)
    async with EngineBackend(folder / "data", inline_limit=inline_limit) as backend:

        async def connection(first: int) -> None:
            for number in range(first, count, connections):
                await backend.put(key_of(number), body)

        began = time.perf_counter()
        await asyncio.gather(*(connection(first) for first in range(connections)))
        return count / (time.perf_counter() - began)


def in_fresh_folder(parent: Path, measure: Callable[[Path], float]) -> float:
    with tempfile.TemporaryDirectory(dir=parent) as name:
        return measure(Path(name))


def compare(
    parent: Path, name: str, ours: Callable[[Path], float], other: Callable[[Path], float], *, called: str = "bare"
) -> None:
    """Measure both in turns and print the medians and their ratio."""
    pairs = [(in_fresh_folder(parent, ours), in_fresh_folder(parent, other)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(one / two for one, two in pairs)
    print(f"{name:<44} {mine:>12,.0f}/s   {called} {theirs:>12,.0f}/s   ratio {ratio:.2f}", flush=True)


def run(coroutine: Awaitable[float]) -> float:
    async def awaited() -> float:
        return await coroutine

    try:
        import uvloop
    except ImportError:
        return asyncio.run(awaited())
    return uvloop.run(awaited())


def small_writes(parent: Path, _objects: int) -> None:
    """Puts of 1 KiB against the same rows by SQLite alone."""
    for connections, count in ((1, 600), (8, 4000), (32, 9600), (128, 12800)):
        compare(
            parent,
            f"put 1 KiB, {connections} at once",
            lambda folder, n=connections, count=count: run(puts(folder, KIB, count, n, INLINE_LIMIT)),  # type: ignore[misc]  # mypy cannot infer it
            lambda folder, n=connections, count=count: bare_database(folder, KIB, count, n),  # type: ignore[misc]  # as above
        )


def inline_limit(parent: Path, _objects: int) -> None:
    """Where a file begins to beat a row: each size both ways."""
    for connections in (1, 16):
        for size in (4 * KIB, 16 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB):
            count = max(32, min(400, 16 * MIB // size)) // connections * connections
            compare(
                parent,
                f"row, {size // KIB} KiB, {connections} at once",
                lambda folder, n=connections, size=size, count=count: run(puts(folder, size, count, n, 16 * MIB)),  # type: ignore[misc]  # mypy cannot infer it
                lambda folder, n=connections, size=size, count=count: run(puts(folder, size, count, n, 0)),  # type: ignore[misc]  # as above
                called="file",
            )


def large_writes(parent: Path, _objects: int) -> None:
    """Puts of files against the same done by hand."""
    for size, count in ((MIB, 60), (64 * MIB, 3)):
        compare(
            parent,
            f"put {size // MIB} MiB, one by one",
            lambda folder, size=size, count=count: run(puts(folder, size, count, 1, INLINE_LIMIT)),  # type: ignore[misc]  # mypy cannot infer it
            lambda folder, size=size, count=count: bare_files(folder, size, count),  # type: ignore[misc]  # as above
        )


def fill(path: Path, objects: int) -> None:
    """A data directory with so many objects of 100 bytes, written straight into its tables."""

    async def create() -> float:
        async with EngineBackend(path) as backend:
            await backend.put("a", b"")
        return 0.0

    run(create())
    keys = sorted(f"many/{number:07}/{key_of(number)}" for number in range(objects))
    rows = ((key, seq, 100, f"{seq:024x}", 0, 0, bytes(32), None, None, None) for seq, key in enumerate(keys, 2))
    with closing(sqlite3.connect(path / "index.sqlite3")) as connection, connection:
        connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO bodies VALUES (?, ?)", ((seq, bytes(100)) for seq in range(2, objects + 2)))
        connection.execute("UPDATE sequence SET last = ?", (objects + 1,))


def reads(parent: Path, objects: int) -> None:
    """Opening, reading, listing and deleting in a store of many objects."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        path = Path(name) / "data"
        fill(path, objects)
        run(_reads(path, objects))


async def _reads(path: Path, objects: int) -> float:
    began = time.perf_counter()
    async with EngineBackend(path) as backend:
        print(f"open a store of {objects:,} objects: {(time.perf_counter() - began) * 1000:.0f} ms")
        body = os.urandom(KIB)
        for number in range(1000):
            await backend.put(f"small/{number}", body)

        async def get(number: int) -> None:
            async with backend.get(f"small/{number % 1000}"):
                pass

        async def head(number: int) -> None:
            await backend.head(f"small/{number % 1000}")

        async def page(number: int) -> None:
            start = f"many/{number * 7919 % objects:07}"
            await backend.list(ListQuery(prefix="many/", start=start, limit=1000))

        async def groups(number: int) -> None:
            start = f"many/{number * 7919 % objects:07}"
            await backend.list(ListQuery(prefix="many/", delimiter="/", start=start, limit=1000))

        async def details(number: int) -> None:
            start = f"many/{number * 7919 % objects:07}"
            await backend.list(ListQuery(prefix="many/", start=start, limit=1000, details=True))

        await _each("get 1 KiB", get, 20_000)
        await _each("head", head, 20_000)
        await _each("page of 1000 keys", page, 200)
        await _each("page of 1000 records", details, 50)
        await _each("page of 1000 groups", groups, 50)
        keys = (await backend.list(ListQuery(prefix="many/", limit=20_000))).keys
        began = time.perf_counter()
        for first in range(0, len(keys), 1000):
            await backend.delete_many(keys[first : first + 1000])
        print(f"delete many, 1000 at a time: {len(keys) / (time.perf_counter() - began):,.0f} keys/s")
    return 0.0


async def _each(name: str, act: Callable[[int], Awaitable[None]], count: int) -> None:
    took = []
    for _ in range(ROUNDS):
        began = time.thread_time()  # what is read is in memory, so that others on the machine do not count
        for number in range(count):
            await act(number)
        took.append((time.thread_time() - began) / count)
    one = statistics.median(took)
    print(f"{name:<44} {1 / one:>12,.0f}/s   {one * 1e6:,.1f} µs of one core each", flush=True)


def memory(parent: Path, _objects: int) -> None:
    """How far memory grows while 64 objects of 64 MiB are written at once."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(1024):
            yield bytes(64 * KIB)
            await asyncio.sleep(0)

    if child := os.fork():
        # In a process of its own, whose memory nothing else has stretched.
        os.waitpid(child, 0)
        return

    async def write() -> float:
        async with EngineBackend(parent / "data") as backend:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            began = time.perf_counter()
            await asyncio.gather(*(backend.put(f"key-{number}", body()) for number in range(64)))
            took = time.perf_counter() - began
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            print(
                f"64 uploads of 64 MiB at once: {4096 / took:,.0f} MiB/s, memory grew by {grown / 1024:,.0f} MiB",
                flush=True,
            )
        return 0.0

    run(write())
    shutil.rmtree(parent / "data")
    os._exit(0)


PARTS: dict[str, Callable[[Path, int], None]] = {
    "small": small_writes,
    "inline": inline_limit,
    "large": large_writes,
    "reads": reads,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to be measured (default: here)")
    parser.add_argument("--objects", type=int, default=1_000_000, help="in the store that is read (default: a million)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="bench-") as name:
        for part in arguments.only:
            PARTS[part](Path(name), arguments.objects)


if __name__ == "__main__":
    main()
