"""How fast plain files are beside the bare disk and the engine, in the same minute on the same machine.

    python bench/filesystem.py [--folder DIR] [--objects N]

Absolute figures are the machine's; the ratios are ours. What is compared is measured in turns, and the median of
the rounds is given.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.values import ListQuery

KIB = 1024
MIB = 1024 * KIB
ROUNDS = 5
READS = 4000


def rate(count: float, began: float) -> float:
    return count / (time.perf_counter() - began)


def bare_files(folder: Path, count: int) -> float:
    """Files of 1 KiB per second: write, sync, rename, sync the folder."""
    body = os.urandom(KIB)
    for name in ("staging", "target"):
        (folder / name).mkdir(exist_ok=True)
    began = time.perf_counter()
    for number in range(count):
        fd = os.open(folder / "staging" / str(number), os.O_WRONLY | os.O_CREAT)
        os.write(fd, body)
        os.fsync(fd)
        os.close(fd)
        (folder / "staging" / str(number)).rename(folder / "target" / str(number))
        fd = os.open(folder / "target", os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    return rate(count, began)


async def puts(backend: Backend, count: int, at_once: int) -> float:
    """Objects of 1 KiB per second, so many of them at once."""
    body = os.urandom(KIB)

    async def some(first: int) -> None:
        for number in range(first, count, at_once):
            await backend.put(f"put/{number}", body)

    began = time.perf_counter()
    await asyncio.gather(*(some(first) for first in range(at_once)))
    return rate(count, began)


async def gets(backend: Backend, key: str) -> float:
    """Readings of an object of 1 KiB per second."""
    began = time.perf_counter()
    for _ in range(READS):
        async with backend.get(key):
            pass
    return rate(READS, began)


async def large_put(backend: Backend, size: int) -> float:
    """MiB per second of one large body."""
    block = os.urandom(MIB)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield block

    began = time.perf_counter()
    await backend.put("large", body())
    return rate(size, began)


async def pages(backend: Backend, *, details: bool) -> float:
    """Pages of 1000 keys per second, each of them somewhere among many folders."""
    began = time.perf_counter()
    for number in range(10):
        page = await backend.list(
            ListQuery(prefix="tree/", start=f"tree/{number * 10:03}", limit=1000, details=details)
        )
        if len(page.keys) != 1000:
            raise RuntimeError("the tree is not as it was made")
    return rate(10, began)


def make_tree(root: Path) -> None:
    """200 folders of 50 files."""
    for folder in range(200):
        (root / "tree" / f"{folder:03}").mkdir(parents=True)
        for file in range(50):
            (root / "tree" / f"{folder:03}" / str(file)).write_bytes(b"")


async def measure(folder: Path, count: int) -> dict[str, float]:
    root = folder / "files"
    make_tree(root)
    async with (
        FilesystemBackend(root) as carried,
        FilesystemBackend(folder / "sidecars", carry_records=False) as sidecars,
        EngineBackend(folder / "engine") as engine,
    ):
        for backend in (carried, sidecars, engine):
            for key in ("flat", "some/folder/deep"):
                await backend.put(key, os.urandom(KIB))
        (root / "theirs").write_bytes(os.urandom(KIB))
        steps: dict[str, Callable[[], Awaitable[float]]] = {
            "bare files/s": lambda: asyncio.to_thread(bare_files, folder, count),
            "put/s": lambda: puts(carried, count, 1),
            "put/s, sidecars": lambda: puts(sidecars, count, 1),
            "put/s, 16 at once": lambda: puts(carried, count * 4, 16),
            "get/s": lambda: gets(carried, "flat"),
            "get/s, two folders down": lambda: gets(carried, "some/folder/deep"),
            "get/s, another program's file": lambda: gets(carried, "theirs"),
            "get/s, sidecars": lambda: gets(sidecars, "flat"),
            "get/s, engine": lambda: gets(engine, "some/folder/deep"),
            "put MiB/s, 256 MiB": lambda: large_put(carried, 256),
            "pages of 1000 keys/s": lambda: pages(carried, details=False),
            "pages of 1000 keys/s, details": lambda: pages(carried, details=True),
        }
        found: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(ROUNDS):
            for name, step in steps.items():
                found[name].append(await step())
        return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    parser.add_argument("--objects", type=int, default=300, help="written in each round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        medians = asyncio.run(measure(Path(folder), arguments.objects))
    for name, value in medians.items():
        print(f"{name:32} {value:10.0f}")
    block, hashing = os.urandom(MIB), hashlib.sha256()
    began = time.perf_counter()
    for _ in range(256):
        hashing.update(block)
    print(f"{'sha-256 MiB/s':32} {rate(256, began):10.0f}")


if __name__ == "__main__":
    main()
