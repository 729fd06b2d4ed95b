"""What the tests of the backend of archives share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from objectstore.backends.reading import read_all
from objectstore.backends.zip import ZipBackend
from objectstore.values import ByteRange, GetOptions, ListQuery, ObjectInfo

T = TypeVar("T")


def with_backend(path: Path, use: Callable[[ZipBackend], Awaitable[T]]) -> T:
    """What `use` makes of a backend that is open on the archive."""

    async def run() -> T:
        async with ZipBackend(path) as backend:
            return await use(backend)

    return asyncio.run(run())


async def read(backend: ZipBackend, key: str, wanted: ByteRange | None = None) -> tuple[ObjectInfo, bytes]:
    async with backend.get(key, GetOptions(range=wanted)) as reading:
        return reading.info, await read_all(reading)


async def all_keys(backend: ZipBackend) -> list[str]:
    return list((await backend.list(ListQuery(limit=1000))).keys)
