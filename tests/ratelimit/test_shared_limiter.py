"""Counts in a real Redis."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from backends.redis_server import RedisServer, running_redis
from objectstore.core.rates import Rate, parse_rate
from objectstore.errors import ConfigurationError, Unavailable
from objectstore.ratelimit.limiter import Limiter
from objectstore.ratelimit.shared import Failure, RedisLimiter

RATE = parse_rate("10/hour")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with running_redis("--requirepass", "secret") as started:
        yield started


@pytest.fixture
def url(running: RedisServer) -> str:
    return f"redis://:secret@127.0.0.1:{running.port}/1"


def limiter_of(url: str, failure: Failure, clock: Callable[[], float] = time.monotonic) -> RedisLimiter:
    """One that a busy machine does not make impatient."""
    return RedisLimiter(url, failure, clock=clock, patience=20)


async def passed(limiter: Limiter, key: str, rate: Rate = RATE, times: int = 20) -> int:
    verdicts = await asyncio.gather(*(limiter.take(key, rate) for _ in range(times)))
    return sum(verdict is None or not verdict.wait for verdict in verdicts)


def test_what_one_counts_the_other_knows(url: str) -> None:
    async def scenario() -> None:
        one, other = limiter_of(url, "closed"), limiter_of(url, "closed")
        assert sum(await asyncio.gather(passed(one, "token shared"), passed(other, "token shared"))) == 10
        assert await passed(other, "token another") == 10
        await one.close()
        await other.close()

    asyncio.run(scenario())


def test_a_verdict_tells_what_is_left_and_until_when(url: str) -> None:
    async def scenario() -> None:
        limiter = limiter_of(url, "closed")
        rate = parse_rate("5/hour;7/day")
        first = await limiter.take("token told", rate)
        assert first is not None
        assert first.wait == 0
        assert [left for left, _ in first.states] == [4, 6]
        assert 3590 < first.states[0][1] <= 3600
        assert await passed(limiter, "token told", rate) == 4
        refused = await limiter.take("token told", rate)
        assert refused is not None
        assert [left for left, _ in refused.states] == [0, 2]  # the window that is full, and one left uncounted
        assert 3600 < refused.wait <= 2 * 3600
        await limiter.close()

    asyncio.run(scenario())


def test_whoever_waits_as_told_is_let_in(url: str) -> None:
    async def scenario() -> None:
        limiter = limiter_of(url, "closed")
        rate = parse_rate("20/second")
        began = time.monotonic()
        done = 0

        async def client() -> None:
            nonlocal done
            for _ in range(8):
                while (verdict := await limiter.take("token waiting", rate)) is not None and verdict.wait:  # noqa: ASYNC110  time it is
                    await asyncio.sleep(verdict.wait)
                done += 1

        await asyncio.gather(*(client() for _ in range(5)))
        elapsed = time.monotonic() - began
        # Rounded down, a count of the window before may let one more through in each.
        assert done == 40 <= 20 * (elapsed + 1) + elapsed + 1
        await limiter.close()

    asyncio.run(scenario())


def test_without_its_storage_an_open_limiter_lets_pass_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: RedisServer) -> None:
        clock = Clock()
        limiter = limiter_of(f"redis://:secret@127.0.0.1:{server.port}", "open", clock)
        assert await passed(limiter, "a") == 10
        server.kill()
        clock.now += 10
        assert await passed(limiter, "a") == 20
        clock.now += 10  # and asks again
        assert await passed(limiter, "a") == 20
        server.start()
        assert await passed(limiter, "a") == 20  # not asked yet
        clock.now += 10
        assert await limiter.take("a", RATE) is not None
        assert await passed(limiter, "a") == 9
        await limiter.close()

    with running_redis("--requirepass", "secret") as server, caplog.at_level(logging.INFO, "objectstore.limits"):
        asyncio.run(scenario(server))
        place = f"127.0.0.1:{server.port}"
    away, back = [record.getMessage() for record in caplog.records]
    assert away.startswith(f"the storage of the rate limits at {place} is away: ")
    assert away.endswith("requests pass without limit until it is back (RATE_LIMIT_FAILURE=open)")
    assert back == f"the storage of the rate limits at {place} answers again"
    assert "secret" not in caplog.text


def test_without_its_storage_a_closed_limiter_refuses(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        limiter = RedisLimiter("redis://:secret@127.0.0.1:1", "closed")
        for _ in range(3):
            with pytest.raises(Unavailable, match="storage of the rate limits") as caught:
                await limiter.take("a", RATE)
            assert caught.value.retry_after == 1
        await limiter.close()

    with caplog.at_level(logging.INFO, "objectstore.limits"):
        asyncio.run(scenario())
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "requests are refused until it is back (RATE_LIMIT_FAILURE=closed)" in record.getMessage()
    assert "secret" not in caplog.text


def test_a_wrong_password_is_a_storage_that_is_away(running: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        limiter = RedisLimiter(f"redis://:guessed@127.0.0.1:{running.port}", "open")
        assert await limiter.take("a", RATE) is None
        await limiter.close()

    asyncio.run(scenario())
    assert "guessed" not in caplog.text
    assert "is away: " in caplog.text


def test_a_storage_that_hangs_is_not_waited_for(url: str, running: RedisServer) -> None:
    async def scenario() -> None:
        limiter = RedisLimiter(url, "open")
        await passed(limiter, "hanging")
        running.pause()
        try:
            async with asyncio.timeout(20):
                assert await passed(limiter, "hanging", times=500) == 500
                assert await passed(limiter, "hanging", times=500) == 500
        finally:
            running.resume()
        await limiter.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("module", ["redis.asyncio", "limits.aio.storage"])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=r"needs the extra redis: pip install 'objectstore\[redis\]'"):
        RedisLimiter("redis://127.0.0.1", "open")


@pytest.mark.parametrize("url", ["redis://:secret@host:port", "redis://:secret@host/database?socket_timeout=x"])
def test_an_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="RATE_LIMIT_STORAGE") as caught:
        RedisLimiter(url, "open")
    assert "secret" not in caught.value.message
