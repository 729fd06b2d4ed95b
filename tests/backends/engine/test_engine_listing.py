"""Pages of an index in memory, however many rows lie between, and how much is read for them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import product

import pytest

from objectstore.backends.engine import schema
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.listing import page
from objectstore.backends.engine.rows import Row, info_of
from objectstore.core.listing import PageBuilder
from objectstore.values import ListPage, ListQuery

KEYS = sorted([f"a/{number:03}" for number in range(250)] + ["a", "b/1/x", "b/1/y", "b/2", "c", "d/", "é"])


class Counting(Index):
    """Counts what is asked of the index, and with which limit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.limits: list[int] = []

    def rows_from(self, start: str, limit: int) -> list[Row]:
        self.limits.append(limit)
        return super().rows_from(start, limit)

    def keys_from(self, start: str, limit: int) -> list[str]:
        self.limits.append(limit)
        return super().keys_from(start, limit)


def row(key: str) -> Row:
    return Row(key, 1, len(key), "e", 1, 2, bytes(32), None, None, None)


@pytest.fixture
def index() -> Iterator[Counting]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES)
        connection.executemany("INSERT INTO objects VALUES (?,?,?,?,?,?,?,?,?,?)", [row(key) for key in KEYS])
        yield Counting(connection)


def scanned(query: ListQuery) -> ListPage:
    builder = PageBuilder(query)
    for key in KEYS:
        if not builder.offer(key, info_of(row(key)) if query.details else None):
            break
    return builder.page()


QUERIES = [
    ListQuery(prefix=prefix, delimiter=delimiter, start=start, limit=limit, details=details)
    for prefix, delimiter, start, limit, details in product(
        ("", "a", "a/", "a/24", "b/", "x", "é", "ü"),
        ("", "/"),
        ("", "a/100", "a/\U0010ffff", "b/1/y"),
        (1, 2, 4, 249, 250, 251, 1000),
        (False, True),
    )
]


def test_a_page_is_what_a_scan_finds(index: Counting) -> None:
    async def all_pages() -> None:
        for query in QUERIES:
            assert await page(index, query) == scanned(query), query

    asyncio.run(all_pages())


@pytest.mark.parametrize(
    ("query", "limits"),
    [
        (ListQuery(limit=1000), [1001]),
        (ListQuery(limit=1), [2]),
        (ListQuery(limit=1, details=True), [2]),
        (ListQuery(limit=99, details=True), [100]),
        (ListQuery(limit=1000, details=True), [100, 100, 100]),
        (ListQuery(prefix="x", limit=1000, details=True), [100]),
        (ListQuery(start=KEYS[-99], limit=1000, details=True), [100]),
        (ListQuery(start=KEYS[-100], limit=1000, details=True), [100, 100]),
        (ListQuery(delimiter="/", limit=1000), [1, 2, 1, 1, 2, 1, 2]),
        (ListQuery(prefix="a/", delimiter="/", limit=1000), [1, 2, 4, 8, 16, 32, 64, 100, 100]),
    ],
)
def test_no_more_is_read_than_helps(index: Counting, query: ListQuery, limits: list[int]) -> None:
    asyncio.run(page(index, query))
    assert index.limits == limits


def test_a_long_walk_lets_others_have_their_turn(index: Counting) -> None:
    async def turns(query: ListQuery) -> int:
        walking = asyncio.create_task(page(index, query))
        waited = 0
        while not walking.done():
            await asyncio.sleep(0)
            waited += 1
        return waited

    short = asyncio.run(turns(ListQuery(prefix="b", details=True)))
    assert asyncio.run(turns(ListQuery(limit=1000, details=True))) == short + 2
    assert asyncio.run(turns(ListQuery(limit=1000, delimiter="/"))) == short
