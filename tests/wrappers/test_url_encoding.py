"""Keys percent-encoded: where they lie, and which names are nobody's."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.errors import InvalidKey, NotFound
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.suite.harness import keys
from objectstore.values import ListPage, ListQuery
from objectstore.wrappers.urlencoding import UrlEncoded
from wrappers.keyed import url_encoded


class TestUrlEncoding(BackendConformance):
    def backend(self, folder: Path) -> UrlEncoded:  # noqa: ARG002  it is in memory
        return url_encoded()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b-._~9", "a/b-._~9"),
        ("a b", "a%20b"),
        ("a%2Fb", "a%252Fb"),
        ("/a//../b/", "/a//../b/"),
        ("é/日", "%C3%A9/%E6%97%A5"),
        ("http://host/?q=1#f", "http%3A//host/%3Fq%3D1%23f"),
        ("+&:@", "%2B%26%3A%40"),
    ],
)
def test_where_a_key_lies(key: str, name: str) -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with UrlEncoded(inner) as store:
            assert (await store.put(key, b"x")).key == key
            assert await keys(inner) == [name]
            assert await keys(store) == [key]

    asyncio.run(scenario())


def test_names_that_no_key_has_are_not_seen() -> None:
    foreign = ("a b", "a%2fb", "%61", "%FF", "%", "%zz", "é", "a%2Fb")

    async def scenario() -> None:
        async with UrlEncoded(MemoryBackend(dict.fromkeys((*foreign, "a%25b"), b"x"))) as store:
            assert await keys(store) == ["a%b"]
            for name in foreign:
                with pytest.raises(NotFound):
                    await store.head(name)

    asyncio.run(scenario())


def test_a_prefix_is_pushed_down() -> None:
    asked: list[ListQuery] = []

    class Watched(MemoryBackend):
        async def list(self, query: ListQuery) -> ListPage:
            asked.append(query)
            return await super().list(query)

    async def scenario() -> None:
        async with UrlEncoded(Watched({"%C3%A9/1": b"", "%C3%A9/%20": b"", "%C3%AA": b""})) as store:
            assert await keys(store, "é/") == ["é/ ", "é/1"]
            assert [query.prefix for query in asked] == ["%C3%A9/"]

    asyncio.run(scenario())


def test_a_key_whose_name_is_too_long_is_refused() -> None:
    async def scenario() -> None:
        async with url_encoded() as store:
            await store.put("a" * 1024, b"")
            with pytest.raises(InvalidKey, match="UrlEncodingStore"):
                await store.put("%" * 342, b"")

    asyncio.run(scenario())
