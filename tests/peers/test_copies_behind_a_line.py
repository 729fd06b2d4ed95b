"""Mirrors and caches, one of whose stores is behind a line that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from backends.redis_server import running_redis
from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.redis import RedisBackend
from objectstore.errors import Unavailable
from objectstore.testing import After, Before, BlackHole, Cut, Proxy, Received, Sent, Stall, proxied
from objectstore.testing.lines import LineTrouble
from objectstore.wrappers.caching import Caching
from objectstore.wrappers.mirroring import Mirroring
from peers.calls import body_of
from wrappers.mirrored import findings, objects

OLD, NEW = b"old" * 30_000, b"new" * 300_000
MINUTE = 60.0  # seconds: whatever takes longer hangs
TROUBLES: dict[str, LineTrouble] = {
    "before": Cut(Before()),
    "in the request": Cut(Received(900), reset=True),
    "in the body": Cut(Received(600_000)),
    "after": Cut(After()),
    "later": Cut(Sent(200)),
    "silent": Stall(600_000),
    "black hole": BlackHole(),
}


@pytest.fixture(scope="module")
def line() -> Iterator[Proxy]:
    with running_redis() as server, proxied(server.url) as proxy:
        yield proxy


def remote(line: Proxy, database: int) -> Backend:
    return RedisBackend(f"{line.url}/{database}?socket_timeout=0.5&socket_connect_timeout=0.5")


async def told(store: Backend, key: str) -> bytes | Unavailable | None:
    try:
        return await body_of(store, key)
    except Unavailable as error:
        return error


def run(scenario: Coroutine[Any, Any, None], line: Proxy) -> None:
    async def whole() -> None:
        await scenario
        # What a stalled connection still had to send goes out now, while there is a loop to close it.
        assert await asyncio.to_thread(line.wait_idle)

    asyncio.run(whole())


@pytest.mark.parametrize("first", [True, False], ids=["first", "second"])
def test_a_mirror_tells_no_lie_and_can_be_mended(line: Proxy, *, first: bool) -> None:
    async def scenario() -> None:
        near, far = MemoryBackend(), remote(line, int(first))
        async with asyncio.timeout(2 * MINUTE), Mirroring([far, near] if first else [near, far]) as mirror:
            for name, trouble in TROUBLES.items():
                await mirror.put(name, OLD)
                written = False
                with line.disturb(trouble):
                    try:
                        await mirror.put(name, NEW)
                        written = True
                    except Unavailable:
                        pass
                    # Meanwhile.
                    assert isinstance(seen := await told(mirror, name), Unavailable) or seen in {OLD, NEW}, name
                deadline = asyncio.get_running_loop().time() + MINUTE
                while isinstance(seen := await told(mirror, name), Unavailable):
                    assert asyncio.get_running_loop().time() < deadline
                assert seen == NEW if written else seen in {OLD, NEW}, name
                assert await told(mirror, name) == seen, name
            await findings(mirror, deep=True, repair=True)
            assert await findings(mirror, deep=True) == []
            for name in TROUBLES:
                assert await told(mirror, name) in {OLD, NEW}
            assert await objects(near) == await objects(far)

    run(scenario(), line)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_cache_that_is_cut_off_is_done_without(line: Proxy, trouble: str) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(MINUTE), Caching(MemoryBackend(), remote(line, 2)) as cached:
            for number in range(2):
                await cached.put(f"key/{number}", OLD)
                assert await body_of(cached, f"key/{number}") == OLD
            with line.disturb(TROUBLES[trouble]):
                assert await body_of(cached, "key/0") == OLD
                await cached.put("key/1", NEW)
                assert await body_of(cached, "key/1") == NEW
                await cached.put("key/2", NEW)
                assert await body_of(cached, "key/2") == NEW
                await cached.delete("key/0")
            assert await body_of(cached, "key/0") is None
            assert await body_of(cached, "key/1") == await body_of(cached, "key/2") == NEW

    run(scenario(), line)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_cache_never_gives_what_its_main_store_may_not_have_any_more(line: Proxy, trouble: str) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(MINUTE), Caching(remote(line, 3), MemoryBackend(), ttl=1000) as cached:
            await cached.put("key", OLD)
            assert await body_of(cached, "key") == OLD
            with line.disturb(TROUBLES[trouble]):
                assert await body_of(cached, "key") == OLD  # of the cache, which it may be for so long
                try:
                    await cached.put("key", NEW)
                    allowed = {NEW}
                except Unavailable:
                    allowed = {OLD, NEW}
                assert isinstance(seen := await told(cached, "key"), Unavailable) or seen in allowed
            deadline = asyncio.get_running_loop().time() + MINUTE
            while isinstance(seen := await told(cached, "key"), Unavailable):
                assert asyncio.get_running_loop().time() < deadline
            assert seen in allowed
            async with remote(line, 3) as behind:
                # What was on its way when it was given up may arrive, later than everything that was asked since.
                late = isinstance(TROUBLES[trouble], Stall)
                assert await body_of(behind, "key") == seen or (late and allowed == {OLD, NEW})

    run(scenario(), line)
