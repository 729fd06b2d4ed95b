"""Many clients at one limit, on real servers: all of them finish, and the limit holds."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from backends.redis_server import RedisServer, running_redis
from objectstore import AsyncRestStore, RestStore
from peer import Answer, Server, running

QUOTA = 12  # in a second
EACH = 4  # objects that a client stores and reads


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as started:
        yield started


def blocking(server: Server, name: str) -> None:
    with RestStore.create(server.url, server.token) as store:
        for number in range(EACH):
            store.put(f"{name}/{number}", name.encode())
            assert store.get(f"{name}/{number}") == name.encode()


async def awaiting(server: Server, name: str) -> None:
    async with AsyncRestStore.create(server.url, server.token) as store:
        for number in range(EACH):
            await store.put(f"{name}/{number}", name.encode())
            assert await store.get(f"{name}/{number}") == name.encode()


def all_finish(servers: Iterable[Server]) -> float:
    """Have clients of both kinds use each of the servers at once; seconds that it took."""

    async def awaiting_all() -> None:
        await asyncio.gather(*(awaiting(server, f"aio {n}") for n in range(3) for server in servers))

    began = time.monotonic()
    with ThreadPoolExecutor() as threads:
        others = threads.submit(asyncio.run, awaiting_all())
        done = [threads.submit(blocking, server, f"sync {n}") for n in range(3) for server in servers]
        for one in (*done, others):
            one.result()
    return time.monotonic() - began


def refused(server: Server) -> int:
    """Requests that the server says it refused."""
    found = re.findall(r'objectstore_limit_refusals_total\{limit="token_rate"\} (\d+)', metrics(server))
    return int(found[0]) if found else 0


def metrics(server: Server) -> str:
    return server.ask("GET", "/metrics", token=None).body.decode()


def limits(**others: str) -> dict[str, str]:
    return {"RATE_LIMIT": f"{QUOTA}/second", "METRICS_PUBLIC": "true", **others}


def eventually(server: Server, status: int) -> Answer:
    """The first of many requests, sent as fast as can be, that is answered so."""
    deadline = time.monotonic() + 60
    for _ in count():
        answer = server.ask("GET", "/objects")
        if answer.status == status:
            return answer
        assert time.monotonic() < deadline
    raise AssertionError


@pytest.mark.parametrize("kind", ["uvicorn", "granian"])
def test_many_clients_of_one_token_all_finish_and_the_limit_holds(tmp_path: Path, kind: str) -> None:
    with running(tmp_path, kind, environment=limits()) as server:
        seconds = all_finish([server])
        assert QUOTA * (seconds + 1) >= 2 * EACH * 6
        assert refused(server) > 0


def test_workers_and_servers_share_a_limit_in_redis_and_do_without_it(tmp_path: Path, redis: RedisServer) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    shared = limits(RATE_LIMIT_STORAGE=redis.url)
    with (
        running(one, "granian", workers=2, environment=shared) as server,
        running(other, "uvicorn", environment=shared | {"RATE_LIMIT_FAILURE": "closed"}) as strict,
    ):
        seconds = all_finish([server, strict])
        # Counts of the period before are rounded down there, which lets one more through in each.
        assert (QUOTA + 1) * (seconds + 1) >= 2 * 2 * EACH * 6
        assert refused(server) + refused(strict) > 0

        redis.kill()  # with SIGKILL, while requests go on
        away = eventually(strict, 503)
        assert (away.code, away.headers["Retry-After"]) == ("unavailable", "1")
        assert [server.ask("GET", "/objects").status for _ in range(3 * QUOTA)] == [200] * 3 * QUOTA
        assert "requests pass without limit until it is back" in (one / "server.log").read_text()
        assert "requests are refused until it is back" in (other / "server.log").read_text()

        redis.start()
        eventually(strict, 200)
        eventually(server, 429)
        assert "answers again" in (other / "server.log").read_text()
