"""Services spoken to over the network: Redis, HTTP, mediastore, another server of this kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from objectstore.backends.contract import Backend
from objectstore.config.parameters import BOOLEAN, PATH, TEXT, Kind, Parameter, whole
from objectstore.config.storetype import StoreType, Values
from objectstore.config.units import parse_duration


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    return parse_duration(str(value)).total_seconds()


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return value


SECONDS: Final = Kind("seconds, or a number with a unit such as 500s or 2m", _seconds)
MAPPING: Final = Kind("a mapping", _mapping)


def _redis(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.redis import RedisBackend

    return RedisBackend(**values)


def _http(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.http import HttpBackend

    return HttpBackend(**values)


def _mediastore(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.mediastore import MediaBackend

    others = {name: value for name, value in values.items() if name != "staging_path"}
    return MediaBackend(**others, staging=values.get("staging_path"))


def _rest(values: Values, _: Sequence[Backend]) -> Backend:
    from objectstore.backends.rest import RestBackend

    return RestBackend(**values)


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
    StoreType(
        names=("RestStore", "AsyncRestStore"),
        about="Another server of this kind.",
        parameters=(
            Parameter(
                name="base_url",
                kind=TEXT,
                required=True,
                about="Its address, as in https://host or https://host/prefix.",
            ),
            Parameter(name="api_key", kind=TEXT, secret=True, about="A token of that server (default: none)."),
            Parameter(name="timeout", kind=SECONDS, about="How long it may be silent (default: 30)."),
            Parameter(name="max_retries", kind=whole(0), about="How often a request is sent again (default: 2)."),
            Parameter(
                name="retry_delay",
                kind=SECONDS,
                about="What is waited before that at most, doubled each time (default: 0.2).",
            ),
            Parameter(name="max_connections", kind=whole(1), about="Connections at the same time (default: 100)."),
        ),
        build=_rest,
    ),
    StoreType(
        names=("MediaStore",),
        about="A mediastore service: the key is the pid of a medium.",
        parameters=(
            Parameter(name="base_url", kind=TEXT, required=True, about="Its address, what comes before /api."),
            Parameter(name="username", kind=TEXT, about="Who logs in, when no token is given."),
            Parameter(name="password", kind=TEXT, secret=True, about="The password of that user."),
            Parameter(name="token", kind=TEXT, secret=True, about="A token of the service."),
            Parameter(
                name="store_config",
                kind=MAPPING,
                about="In which of its stores new media are put: type, bucket, s3_url (default: the first one).",
            ),
            Parameter(name="pid_type", kind=TEXT, about="The type of the pids of new media (default: DEFAULT)."),
            Parameter(
                name="staging_path",
                kind=PATH,
                about="Where parts of uploads wait (default: a folder for temporary files).",
            ),
        ),
        build=_mediastore,
    ),
)
