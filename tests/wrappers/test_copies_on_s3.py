"""Mirrors and caches over a real S3 server, which goes away and comes back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backends.cloud.proxy import Proxy
from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, moto
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.stores import bucket_store
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import AlreadyExists, NotFound, Unavailable
from objectstore.testing.suite.harness import KIB, MIB, chunked, found, keys, read, sample, settle
from objectstore.values import ONLY_IF_ABSENT, Attributes, Bounded, PutOptions
from objectstore.wrappers.caching import Caching
from objectstore.wrappers.mirroring import Mirroring
from objectstore.wrappers.mirroring.marks import RESERVED
from wrappers.mirrored import findings

# The last goes to S3 in parts.
SIZES = (0, 1, 700 * KIB, 13 * MIB)


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with moto() as running:
        yield running


@asynccontextmanager
async def bucket(server: S3Server) -> AsyncIterator[tuple[CloudBackend, Proxy]]:
    """A new bucket, not yet opened, and the way to it."""
    name = f"copies-{os.urandom(6).hex()}"
    server.make_bucket(name)
    async with Proxy(server.url) as proxy:
        config = {"read_timeout": 20, "connect_timeout": 20, "retries": {"max_attempts": 0}}
        yield (
            bucket_store(
                name,
                endpoint_url=proxy.url,
                s3_access_key=ACCESS_KEY,
                s3_secret_key=SECRET_KEY,
                botocore_config_kwargs=config,
            ),
            proxy,
        )


@pytest.mark.parametrize("s3_first", [True, False], ids=["s3 first", "s3 second"])
def test_a_mirror_with_a_bucket_keeps_its_promises(server: S3Server, tmp_path: Path, *, s3_first: bool) -> None:
    async def scenario() -> None:
        async with bucket(server) as (store, proxy):
            engine = EngineBackend(tmp_path, durability="relaxed")
            async with Mirroring([store, engine] if s3_first else [engine, store]) as mirror:
                attributes = Attributes(content_type="text/plain", metadata={"a": "b"})
                for size in SIZES:
                    info = await mirror.put(f"key/{size}", chunked(sample(size)), PutOptions(attributes=attributes))
                    for child in mirror.children:
                        held = await child.head(f"key/{size}")
                        assert (held.etag, held.size, held.attributes) == (info.etag, size, attributes)
                        assert await read(child.backend, f"key/{size}") == sample(size)
                _, errors = await settle(
                    mirror.put("once", sample(number), PutOptions(conditions=ONLY_IF_ABSENT)) for number in range(4)
                )
                assert {type(error) for error in errors} == {AlreadyExists}
                assert len(errors) == 3
                await proxy.make("away")
                for change in (mirror.put("key/1", b"new"), mirror.put("new", sample(MIB)), mirror.delete("key/1")):
                    with pytest.raises(Unavailable, match=r"\(BucketStore\)"):
                        await change
                assert await read(mirror, "key/1") == sample(1)
                assert await read(mirror, f"key/{SIZES[-1]}", Bounded(MIB, 2 * MIB)) == sample(2 * MIB)[MIB:]
                await proxy.make("none")
                await mirror.delete("key/1")
                assert await keys(mirror) == ["key/0", f"key/{SIZES[-1]}", f"key/{SIZES[-2]}", "once"]
                assert await findings(mirror, deep=True) == []
                assert await keys(store, f"{RESERVED}marks/") == []

    asyncio.run(scenario())


def test_a_cache_in_front_of_a_bucket_keeps_its_promises(server: S3Server) -> None:
    async def scenario() -> None:
        async with bucket(server) as (store, proxy), Caching(store, MemoryBackend(), ttl=1000) as cached:
            records = {}
            for size in SIZES:
                records[size] = await cached.put(f"key/{size}", chunked(sample(size)))
                assert await found(cached, f"key/{size}") == (records[size], sample(size))
            await asyncio.gather(*cached._tasks)
            await proxy.make("away")
            for size in SIZES:
                assert await found(cached, f"key/{size}") == (records[size], sample(size))
            with pytest.raises(Unavailable):
                await read(cached, "absent")
            with pytest.raises(Unavailable):
                await cached.put("key/1", b"new")
            with pytest.raises(Unavailable):
                await read(cached, "key/1")
            await proxy.make("none")
            assert await read(cached, "key/1") == sample(1)
            await cached.delete("key/1")
            with pytest.raises(NotFound):
                await read(cached, "key/1")

    asyncio.run(scenario())
