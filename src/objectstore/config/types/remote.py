"""Services spoken to over the network: Redis, HTTP, mediastore, another server of this kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import TEXT, Parameter
from objectstore.config.storetype import StoreType, Values


def _redis(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.redis import RedisBackend

    return RedisBackend(**values)


REMOTE: Final[tuple[StoreType, ...]] = (
    StoreType(
        names=("RedisStore", "AsyncRedisStore"),
        about="A Redis database: one string per object, under the bare key.",
        parameters=(
            Parameter(
                name="url",
                kind=TEXT,
                required=True,
                secret=True,
                about="redis://USER:PASSWORD@HOST:PORT/DB, rediss://… for TLS, or unix:///PATH.",
            ),
        ),
        build=_redis,
        extra="redis",
    ),
)
