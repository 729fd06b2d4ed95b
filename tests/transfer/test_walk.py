"""Listings are walked once, in order, and a break in them is never taken for an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import Corrupted, Unavailable
from objectstore.testing.faults import Fault, Faulty
from objectstore.transfer import walk as walking
from objectstore.transfer.walk import ListingFailed, side_by_side, walk
from objectstore.values import ListPage, ListQuery, ObjectInfo
from objectstore.wire.retries import Retries
from objectstore.wrappers.forwarding import Forwarding
from transfer.stores import AT_ONCE, run

MANY = {f"{number:03}": b"" for number in range(25)}


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "PAGE", 10)


async def keys(backend: Backend, prefix: str = "", retries: Retries = AT_ONCE) -> list[str]:
    async with aclosing(walk(backend, prefix, "source", retries)) as infos:
        return [info.key async for info in infos]


def test_every_key_comes_once_for_one_request_a_page() -> None:
    async def scenario() -> None:
        store = Faulty(MemoryBackend(MANY))
        assert await keys(store) == list(MANY)
        assert store.calls["list"] == 3
        assert store.calls.total() == 3

    run(scenario())


def test_only_what_is_below_the_prefix_comes() -> None:
    assert run(keys(MemoryBackend(MANY), "01")) == [f"01{digit}" for digit in range(10)]


def test_a_page_that_fails_is_asked_for_again() -> None:
    assert run(keys(Faulty(MemoryBackend(MANY), [Fault("list", call=2), Fault("list", call=3)]))) == list(MANY)


def test_a_listing_that_keeps_failing_is_an_error_and_no_end() -> None:
    async def scenario() -> None:
        store = Faulty(MemoryBackend(MANY), [Fault("list", call=call) for call in range(2, 9)])
        with pytest.raises(ListingFailed) as failed:
            await keys(store)
        assert failed.value.whose == "source"
        assert isinstance(failed.value.error, Unavailable)

    run(scenario())


def test_who_leaves_early_leaves_no_request_behind() -> None:
    async def scenario() -> None:
        async with aclosing(walk(MemoryBackend(MANY), "", "source", AT_ONCE)) as infos:
            assert (await anext(infos)).key == "000"

    run(scenario())


class Stalled(Forwarding):
    """Gives the first page, and nothing more."""

    async def list(self, query: ListQuery) -> ListPage:
        if query.start:
            await asyncio.Event().wait()
        return await super().list(query)


def test_who_leaves_early_does_not_wait_for_the_next_page() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(30), aclosing(walk(Stalled(MemoryBackend(MANY)), "", "source", AT_ONCE)) as infos:
            assert (await anext(infos)).key == "000"
            await asyncio.sleep(0)

    run(scenario())


class Disordered(Forwarding):
    async def list(self, query: ListQuery) -> ListPage:
        page = await super().list(query)
        return ListPage(keys=page.keys[::-1], objects=page.objects[::-1])


def test_a_listing_out_of_order_is_refused() -> None:
    async def scenario() -> None:
        with pytest.raises(ListingFailed) as failed:
            await keys(Disordered(MemoryBackend(MANY)))
        assert isinstance(failed.value.error, Corrupted)

    run(scenario())


def test_two_listings_are_walked_side_by_side() -> None:
    async def infos(*names: str) -> AsyncIterator[ObjectInfo]:
        backend = MemoryBackend(dict.fromkeys(names, b""))
        for name in names:
            yield await backend.head(name)

    async def scenario() -> list[tuple[str, str]]:
        pairs = side_by_side(infos("a", "c", "d", "é"), infos("a", "b", "d", "x", "z"))
        return [(ours.key if ours else "-", theirs.key if theirs else "-") async for ours, theirs in pairs]

    assert run(scenario()) == [
        ("a", "a"), ("-", "b"), ("c", "-"), ("d", "d"), ("-", "x"), ("-", "z"), ("é", "-")
    ]  # fmt: skip
