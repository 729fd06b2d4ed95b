"""A service that is away, overloaded, slow, or answers nonsense; and one that is not what the configuration says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from backends.cloud.proxy import Proxy, Trouble
from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, rclone
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.stores import bucket_store
from objectstore.backends.reading import chunks, read_all
from objectstore.errors import ConfigurationError, Corrupted, Unavailable
from objectstore.testing.suite.harness import chunked, sample
from objectstore.values import Bounded, GetOptions, ListQuery, PutOptions

LARGE: Final = 3 * 1024 * 1024
MINUTE: Final = 60.0  # seconds: whatever takes longer hangs

TROUBLES: Final[tuple[Trouble, ...]] = ("throttled", "garbage", "html", "cut")
CALLS: Final[Mapping[str, Callable[[CloudBackend], Awaitable[object]]]] = {
    "put": lambda store: store.put("key", b"new"),
    "large put": lambda store: store.put("key", chunked(sample(LARGE))),
    "get": lambda store: _read(store, "key"),
    "head": lambda store: store.head("key"),
    "delete": lambda store: store.delete("key"),
    "copy": lambda store: store.copy("key", "other"),
    "list": lambda store: store.list(ListQuery()),
    "upload": lambda store: store.uploads.begin("key", PutOptions()),
    "check": lambda store: store.check(),
}


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with rclone() as running:
        yield running


def _store(url: str, bucket: str, *, secret: str = SECRET_KEY, timeout: float = 20, retries: int = 0) -> CloudBackend:
    config = {"read_timeout": timeout, "connect_timeout": timeout, "retries": {"max_attempts": retries}}
    return bucket_store(
        bucket,
        endpoint_url=url,
        s3_access_key=ACCESS_KEY,
        s3_secret_key=secret,
        botocore_config_kwargs=config,
        conditions=False,
    )


async def _read(store: CloudBackend, key: str) -> bytes:
    async with store.get(key) as reading:
        return await read_all(reading)


@asynccontextmanager
async def _behind(server: S3Server, bucket: str, **told: Any) -> AsyncIterator[tuple[CloudBackend, Proxy]]:
    server.make_bucket(bucket)
    async with asyncio.timeout(MINUTE), Proxy(server.url) as proxy, _store(proxy.url, bucket, **told) as store:
        yield store, proxy


def _bucket() -> str:
    return f"faults-{os.urandom(6).hex()}"


def test_wrong_credentials_are_told_at_the_opening(server: S3Server) -> None:
    async def scenario() -> None:
        bucket = _bucket()
        server.make_bucket(bucket)
        with pytest.raises(ConfigurationError, match="access key") as raised:
            await _store(server.url, bucket, secret="another-secret").__aenter__()
        assert "another-secret" not in str(raised.value)
        assert "\n" not in str(raised.value)

    asyncio.run(scenario())


def test_a_missing_bucket_is_told_at_the_opening(server: S3Server) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigurationError, match="bucket"):
            await _store(server.url, "missing").__aenter__()

    asyncio.run(scenario())


@pytest.mark.parametrize("trouble", [*TROUBLES, "silent", "away"])
def test_an_endpoint_that_is_none_is_told_at_the_opening(server: S3Server, trouble: Trouble) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(MINUTE), Proxy(server.url) as proxy:
            await proxy.make(trouble)
            with pytest.raises(ConfigurationError, match="endpoint"):
                await _store(proxy.url, "bucket", timeout=0.2).__aenter__()

    asyncio.run(scenario())


@pytest.mark.parametrize("trouble", [*TROUBLES, "away"])
def test_trouble_is_unavailable_and_passes(server: S3Server, trouble: Trouble) -> None:
    async def scenario() -> None:
        async with _behind(server, _bucket()) as (store, proxy):
            before = await store.put("key", b"old")
            for name, call in CALLS.items():
                await proxy.make(trouble)
                error = (await asyncio.gather(call(store), return_exceptions=True))[0]
                assert isinstance(error, Unavailable), name
                assert error.retry_after is not None, name
                await proxy.make("none")
                assert await store.head("key") == before, name
            assert await _read(store, "key") == b"old"
            await store.check()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["get", "list", "large put"])
def test_a_service_that_says_nothing_is_given_up_in_time(server: S3Server, name: str) -> None:
    async def scenario() -> None:
        async with _behind(server, _bucket(), timeout=2.5) as (store, proxy):
            await store.put("key", b"old")
            proxy.trouble = "silent"
            with pytest.raises(Unavailable, match=r"in time|within"):
                await CALLS[name](store)
            proxy.trouble = "none"
            assert await _read(store, "key") == b"old"

    asyncio.run(scenario())


def test_the_time_that_a_service_names_is_passed_on(server: S3Server) -> None:
    async def scenario() -> None:
        async with _behind(server, _bucket()) as (store, proxy):
            proxy.trouble = "throttled"
            with pytest.raises(Unavailable, match="SlowDown") as raised:
                await store.list(ListQuery())
            assert raised.value.retry_after == 7

    asyncio.run(scenario())


@pytest.mark.parametrize("name", CALLS)
def test_what_passes_soon_is_not_even_noticed(server: S3Server, name: str) -> None:
    async def scenario() -> None:
        async with _behind(server, _bucket(), retries=5) as (store, proxy):
            await store.put("key", b"old")
            proxy.trouble = "throttled"
            call = asyncio.ensure_future(CALLS[name](store))
            await proxy.asked.wait()
            proxy.trouble = "none"
            await call

    asyncio.run(scenario())


@pytest.mark.parametrize("after", [2_000, 400_000, LARGE])
@pytest.mark.parametrize("wanted", [None, Bounded(5, LARGE)])
def test_a_body_that_ends_early_is_never_taken_for_whole(server: S3Server, after: int, wanted: Bounded | None) -> None:
    async def scenario() -> None:
        async with _behind(server, _bucket()) as (store, proxy):
            await store.put("key", sample(LARGE))
            proxy.trouble, proxy.after = "short", after
            with pytest.raises((Unavailable, Corrupted)):
                async with store.get("key", GetOptions(range=wanted)) as reading:
                    await read_all(reading)
            proxy.trouble = "none"
            assert await _read(store, "key") == sample(LARGE)

    asyncio.run(scenario())


def test_readings_left_early_keep_no_connection(server: S3Server) -> None:
    async def scenario() -> None:
        async with _behind(server, _bucket()) as (store, proxy):
            await store.put("key", sample(8 * LARGE))
            for wanted in (None, Bounded(1, 8 * LARGE)):
                for _ in range(5):
                    async with store.get("key", GetOptions(range=wanted)) as reading:
                        await anext(chunks(reading))
            await proxy.idle.wait()

    asyncio.run(scenario())


def test_details_that_cannot_be_had_are_one_error_and_leave_no_task(server: S3Server) -> None:
    async def scenario() -> None:
        async with _behind(server, _bucket()) as (store, proxy):
            for number in range(20):
                await store.put(f"key-{number}", b"1")
            listed = store._medium.list

            async def then_trouble(*query: Any, **told: Any) -> Any:
                names = await listed(*query, **told)
                await proxy.make("cut")
                return names

            store._medium.list = then_trouble  # type: ignore[method-assign]  # the moment in between
            with pytest.raises(Unavailable):
                await store.list(ListQuery(details=True))
            names = [repr(task.get_coro()) for task in asyncio.all_tasks()]
            assert not [name for name in names if "_each" in name]

    asyncio.run(scenario())
