"""What the conformance suite does not see of a store within a store: what lies beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.core.listing import prefix_end
from objectstore.errors import AlreadyExists, InvalidKey, NotFound, PreconditionFailed, UploadNotFound
from objectstore.values import ONLY_IF_ABSENT, Conditions, CopyOptions, ListPage, ListQuery, PutOptions
from objectstore.wrappers.prefix import Prefixed

LAST = "\U0010ffff"
BESIDE = ("a", "a/", "a/b", "a0", "a/b0", "b", LAST)
PLAIN = PutOptions()


def run(scenario: Callable[[MemoryBackend, Prefixed], Awaitable[None]], prefix: str = "a/b/") -> None:
    async def opened() -> None:
        inner = MemoryBackend(dict.fromkeys((*BESIDE, "a/b/", "a/b/1", "a/b/c/2", "a/b/c/3"), b"x"))
        async with Prefixed(inner, prefix) as store:
            await scenario(inner, store)

    asyncio.run(opened())


def test_only_what_is_under_the_prefix_is_listed() -> None:
    async def scenario(_: MemoryBackend, store: Prefixed) -> None:
        assert (await store.list(ListQuery())).keys == ("1", "c/2", "c/3")
        page = await store.list(ListQuery(delimiter="/", limit=1))
        assert (page.keys, page.prefixes) == (("1",), ())
        assert page.next_start is not None
        assert (await store.list(ListQuery(delimiter="/", start=page.next_start))).prefixes == ("c/",)

    run(scenario)


@pytest.mark.parametrize("prefix", ["", "a", "a/b", LAST, "a/b/c/"])
def test_a_prefix_is_raw_characters(prefix: str) -> None:
    async def scenario(inner: MemoryBackend, store: Prefixed) -> None:
        everything = (await inner.list(ListQuery())).keys
        wanted = [key[len(prefix) :] for key in everything if key.startswith(prefix) and key != prefix]
        for limit in (1, 2, 100):
            found: list[str] = []
            start: str | None = ""
            while start is not None:
                page = await store.list(ListQuery(start=start, limit=limit))
                found += page.keys
                start = page.next_start
            assert found == wanted

    run(scenario, prefix)


def test_a_listing_ends_with_the_prefix_wherever_the_inner_one_would_go_on() -> None:
    class Following(MemoryBackend):
        async def list(self, query: ListQuery) -> ListPage:
            return replace(await super().list(query), next_start=prefix_end(query.prefix))

    async def scenario() -> None:
        async with Prefixed(Following({"a/1": b""}), "a/") as store:
            page = await store.list(ListQuery())
            assert (page.keys, page.next_start) == (("1",), None)

    asyncio.run(scenario())


def test_errors_name_the_key_that_was_asked_for() -> None:
    async def scenario(_: MemoryBackend, store: Prefixed) -> None:
        with pytest.raises(NotFound) as absent:
            await store.head("absent")
        assert absent.value.key == "absent"
        assert "a/b/" not in str(absent.value)
        with pytest.raises(AlreadyExists) as there:
            await store.put("1", b"", PutOptions(conditions=ONLY_IF_ABSENT))
        assert there.value.key == "1"
        with pytest.raises(PreconditionFailed) as other:
            await store.copy("1", "c/2", CopyOptions(conditions=Conditions(if_match=("other",))))
        assert other.value.key == "c/2"
        assert [error and str(error) for error in await store.delete_many(["1", "a/b/1"])] == [
            None,
            str(NotFound("a/b/1")),
        ]

    run(scenario)


def test_an_error_of_whoever_reads_is_left_as_it_is() -> None:
    async def scenario(_: MemoryBackend, store: Prefixed) -> None:
        error = NotFound("a/b/of another store")
        with pytest.raises(NotFound) as raised:
            async with store.get("1"):
                raise error
        assert raised.value is error

    run(scenario)


def test_a_key_that_is_too_long_with_the_prefix_is_refused() -> None:
    async def scenario(_: MemoryBackend, store: Prefixed) -> None:
        await store.put("k" * 1020, b"")
        for call in (store.put("k" * 1021, b""), store.head("k" * 1021), store.copy("1", "k" * 1021)):
            with pytest.raises(InvalidKey, match="1025"):
                await call
        [error] = await store.delete_many(["k" * 1021])
        assert isinstance(error, InvalidKey)

    run(scenario)


def test_uploads_to_keys_beside_it_are_not_there() -> None:
    async def scenario(inner: MemoryBackend, store: Prefixed) -> None:
        foreign = await inner.uploads.begin("a/other", PLAIN)
        part = await inner.uploads.put_part(foreign.upload_id, 1, b"x", PLAIN)
        own = await store.uploads.begin("new", PLAIN)
        assert (await inner.uploads.get(own.upload_id)).key == "a/b/new"
        assert (await store.uploads.list()).uploads == (own,)
        for call in (
            store.uploads.get(foreign.upload_id),
            store.uploads.put_part(foreign.upload_id, 1, b"y", PLAIN),
            store.uploads.complete(foreign.upload_id, [(1, part.etag)]),
            store.uploads.abort(foreign.upload_id),
        ):
            with pytest.raises(UploadNotFound):
                await call
        assert (await inner.uploads.get(foreign.upload_id)).parts == (part,)

    run(scenario)
