"""Which keys are valid, and what becomes of the others."""

from __future__ import annotations

import asyncio

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.errors import InvalidKey, UploadNotFound
from objectstore.testing.suite.harness import found, keys
from objectstore.values import ListPage, ListQuery, PutOptions
from objectstore.wrappers.validkeys import is_url, matching, only_urls


@pytest.mark.parametrize(
    "key",
    [
        "http://example.org",
        "https://example.org/a/../b//c?q=1#f",
        "HTTPS://Example.ORG:8443/",
        "http://[::1]:80/x",
        "http://user@host/",
        "http://bücher.example/ein pfad",
        "http://127.0.0.1",
    ],
)
def test_urls(key: str) -> None:
    assert is_url(key)


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "ftp://example.org/",
        "example.org/a",
        "//example.org",
        "http:/example.org",
        "http:example.org",
        "http://",
        "http:///path",
        "http:// host/",
        "http://?q",
        "http://:80/",
        "http://host:port/",
        "http://[::1/",
        " http://example.org",
        "xhttp://example.org",
        "httpss://example.org",
    ],
)
def test_what_is_no_url(key: str) -> None:
    assert not is_url(key)


def test_a_key_that_is_no_url_is_refused_and_told_why() -> None:
    async def scenario() -> None:
        async with only_urls(MemoryBackend()) as store:
            await store.put("https://example.org/a", b"1")
            with pytest.raises(InvalidKey, match="'plain' is no key of this store: one is an http or https URL"):
                await store.put("plain", b"2")
            assert await keys(store) == ["https://example.org/a"]

    asyncio.run(scenario())


def test_a_pattern_matches_from_the_start_and_need_not_reach_the_end() -> None:
    async def scenario() -> None:
        async with matching(MemoryBackend(), "[a-z]+/[0-9]") as store:
            await store.put("ab/1", b"")
            await store.put("ab/1/more", b"")
            for key in ("1ab/1", "ab/", "x ab/1", "AB/1"):
                with pytest.raises(InvalidKey, match="from its start"):
                    await store.put(key, b"")

    asyncio.run(scenario())


def test_objects_under_other_keys_are_left_alone() -> None:
    async def scenario() -> None:
        inner = MemoryBackend({"ok/1": b"1", "other": b"2"})
        async with matching(inner, "ok/") as store:
            for call in (
                store.head("other"),
                store.delete("other"),
                store.copy("other", "ok/2"),
                store.copy("ok/1", "other"),
                store.uploads.begin("other", PutOptions()),
            ):
                with pytest.raises(InvalidKey):
                    await call
            with pytest.raises(InvalidKey):
                await found(store, "other")
            first, second = await store.delete_many(["other", "ok/1"])
            assert isinstance(first, InvalidKey)
            assert second is None
            foreign = await inner.uploads.begin("other", PutOptions())
            with pytest.raises(UploadNotFound):
                await store.uploads.abort(foreign.upload_id)
            assert await keys(inner) == ["other"]

    asyncio.run(scenario())


def test_a_page_reads_past_other_keys_and_over_groups() -> None:
    reads: list[tuple[str, int]] = []

    class Watched(MemoryBackend):
        async def list(self, query: ListQuery) -> ListPage:
            reads.append((query.start, query.limit))
            return await super().list(query)

    names = [*(f"a/{number:04}" for number in range(3000)), *(f"no{number:03}" for number in range(250)), "z"]

    async def scenario() -> None:
        async with matching(Watched(dict.fromkeys(names, b"")), "(?!no)") as store:
            page = await store.list(ListQuery(delimiter="/", limit=5))
            assert (page.keys, page.prefixes, page.next_start) == (("z",), ("a/",), None)
            # One read for the group, whatever is in it, and three for what is passed over.
            assert len(reads) == 4
            reads.clear()
            assert (await store.list(ListQuery(prefix="a/", limit=1000))).next_start is not None
            assert len(reads) == 1

    asyncio.run(scenario())
