"""Stores that are kept on a server, each before a real one of it, with a proxy in between."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, moto, rclone
from backends.nginx_server import running_nginx
from backends.redis_server import running_redis
from objectstore.backends.cloud.stores import bucket_store
from objectstore.backends.contract import Backend
from objectstore.backends.http import HttpBackend
from objectstore.backends.redis import RedisBackend
from objectstore.backends.rest import RestBackend
from objectstore.testing import Proxy, proxied, serve

PATIENCE: Final = 20.0  # seconds that a store waits for its server, when nothing is to hold it up
HURRY: Final = 0.8  # the same, when something is
SMALL: Final = b"small and old"
LARGE: Final = bytes(range(256)) * 4096  # 1 MiB


@dataclass(frozen=True)
class Remote:
    """A server, and the stores that are kept there by way of `proxy`."""

    name: str
    proxy: Proxy
    url: str  # without the proxy
    connect: Callable[[str, float, int], Backend]  # by a URL, waiting so many seconds, with so many retries

    @asynccontextmanager
    async def store(self, *, patience: float = PATIENCE, retries: int = 0) -> AsyncIterator[Backend]:
        """Kept there, by way of the proxy."""
        async with self.connect(self.proxy.url, patience, retries) as store:
            yield store

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[Backend]:
        """The same, without the proxy: what the server really holds."""
        async with self.connect(self.url, PATIENCE, 0) as store:
            yield store


def _bucket(server: S3Server, *, conditions: bool) -> Callable[[str, float, int], Backend]:
    bucket = f"peers-{os.urandom(6).hex()}"
    server.make_bucket(bucket)

    def connect(url: str, patience: float, retries: int) -> Backend:
        return bucket_store(
            bucket,
            endpoint_url=url,
            s3_access_key=ACCESS_KEY,
            s3_secret_key=SECRET_KEY,
            botocore_config_kwargs={
                "read_timeout": patience,
                "connect_timeout": patience,
                "retries": {"max_attempts": retries},
            },
            conditions=conditions,
        )

    return connect


@contextmanager
def _rclone() -> Iterator[Remote]:
    with rclone() as server, proxied(server.url) as proxy:
        yield Remote("rclone", proxy, server.url, _bucket(server, conditions=False))


@contextmanager
def _moto() -> Iterator[Remote]:
    with moto() as server, proxied(server.url) as proxy:
        yield Remote("moto", proxy, server.url, _bucket(server, conditions=True))


@contextmanager
def _redis() -> Iterator[Remote]:
    def connect(url: str, patience: float, retries: int) -> Backend:
        del retries  # there are none
        return RedisBackend(f"{url}/0?socket_timeout={patience}&socket_connect_timeout={patience}")

    with running_redis() as server, proxied(server.url) as proxy:
        yield Remote("redis", proxy, server.url, connect)


@contextmanager
def _rest() -> Iterator[Remote]:
    with serve() as server, proxied(server.url) as proxy:

        def connect(url: str, patience: float, retries: int) -> Backend:
            return RestBackend(url, server.token, timeout=patience, max_retries=retries, retry_delay=0.01)

        yield Remote("rest", proxy, server.url, connect)


@contextmanager
def _http() -> Iterator[Remote]:
    with running_nginx() as server, proxied(server.url) as proxy:
        (server.files / "small").write_bytes(SMALL)
        (server.files / "large").write_bytes(LARGE)
        yield Remote("http", proxy, server.url, lambda url, patience, _: HttpBackend(url, timeout=patience))


REMOTES: Final[Mapping[str, Callable[[], AbstractContextManager[Remote]]]] = {
    "moto": _moto,
    "rclone": _rclone,
    "redis": _redis,
    "rest": _rest,
    "http": _http,
}
