"""The bare media that backends keep objects in, used as directly as one can, and what they have in common."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from bench.seeding import KIB

BARE: Final[Mapping[str, str | None]] = {"file-alone": None, "redis-py-alone": "redis", "obstore-alone": "rclone-s3"}
"""Each with the contestant that it talks to."""


class Subject(Protocol):
    """Something that takes and gives bodies."""

    async def put(self, key: str, body: bytes) -> None: ...

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None: ...

    async def get(self, key: str) -> int:
        """Read all of it and drop it; bytes."""
        ...


class _Files:
    """Written beside their place, synced and moved there, as a careful program does."""

    async def put(self, key: str, body: bytes) -> None:
        async def once() -> AsyncIterator[bytes]:
            yield body

        await self.put_stream(key, once())

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        written, target = Path("written"), Path(key.replace("/", "-"))
        with written.open("wb", buffering=0) as file:  # noqa: ASYNC230  nothing else runs
            async for chunk in chunks:
                file.write(chunk)
            os.fsync(file.fileno())
        written.rename(target)  # noqa: ASYNC240  as above
        fd = os.open(".", os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    async def get(self, key: str) -> int:
        with Path(key.replace("/", "-")).open("rb", buffering=0) as file:  # noqa: ASYNC230  as above
            size = 0
            while chunk := file.read(256 * KIB):
                size += len(chunk)
            return size


class _Redis:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def put(self, key: str, body: bytes) -> None:
        await self._client.set(key, body)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        await self._client.set(key, b"".join([chunk async for chunk in chunks]))

    async def get(self, key: str) -> int:
        return len(await self._client.get(key))


class _Obstore:
    def __init__(self, store: Any) -> None:
        self._store = store

    async def put(self, key: str, body: bytes) -> None:
        await self._store.put_async(key, body)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        await self._store.put_async(key, chunks)

    async def get(self, key: str) -> int:
        return sum([len(chunk) async for chunk in await self._store.get_async(key)])


@asynccontextmanager
async def bare(name: str, url: str) -> AsyncIterator[Subject]:
    """The medium, reached at `url`, or in the current folder."""
    if name == "file-alone":
        yield _Files()
    elif name == "redis-py-alone":
        from redis.asyncio import Redis

        async with Redis.from_url(url) as client:
            yield _Redis(client)
    else:
        from obstore.store import S3Store

        yield _Obstore(
            S3Store(
                "bucket",
                endpoint=url,
                access_key_id="any",
                secret_access_key="any",  # noqa: S106  anybody may
                region="us-east-1",
                client_options={"allow_http": True},
            )
        )
