"""Keys behind their hash: where they lie, and pages of a store that has them in another order."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.testing.suite.harness import keys
from objectstore.values import ListQuery
from objectstore.wrappers.hashprefix import HashPrefixed


@pytest.mark.parametrize(
    ("key", "length", "separator", "name"),
    [
        # SHA-256 as other programs give it: `printf abc | sha256sum`.
        ("abc", 8, "/", "ba7816bf/abc"),
        ("abc", 1, "", "babc"),
        ("abc", 64, "--", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad--abc"),
        ("é/ü", 4, "/", f"{hashlib.sha256('é/ü'.encode()).hexdigest()[:4]}/é/ü"),
    ],
)
def test_where_a_key_lies(key: str, length: int, separator: str, name: str) -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with HashPrefixed(inner, hash_length=length, separator=separator) as store:
            assert (await store.put(key, b"x")).key == key
            assert await keys(inner) == [name]
            assert await keys(store) == [key]

    asyncio.run(scenario())


def test_names_that_no_key_has_are_not_seen() -> None:
    foreign = ("abc", "00000000/abc", "BA7816BF/abc", "ba7816bf/", "ba7816bf-abc", "ba7816b/abc")

    async def scenario() -> None:
        async with HashPrefixed(MemoryBackend(dict.fromkeys((*foreign, "ba7816bf/abc"), b""))) as store:
            assert await keys(store) == ["abc"]

    asyncio.run(scenario())


@pytest.mark.parametrize("length", [0, 65, -1])
def test_a_hash_has_a_length(length: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        HashPrefixed(MemoryBackend(), hash_length=length)


@pytest.mark.parametrize("limit", [3, 40, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_of_many_keys_are_in_order(limit: int, delimiter: str) -> None:
    names = [f"{number % 70:02}/{number}" for number in range(2500)]

    async def scenario() -> None:
        plain = MemoryBackend(dict.fromkeys(names, b""))
        store = HashPrefixed(MemoryBackend())
        for name in names:
            await store.put(name, b"")
        for start in ("", "17/", "69/69", "7"):
            for prefix in ("", "6", "00/"):
                query = ListQuery(prefix=prefix, delimiter=delimiter, start=start, limit=limit)
                assert await store.list(query) == await plain.list(query)

    asyncio.run(scenario())
