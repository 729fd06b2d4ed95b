"""Bodies that are sent in parts, against moto's server, which wants parts as large as S3 does."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, moto
from objectstore.backends.cloud import s3, taking
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.s3 import S3Medium
from objectstore.backends.cloud.service import Ask
from objectstore.backends.cloud.stores import bucket_store
from objectstore.errors import AlreadyExists, DigestMismatch, IncompleteBody
from objectstore.testing.suite.harness import BodyFailed, chunked, failing, found, read, sample, unchanged
from objectstore.values import ONLY_IF_ABSENT, Attributes, CopyOptions, PutOptions

MIB: Final = 1024 * 1024
SIZE: Final = 11 * MIB + 5
DATA: Final = sample(SIZE)
SHA256: Final = hashlib.sha256(DATA).digest()


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with moto() as running:
        yield running


@pytest.fixture
def run(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a scenario on a bucket of its own, where parts begin at 5 MiB; no unfinished upload may be left of it."""
    monkeypatch.setattr(taking, "SPOOLED", 5 * MIB)
    monkeypatch.setattr(s3, "_PART", 5 * MIB)
    bucket = tmp_path.name[:60].strip("_").replace("_", "-").lower()
    server.make_bucket(bucket)

    def runner(scenario: Callable[[CloudBackend], Awaitable[None]]) -> None:
        async def opened() -> None:
            async with bucket_store(
                bucket, endpoint_url=server.url, s3_access_key=ACCESS_KEY, s3_secret_key=SECRET_KEY
            ) as store:
                await scenario(store)
                medium = store._medium
                assert isinstance(medium, S3Medium)
                answer = await medium._asked.ask(Ask("GET", query=(("uploads", ""),)))
                assert b"<UploadId>" not in answer.body

        asyncio.run(opened())

    return runner


def test_a_body_of_unknown_size_comes_back(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        attributes = Attributes(content_type="a/b", metadata={"author": "Zoë"})
        info = await store.put("key", chunked(DATA), PutOptions(attributes=attributes))
        assert (info.size, info.attributes) == (SIZE, attributes)
        assert await found(store, "key") == (info, DATA)

    run(scenario)


def test_an_announced_digest_is_checked_and_kept(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        info = await store.put("key", chunked(DATA), PutOptions(expected={"sha-256": SHA256}))
        assert info.digests == {"sha-256": SHA256}
        assert await store.head("key") == info
        with pytest.raises(DigestMismatch):
            await store.put("key", chunked(DATA), PutOptions(expected={"sha-256": bytes(32)}))
        assert await store.head("key") == info

    run(scenario)


def test_a_body_that_fails_late_leaves_nothing(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        with pytest.raises(BodyFailed):
            await store.put("key", failing(DATA))
        with pytest.raises(IncompleteBody):
            await store.put("key", chunked(DATA), PutOptions(size=SIZE + 1))
        await unchanged(store, "key", None)

    run(scenario)


def test_a_cancelled_body_leaves_nothing(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        waiting = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield DATA
            waiting.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(store.put("key", body()))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await unchanged(store, "key", None)

    run(scenario)


def test_an_object_created_meanwhile_wins(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        async def body() -> AsyncIterator[bytes]:
            async for chunk in chunked(DATA):
                yield chunk
            await store.put("key", b"faster")

        with pytest.raises(AlreadyExists):
            await store.put("key", body(), PutOptions(conditions=ONLY_IF_ABSENT))
        assert await read(store, "key") == b"faster"

    run(scenario)


def test_a_large_copy_under_a_condition_keeps_digests_and_takes_attributes(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        source = await store.put("source", chunked(DATA), PutOptions(expected={"sha-256": SHA256}))
        options = CopyOptions(attributes=Attributes(content_type="c/d"), conditions=ONLY_IF_ABSENT)
        copied = await store.copy("source", "target", options)
        assert (copied.digests, copied.attributes.content_type) == (source.digests, "c/d")
        assert await found(store, "target") == (copied, DATA)
        with pytest.raises(AlreadyExists):
            await store.copy("source", "target", options)

    run(scenario)


def test_large_parts_are_joined_within_the_service(run: Callable[..., None]) -> None:
    async def scenario(store: CloudBackend) -> None:
        for expected in ({}, {"sha-256": SHA256}):
            upload = await store.uploads.begin("key", PutOptions(expected=expected))
            parts = []
            for number, start in enumerate(range(0, SIZE, 5 * MIB), 1):
                body = chunked(DATA[start : start + 5 * MIB])
                parts.append(await store.uploads.put_part(upload.upload_id, number, body, PutOptions()))
            named = [(part.number, part.etag) for part in parts]
            info = await store.uploads.complete(upload.upload_id, named)
            # A digest is known of what passed through here; of what was joined, none is.
            assert info.digests == expected
            assert await found(store, "key") == (info, DATA)
            assert await store.uploads.complete(upload.upload_id, named) == info

    run(scenario)


def test_parts_grow_so_that_ten_thousand_hold_the_largest_object() -> None:
    assert sum(s3.part_size(number) for number in range(10_000)) > 5 * 1024**4
    assert s3.part_size(9_999) <= 5 * 1024**3
