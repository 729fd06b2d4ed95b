"""What GCS and Azure run on, obstore alone: here on a bucket of moto's S3 server, since neither has a server to run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from obstore.store import S3Store

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, moto
from objectstore.backends.cloud import taking
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.plain import ObstoreMedium, before
from objectstore.backends.cloud.settings import Patience
from objectstore.errors import ConfigurationError, DigestMismatch, TooLarge, Unsupported
from objectstore.testing.suite.harness import MIB, BodyFailed, chunked, failing, found, sample, unchanged
from objectstore.testing.suite.listings import ListingTests
from objectstore.testing.suite.objects import AttributeTests, CopyTests, ObjectTests
from objectstore.testing.suite.ranges import RangeTests
from objectstore.values import ONLY_IF_ABSENT, Capabilities, ListQuery, PutOptions


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with moto() as running:
        yield running


def opened(server: S3Server, folder: Path) -> CloudBackend:
    bucket = folder.name[:60].strip("_").replace("_", "-").lower()
    server.make_bucket(bucket)
    patience = Patience()
    config: Any = {
        "endpoint": server.url,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
        "region": "us-east-1",
        "virtual_hosted_style_request": False,
    }
    options: Any = {"client_options": patience.client_options(), "retry_config": patience.retry_config()}

    def make() -> S3Store:
        return S3Store(bucket, config=config, **options)

    # As strict as Azure, in all that may be chosen.
    medium = ObstoreMedium("Plain", make, patience, identifiers_only=True)
    return CloudBackend(medium, Capabilities(name="Plain", digests=False))


class TestPlain(ObjectTests, AttributeTests, CopyTests, RangeTests, ListingTests):
    one_in = 8
    heavy = frozenset(
        {
            "test_pages_walk_a_store_of_more_than_a_page",
            "test_delete_many_takes_a_thousand_keys",
            "test_a_walk_neither_skips_nor_repeats_while_keys_come_and_go",
            "test_a_prefix_is_raw_characters",
            "test_a_start_is_inclusive",
        }
    )

    @pytest.fixture(autouse=True)
    def served(self, server: S3Server) -> None:
        self.server = server

    def backend(self, folder: Path) -> CloudBackend:
        return opened(self.server, folder)


@pytest.fixture
def run(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a scenario on a bucket of its own, where parts begin at 5 MiB."""
    monkeypatch.setattr(taking, "SPOOLED", 5 * MIB)

    def runner(scenario: Callable[[CloudBackend], Any]) -> None:
        async def with_store() -> None:
            async with opened(server, tmp_path) as store:
                await scenario(store)

        asyncio.run(with_store())

    return runner


def test_a_large_body_comes_back(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        data = sample(11 * MIB + 5)
        info = await store.put("key", chunked(data))
        assert await found(store, "key") == (info, data)

    run(scenario)


def test_a_large_body_that_fails_leaves_nothing(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        data = sample(11 * MIB + 5)
        cause = BodyFailed("broken off")
        for error in (cause, OSError("the disk of the source")):
            with pytest.raises(type(error)) as raised:
                await store.put("key", failing(data, error))
            assert raised.value is error
        with pytest.raises(DigestMismatch):
            await store.put("key", chunked(data), PutOptions(expected={"sha-256": bytes(32)}))
        await unchanged(store, "key", None)

    run(scenario)


def test_a_large_body_under_a_condition_is_refused(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        with pytest.raises(TooLarge):
            await store.put("key", chunked(sample(11 * MIB)), PutOptions(conditions=ONLY_IF_ABSENT))
        await unchanged(store, "key", None)

    run(scenario)


def test_a_foreign_name_that_cannot_be_listed_is_told(server: S3Server, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(server, tmp_path) as store:
            httpx2.put(f"{server.url}/{tmp_path.name.replace('_', '-')}/a//b", content=b"x").raise_for_status()
            with pytest.raises(Unsupported, match="a//b"):
                await store.list(ListQuery())
        with pytest.raises(ConfigurationError, match="a//b"):
            await opened(server, tmp_path).__aenter__()

    asyncio.run(scenario())


@pytest.mark.parametrize("start", ["a", "a/b", "é", "\ue000", "😀", "a ", "a!", "a\0", "a/b\0", "\x01", "b\x1fc"])
def test_what_comes_before_a_start_is_before_it_and_close(start: str) -> None:
    early = before(start)
    assert early < start
    assert early.encode() < start.encode()
    assert all(character >= " " for character in early)
