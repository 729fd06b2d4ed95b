"""Services spoken to over the network: Redis, HTTP, mediastore, another server of this kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import BOOLEAN, TEXT, Parameter
from objectstore.config.storetype import StoreType, Values


def _redis(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.redis import RedisBackend

    return RedisBackend(**values)


def _http(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.http import HttpBackend

    return HttpBackend(**values)


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
    StoreType(
        names=("HttpStore", "AsyncHttpStore"),
        about="What web servers serve, for reading: the key is a URL, or a path below base_url.",
        parameters=(
            Parameter(
                name="base_url",
                kind=TEXT,
                secret=True,  # it may hold a password
                about="What keys are put after, as in https://host/folder/ (default: keys are URLs).",
            ),
            Parameter(name="follow_redirects", kind=BOOLEAN, about="Whether redirects are followed (default: true)."),
        ),
        build=_http,
    ),
)
