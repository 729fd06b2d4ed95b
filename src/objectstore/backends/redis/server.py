"""The way to a Redis server: a pool of connections, and the scripts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.maint_notifications import MaintNotificationsConfig

from objectstore.backends.redis.connections import Pool
from objectstore.backends.redis.failures import opening, translated
from objectstore.backends.redis.scripts import CHECK, OWN, Script
from objectstore.errors import ConfigurationError, Unavailable

_log: Final = logging.getLogger("objectstore.redis")
_OLDEST: Final = (6, 2)  # has COPY
_FORM: Final = "redis://USER:PASSWORD@HOST:PORT/DB, rediss://… or unix:///PATH"


class Server:
    """Sends commands; every error is one of ours. Its options may stand in the query of the url."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Redis | None = None
        self._scripts: dict[Script, Any] = {}
        self._calls = count()
        self._address = _address(url)

    async def open(self) -> None:
        """Raises ConfigurationError: no Redis that can be used answers there."""
        try:
            # Commands are not sent again by themselves: whether the first was carried out is not known then.
            pool = Pool.from_url(
                self._url,
                max_connections=64,
                timeout=30,
                socket_timeout=30,
                socket_connect_timeout=5,
                retry=Retry(NoBackoff(), 0),
                # With them on, the library does not look whether a connection has ended while it was idle.
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
                decode_responses=False,
            )
        except ValueError:
            raise ConfigurationError(f"the url of a Redis is {_FORM}") from None
        self._client = Redis.from_pool(pool)
        try:
            with opening(self._address):
                await self._client.ping()
                await self._inspect(self._client)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        client, self._client = self._client, None
        self._scripts.clear()
        if client is not None:
            await client.aclose()

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: bytes | str | int) -> Any:
        """What the script returns."""
        client = self._open_client()
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = client.register_script(script.source)
        called = b"%d" % next(self._calls)
        with translated(self._address):
            told = await known(keys=keys, args=(called, *arguments))
        if isinstance(told, list) and len(told) == 2 and told[0] == called and script.is_result(told[1]):
            return told[1]
        # Whatever else it is the answer to, that connection is of no use any more; it is among the idle ones now.
        with translated(self._address):
            await client.connection_pool.disconnect(inuse_connections=False)
        raise Unavailable(f"Redis at {self._address} gave an answer that makes no sense", retry_after=1)

    async def unlink(self, name: bytes) -> None:
        client = self._open_client()
        with translated(self._address):
            await client.unlink(name)

    async def check(self) -> None:
        """Raises Unavailable, StorageFull: nothing can be written."""
        await self.run(CHECK, (OWN + b"check",))

    def _open_client(self) -> Redis:
        if self._client is None:
            raise Unavailable("this store is closed")
        return self._client

    async def _inspect(self, client: Redis) -> None:
        try:
            info = await client.info()
        except NoPermissionError:
            return  # the commands that count will tell
        if info.get("cluster_enabled"):
            raise ConfigurationError(
                f"Redis at {self._address} is a cluster, whose keys cannot be changed together: use a single server"
            )
        version = str(info.get("redis_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < _OLDEST:
            raise ConfigurationError(f"Redis at {self._address} is version {version}; 6.2 or later is needed")
        policy = info.get("maxmemory_policy", "noeviction")
        if info.get("maxmemory") and policy != "noeviction":
            _log.warning(
                "Redis at %s throws keys away when its memory is full (maxmemory-policy %s), objects too; "
                "set it to noeviction",
                self._address,
                policy,
            )


def _address(url: str) -> str:
    """Where it is, without user and password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or 6379
    except ValueError:
        return "an unknown place"
    return parts.path if parts.scheme == "unix" else f"{host}:{port}"
