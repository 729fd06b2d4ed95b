"""Both clients behind one face, so that a test is written once and shows the same of each."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from objectstore import AsyncRestStore, ObjectInfo, RestStore
from objectstore.client.drivers import AsyncDriver, Driver
from objectstore.client.site import parse_site
from objectstore.client.transport import async_transport_to, transport_to
from objectstore.wire.retries import Retries

Kind: TypeAlias = Literal["sync", "async"]
NOW = datetime(2024, 1, 1, tzinfo=UTC)
TOKEN = "os_secret_of_the_tests"


@dataclass
class Both:
    """One of the clients; what it slept is in `slept`, and nobody waited for it."""

    kind: Kind
    url: str
    token: str | None = TOKEN
    timeout: float = 20.0
    retries: Retries = field(default_factory=lambda: Retries(limit=3, delay=1.0))
    max_connections: int = 100
    ca_file: str | None = None
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        site = parse_site(self.url, self.token)
        self.store: Any = self._sync(site.origin) if self.kind == "sync" else self._async(site.origin)
        self._runner = asyncio.Runner()

    def _sync(self, origin: str) -> RestStore:
        transport = transport_to(
            origin, timeout=self.timeout, max_connections=self.max_connections, ca_file=self.ca_file
        )
        site = parse_site(self.url, self.token)
        chance = {"sleep": self.slept.append, "random": lambda: 0.5, "now": lambda: NOW}
        return RestStore(Driver(site, transport, self.retries, **chance))  # type: ignore[arg-type]

    def _async(self, origin: str) -> AsyncRestStore:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        transport = async_transport_to(
            origin, timeout=self.timeout, max_connections=self.max_connections, ca_file=self.ca_file
        )
        site = parse_site(self.url, self.token)
        chance = {"sleep": sleep, "random": lambda: 0.5, "now": lambda: NOW}
        return AsyncRestStore(AsyncDriver(site, transport, self.retries, **chance))  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        """The method of the client; iterators come as lists."""
        method = getattr(self.store, name)

        def call(*args: Any, **options: Any) -> Any:
            if self.kind == "sync":
                found = method(*args, **options)
                return list(found) if isinstance(found, Iterator) else found
            return self._runner.run(_awaited(method, args, options))

        return call

    def read(self, key: str, **options: Any) -> tuple[ObjectInfo, list[bytes]]:
        """What `stream` tells of the object, and the chunks."""
        if self.kind == "sync":
            with self.store.stream(key, **options) as reader:
                return reader.info, list(reader)

        async def read() -> tuple[ObjectInfo, list[bytes]]:
            async with self.store.stream(key, **options) as reader:
                return reader.info, [chunk async for chunk in reader]

        return self._runner.run(read())

    def first_chunk(self, key: str) -> bytes:
        """The first chunk of a stream that is left then."""
        if self.kind == "sync":
            with self.store.stream(key) as reader:
                first: bytes = next(iter(reader))
                return first

        async def read() -> bytes:
            async with self.store.stream(key) as reader:
                return await anext(aiter(reader))

        return self._runner.run(read())

    def get_while_reading(self, key: str) -> bytes:
        """The same object twice at the same time."""
        if self.kind == "sync":
            with self.store.stream(key):
                data: bytes = self.store.get(key)
                return data

        async def get() -> bytes:
            async with self.store.stream(key):
                data: bytes = await self.store.get(key)
                return data

        return self._runner.run(get())

    def source(self, *chunks: bytes) -> Any:
        """An iterator of the client's own kind, which can be read once."""
        return iter(chunks) if self.kind == "sync" else _chunks(chunks)

    def hang_up(self) -> None:
        """Close the client, as users do."""
        if self.kind == "sync":
            self.store.close()
        else:
            self._runner.run(self.store.aclose())

    def close(self) -> None:
        self.hang_up()
        self._runner.close()


async def _awaited(method: Any, args: Any, options: Any) -> Any:
    found = method(*args, **options)
    if inspect.isawaitable(found):
        return await found
    return [one async for one in found]


async def _chunks(chunks: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
