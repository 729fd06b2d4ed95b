"""The objects that are there before anything is measured."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.backends.contract import Backend

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB
_AT_ONCE: Final = 256
_BLOCK: Final = 4 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """So many objects of one size, with the keys `FOLDER/000000000` and so on."""

    folder: str
    count: int
    size: int  # bytes

    @property
    def keys(self) -> Iterator[str]:
        return (f"{self.folder}/{number:09}" for number in range(self.count))


def seed_files(root: Path, seeds: tuple[Seed, ...]) -> None:
    """As files below `root`, for those who serve files."""
    for seed in seeds:
        (root / seed.folder).mkdir(parents=True, exist_ok=True)
        pool = os.urandom(min(seed.size, _BLOCK) + KIB)
        for number, key in enumerate(seed.keys):
            with (root / key).open("wb", buffering=0) as file:
                for chunk in _body(pool, number, seed.size):
                    file.write(chunk)


def seed_store(store: Backend, seeds: tuple[Seed, ...]) -> None:
    """In a store of ours, through it."""
    asyncio.run(_seed_store(store, seeds))


async def _seed_store(store: Backend, seeds: tuple[Seed, ...]) -> None:
    async with store as backend:
        for seed in seeds:
            pool = os.urandom(min(seed.size, _BLOCK) + KIB)
            numbered = enumerate(seed.keys)

            async def put(
                numbered: Iterator[tuple[int, str]] = numbered, seed: Seed = seed, pool: bytes = pool
            ) -> None:
                for number, key in numbered:
                    chunks = list(_body(pool, number, seed.size))
                    await backend.put(key, b"".join(chunks))

            await asyncio.gather(*(put() for _ in range(_AT_ONCE if seed.size <= MIB else 1)))


def _body(pool: bytes, number: int, size: int) -> Iterator[bytes]:
    """Random bytes, other ones for each object."""
    offset = number % KIB
    while size > 0:
        step = min(size, len(pool) - KIB)
        yield pool[offset : offset + step]
        size -= step


def make_file(path: Path, size: int) -> Path:
    """A file of random blocks, in the page cache afterwards."""
    pool = os.urandom(_BLOCK)
    with path.open("wb", buffering=0) as file:
        for _ in range(size // _BLOCK):
            file.write(pool)
        file.write(pool[: size % _BLOCK])
    return path
