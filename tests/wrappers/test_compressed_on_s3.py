"""Objects compressed in a real S3 server: bodies whole and in parts, records in its metadata."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, moto
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.stores import bucket_store
from objectstore.testing.suite.harness import KIB, MIB, chunked, keys, read, sample
from objectstore.values import Attributes, Bounded, ListQuery, PutOptions
from objectstore.wrappers.gzipped import Gzipped


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with moto() as running:
        yield running


def bucket(server: S3Server) -> CloudBackend:
    name = f"compressed-{os.urandom(6).hex()}"
    server.make_bucket(name)
    return bucket_store(name, endpoint_url=server.url, s3_access_key=ACCESS_KEY, s3_secret_key=SECRET_KEY)


@pytest.mark.parametrize("size", [0, 700 * KIB, 13 * MIB])
def test_what_is_put_comes_back_with_its_size_and_attributes(server: S3Server, size: int) -> None:
    async def scenario() -> None:
        async with Gzipped(bucket(server)) as store:
            attributes = Attributes(content_type="text/plain", metadata={"a": "b"})
            put = await store.put("a/key", chunked(sample(size)), PutOptions(attributes=attributes))
            assert await store.head("a/key") == put
            assert (put.size, put.attributes) == (size, attributes)
            assert await read(store, "a/key") == sample(size)
            assert (await store.list(ListQuery(details=True))).objects == (put,)
            if size:
                assert await read(store, "a/key", Bounded(100, 200)) == sample(size)[100:200]

    asyncio.run(scenario())


def test_an_upload_in_parts_waits_in_the_bucket_and_leaves_only_the_object(server: S3Server) -> None:
    async def scenario() -> None:
        inner = bucket(server)
        async with Gzipped(inner) as store:
            upload = await store.uploads.begin("whole", PutOptions())
            parts = [sample(6 * MIB, 1), sample(MIB, 2)]
            etags = [
                (await store.uploads.put_part(upload.upload_id, number, chunked(part), PutOptions())).etag
                for number, part in enumerate(parts, 1)
            ]
            assert await keys(store) == []
            done = await store.uploads.complete(upload.upload_id, list(enumerate(etags, 1)))
            assert done.size == 7 * MIB
            assert await read(store, "whole") == b"".join(parts)
            assert await keys(store) == ["whole"]

    asyncio.run(scenario())
