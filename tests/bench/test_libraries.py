"""The libraries that clients are compared with do the work that they are measured at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from bench.libraries import AWAITING, BLOCKING, missing
from objectstore.testing import serve

TOKEN = "os_token_of_the_bench"
DATA = [bytes([number]) * 100_000 for number in range(6)]
SIZE = sum(map(len, DATA))


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with serve(token=TOKEN) as server:
        yield f"{server.url}/objects/"


def _installed(name: str) -> str:
    reason = missing(name)
    if reason is not None:
        pytest.skip(reason)
    return name


async def _chunks() -> AsyncIterator[bytes]:
    for chunk in DATA:
        yield chunk


@pytest.mark.parametrize("name", BLOCKING)
def test_a_library_that_blocks_moves_bodies(base: str, name: str) -> None:
    with BLOCKING[_installed(name)](base, TOKEN) as client:
        client.upload(name, iter(DATA), SIZE)
        assert client.download(name) == SIZE
        assert bytes(client.get(name)) == b"".join(DATA)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", AWAITING)
def test_a_library_that_awaits_moves_bodies(base: str, name: str) -> None:
    async def move() -> None:
        async with AWAITING[_installed(name)](base, TOKEN) as client:
            await client.upload("a" + name[:4], _chunks(), SIZE)
            assert await client.download("a" + name[:4]) == SIZE
            assert bytes(await client.get("a" + name[:4])) == b"".join(DATA)  # type: ignore[call-overload]

    asyncio.run(move())
