"""Pages of a store whose names come in another order than the keys."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.errors import NotFound, Unavailable
from objectstore.values import ListPage, ListQuery, ObjectInfo
from objectstore.wrappers.scanning import scanned

NAMES = 100_000


class Large(MemoryBackend):
    """Has names backwards, and does not hold them."""

    async def list(self, query: ListQuery) -> ListPage:
        at = int(query.start or 0)
        behind = at + query.limit
        keys = tuple(f"{NAMES - number:06}" for number in range(at, min(behind, NAMES)))
        return ListPage(keys=keys, next_start=str(behind) if behind < NAMES else None)


async def no_details(key: str) -> ObjectInfo:
    raise AssertionError(key)


def same(name: str) -> str:
    return name


def test_memory_is_that_of_a_page() -> None:
    tracemalloc.start()
    try:
        query = ListQuery(limit=3, start="000005")
        page = asyncio.run(scanned(Large(), query, within="", outside=same, head=no_details))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert page.keys == ("000005", "000006", "000007")
    assert page.next_start == "000007\0"
    assert peak < 2 * 1024 * 1024  # all names take ten


def test_details_are_asked_for_the_page_alone_and_what_has_gone_is_left_out() -> None:
    asked: list[str] = []

    async def scenario() -> None:
        inner = MemoryBackend({f"{number:02}": b"" for number in range(90)})

        async def head(key: str) -> ObjectInfo:
            asked.append(key)
            if key == "22":
                raise NotFound(key)
            return await inner.head(key)

        query = ListQuery(limit=40, details=True, start="05")
        page = await scanned(inner, query, within="", outside=same, head=head)
        assert asked == [f"{number:02}" for number in range(5, 45)]
        assert page.keys == tuple(key for key in asked if key != "22")
        assert tuple(info.key for info in page.objects) == page.keys
        assert page.next_start == "44\0"

    asyncio.run(scenario())


def test_a_store_that_goes_away_meanwhile_is_no_shorter_page() -> None:
    async def head(key: str) -> ObjectInfo:
        raise Unavailable(key)

    async def scenario() -> None:
        with pytest.raises(Unavailable):
            await scanned(MemoryBackend({"a": b""}), ListQuery(details=True), within="", outside=same, head=head)

    asyncio.run(scenario())
