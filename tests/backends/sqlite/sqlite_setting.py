"""What the tests of the backend of databases share."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from objectstore.backends.reading import read_all
from objectstore.backends.sqlite import SqliteBackend
from objectstore.values import ListQuery, ObjectInfo

T = TypeVar("T")

TABLE = "CREATE TABLE objects (key TEXT PRIMARY KEY, data BLOB)"


def with_backend(path: Path, use: Callable[[SqliteBackend], Awaitable[T]], *, timeout: float = 10) -> T:
    """What `use` makes of a backend that is open on the database."""

    async def run() -> T:
        async with SqliteBackend(path, timeout=timeout) as backend:
            return await use(backend)

    return asyncio.run(run())


def plain(path: Path, *statements: str | tuple[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """What another program would do: statements of SQL, each a transaction; the rows of the last one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows: list[tuple[Any, ...]] = []
        for one in statements:
            sql, values = (one, ()) if isinstance(one, str) else one
            rows = connection.execute(sql, values).fetchall()
        return rows


async def read(backend: SqliteBackend, key: str) -> tuple[ObjectInfo, bytes]:
    async with backend.get(key) as reading:
        return reading.info, await read_all(reading)


async def all_keys(backend: SqliteBackend) -> list[str]:
    return list((await backend.list(ListQuery(limit=1000))).keys)
