"""Keys of parts on their way are no keys of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.errors import InvalidKey, NotFound
from objectstore.values import ListPage, ListQuery, PutOptions
from objectstore.wrappers.forwarding import Forwarding
from objectstore.wrappers.reserving import RESERVED, Reserving

OWN = (f"{RESERVED}id/00001", f"{RESERVED}id/upload", RESERVED + "x")
KEYS = (".a", ".objectstore-other/x", ".objectstore-uploadsx", ".p/q", "a/b", "a/c", "z")


async def _walk(store: Reserving, query: ListQuery) -> list[ListPage]:
    pages = [await store.list(query)]
    while (start := pages[-1].next_start) is not None:
        pages.append(await store.list(replace(query, start=start)))
    return pages


def run(scenario: Callable[[MemoryBackend, Reserving], Awaitable[None]]) -> None:
    async def opened() -> None:
        inner = MemoryBackend(dict.fromkeys((*KEYS, *OWN), b"x"))
        async with Reserving(inner, name="Reserving") as store:
            await scenario(inner, store)

    asyncio.run(opened())


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("delimiter", ["", "/", "-", "0", "s/", "id"])
@pytest.mark.parametrize("prefix", ["", ".", ".objectstore-", RESERVED, RESERVED + "id", "a"])
def test_listings_leave_reserved_keys_out(prefix: str, delimiter: str, limit: int) -> None:
    async def scenario(_: MemoryBackend, store: Reserving) -> None:
        query = ListQuery(prefix=prefix, delimiter=delimiter, limit=limit, details=True)
        plain = MemoryBackend(dict.fromkeys(KEYS, b"x"))
        pages = await _walk(store, query)
        wanted = await plain.list(replace(query, limit=100))
        assert [key for page in pages for key in page.keys] == list(wanted.keys)
        assert [info.key for page in pages for info in page.objects] == list(wanted.keys)
        assert [group for page in pages for group in page.prefixes] == list(wanted.prefixes)
        assert all(len(page.keys) + len(page.prefixes) <= limit for page in pages)

    run(scenario)


def test_reserved_keys_are_refused_and_not_found() -> None:
    async def scenario(inner: MemoryBackend, store: Reserving) -> None:
        key = OWN[0]
        with pytest.raises(InvalidKey, match="reserved"):
            await store.put(key, b"")
        with pytest.raises(InvalidKey, match="reserved"):
            await store.copy("z", key)
        for call in (store.head(key), store.delete(key), store.copy(key, "target")):
            with pytest.raises(NotFound):
                await call
        with pytest.raises(NotFound):
            async with store.get(key):
                pass
        assert [type(one) for one in await store.delete_many(["z", key, "a/b"])] == [type(None), NotFound, type(None)]
        assert (await inner.head(key)).size == 1

    run(scenario)


def test_parts_are_gone_from_the_inner_store_after_completion() -> None:
    async def scenario(inner: MemoryBackend, store: Reserving) -> None:
        upload = await store.uploads.begin("whole", PutOptions())
        part = await store.uploads.put_part(upload.upload_id, 1, b"body", PutOptions())
        assert (await inner.list(ListQuery(prefix=f"{RESERVED}{upload.upload_id}/"))).keys
        assert (await store.uploads.complete(upload.upload_id, [(1, part.etag)])).size == 4
        left = await inner.list(ListQuery(prefix=f"{RESERVED}{upload.upload_id}/"))
        assert left.keys == (f"{RESERVED}{upload.upload_id}/upload",)  # that it is completed, until it expires

    run(scenario)


def test_one_over_another_stages_its_parts_in_the_same_place() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        between = Forwarding(Reserving(inner, name="Inside"))
        async with Reserving(between, name="Outside") as store:
            upload = await store.uploads.begin("whole", PutOptions())
            part = await store.uploads.put_part(upload.upload_id, 1, b"body", PutOptions())
            await store.uploads.complete(upload.upload_id, [(1, part.etag)])
            assert (await store.list(ListQuery())).keys == ("whole",)
            with pytest.raises(InvalidKey, match="reserved"):
                await store.put(OWN[0], b"")
        assert (await inner.list(ListQuery(prefix=RESERVED))).keys == (f"{RESERVED}{upload.upload_id}/upload",)

    asyncio.run(scenario())
