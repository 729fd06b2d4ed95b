"""rclone's S3 server: the contract as far as a folder behind S3 goes.

Where rclone differs from S3, and what is left out here because of it:
- it writes whatever the condition, so that `conditions` is false;
- it keeps objects as files: of `a` and `a/b` only one can be, and a folder is found as if it were an object;
- it gives ranges with the status 200, which the library refuses and the store then asks for itself;
- it cannot make an object of others in parts, so that parts pass through at completion.
As S3 it takes at most 2 KiB of metadata.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, rclone
from objectstore.backends.cloud import s3, taking
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.failures import OutOfRange
from objectstore.backends.cloud.stores import bucket_store
from objectstore.errors import InvalidMetadata
from objectstore.testing.suite.concurrency import ConcurrencyTests
from objectstore.testing.suite.failures import FailureTests
from objectstore.testing.suite.harness import LARGE, MIB, chunked, found, read, sample
from objectstore.testing.suite.objects import FULL, AttributeTests, CopyTests, DigestTests, ObjectTests
from objectstore.testing.suite.ranges import RangeTests
from objectstore.testing.suite.reopening import ReopeningTests
from objectstore.testing.suite.uploads import UploadTests
from objectstore.values import Attributes, Bounded, PutOptions


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with rclone() as running:
        yield running


class TestRclone(
    ObjectTests,
    AttributeTests,
    DigestTests,
    CopyTests,
    RangeTests,
    FailureTests,
    UploadTests,
    ConcurrencyTests,
    ReopeningTests,
):
    one_in = 16
    impossible = frozenset(
        {
            "test_attributes_are_as_large_as_8_kib",
            "test_odd_keys_are_there_after_reopening",
            # A file that is replaced while it is read ends early: that is told as an error, and is no whole version.
            "test_readers_see_a_whole_version_while_writers_overwrite_and_delete",
        }
    )

    @pytest.fixture(autouse=True)
    def served(self, server: S3Server) -> None:
        self.server = server

    def backend(self, folder: Path) -> CloudBackend:
        bucket = folder.name[:60].strip("_").replace("_", "-").lower()
        self.server.make_bucket(bucket)
        return bucket_store(
            bucket,
            endpoint_url=self.server.url,
            s3_access_key=ACCESS_KEY,
            s3_secret_key=SECRET_KEY,
            conditions=False,
        )

    def test_more_metadata_than_s3_keeps_is_refused(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with self.backend(tmp_path) as store:
                large = PutOptions(attributes=Attributes(metadata={"long": "x" * 2048}))
                for body in (b"small", sample(LARGE)):
                    with pytest.raises(InvalidMetadata, match="2048"):
                        await store.put("key", body, large)
                assert await found(store, "key") is None

        asyncio.run(scenario())

    def test_a_copy_of_what_became_shorter_meanwhile_is_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def scenario() -> None:
            async with self.backend(tmp_path) as store:
                await store.put("key", sample(2 * MIB))
                copy = store._medium.copy

                async def late(*_: Any) -> bool:
                    # rclone says so now and then when the file shrinks while it is copied.
                    monkeypatch.setattr(store._medium, "copy", copy)
                    await store.put("key", sample(MIB))
                    raise OutOfRange("416 InvalidRange")

                monkeypatch.setattr(store._medium, "copy", late)
                assert (await store.copy("key", "other")).size == MIB
                assert await read(store, "other") == sample(MIB)

        asyncio.run(scenario())

    def test_a_body_in_parts_comes_back_and_is_copied(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(taking, "SPOOLED", 5 * MIB)
        monkeypatch.setattr(s3, "_PART", 5 * MIB)

        async def scenario() -> None:
            data = sample(11 * MIB + 5)
            options = PutOptions(attributes=FULL, expected={"sha-256": hashlib.sha256(data).digest()})
            async with self.backend(tmp_path) as store:
                info = await store.put("key", chunked(data), options)
                assert await found(store, "key") == (info, data)
                assert await read(store, "key", Bounded(5, 6 * MIB)) == data[5 : 6 * MIB]
                copied = await store.copy("key", "other")
                assert (copied.digests, copied.attributes) == (info.digests, FULL)
                assert await found(store, "other") == (copied, data)

        asyncio.run(scenario())
