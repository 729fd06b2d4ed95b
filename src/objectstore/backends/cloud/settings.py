"""What is set for a bucket: where it is, who asks, how patiently."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from objectstore.core.sigv4 import Credentials, encoded
from objectstore.errors import ConfigurationError

Addressing: TypeAlias = Literal["auto", "path", "virtual"]

_log: Final = logging.getLogger("objectstore.cloud")
_ADDRESSING: Final = ("auto", "path", "virtual")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a service is waited for, how often it is asked again, and over how many connections."""

    connect: float = 5.0  # seconds
    read: float = 30.0  # seconds without a byte
    retries: int = 3
    connections: int = 64

    @property
    def deadline(self) -> float:
        """Seconds that a request may take with all its repetitions, bodies aside."""
        return self.connect + self.read

    def client_options(self) -> dict[str, Any]:
        """As obstore takes them. Its overall timeout counts bodies too, so that it would end every long transfer."""
        return {
            "allow_http": True,
            "connect_timeout": timedelta(seconds=self.connect),
            "read_timeout": timedelta(seconds=self.read),
            "timeout": timedelta(days=7),
            "pool_max_idle_per_host": str(self.connections),
            "pool_idle_timeout": timedelta(seconds=4),  # less than servers keep idle connections
        }

    def retry_config(self) -> dict[str, Any]:
        return {
            "max_retries": self.retries,
            "retry_timeout": timedelta(seconds=self.deadline),
            "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """A bucket of S3 or of a service that speaks like it."""

    bucket: str
    endpoint: str | None = None  # None: the one of AWS for the region
    region: str = "us-east-1"
    credentials: Credentials | None = None  # None: found where AWS tools find theirs
    addressing: Addressing = "auto"
    conditions: bool = True
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not self.bucket or "/" in self.bucket:
            raise ConfigurationError(f"{self.bucket!r} is no name of a bucket")
        if self.endpoint is not None:
            parts = urlsplit(self.endpoint)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
                raise ConfigurationError(
                    f"endpoint_url is to be http(s)://HOST[:PORT], without a path, not {self.endpoint!r}"
                )

    @property
    def virtual(self) -> bool:
        """Whether the bucket stands in the host's name rather than in the path."""
        if self.addressing == "auto":
            # A dot would not match the certificate of AWS, and servers of one's own seldom have such names.
            return self.endpoint is None and "." not in self.bucket
        return self.addressing == "virtual"

    @property
    def origin(self) -> str:
        """Scheme and host that requests go to."""
        parts = urlsplit(self.endpoint or f"https://s3.{self.region}.amazonaws.com")
        host = f"{self.bucket}.{parts.netloc}" if self.virtual else parts.netloc
        return f"{parts.scheme}://{host}"

    @property
    def path(self) -> str:
        """The bucket's own path, encoded."""
        return "/" if self.virtual else f"/{encoded(self.bucket)}"

    def path_of(self, key: str) -> str:
        """The path of an object, encoded."""
        return f"{self.path.rstrip('/')}/{encoded(key, safe='/')}"


def with_botocore(settings: BucketSettings, told: Mapping[str, Any]) -> BucketSettings:
    """`settings` with what a `botocore_config` says that has a meaning here; a warning names the rest.

    Raises:
        ConfigurationError: a value that cannot be used.
    """
    rest = dict(told)
    patience = settings.patience
    try:
        patience = replace(
            patience,
            connect=_positive(rest.pop("connect_timeout", patience.connect)),
            read=_positive(rest.pop("read_timeout", patience.read)),
            connections=int(_positive(rest.pop("max_pool_connections", patience.connections))),
            retries=_retries(rest, patience.retries),
        )
        s3 = dict(rest.pop("s3", None) or {})
        addressing = s3.pop("addressing_style", settings.addressing)
        region = str(rest.pop("region_name", settings.region))
        # Signatures are of version 4 whatever is said; saying so is no reason for a warning.
        if rest.get("signature_version") in {"s3v4", "v4"}:
            del rest["signature_version"]
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"botocore_config has a value that cannot be used: {error}") from error
    if addressing not in _ADDRESSING:
        raise ConfigurationError(f"botocore_config: s3.addressing_style is one of {', '.join(_ADDRESSING)}")
    for name in [*rest, *(f"s3.{name}" for name in s3)]:
        _log.warning("botocore_config: %s has no meaning here and is passed over", name)
    return replace(settings, patience=patience, addressing=addressing, region=region)


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{value!r} is to be above 0")
    return number


def _retries(rest: dict[str, Any], default: int) -> int:
    told = rest.pop("retries", None)
    if told is None:
        return default
    known = dict(told)
    known.pop("mode", None)
    total = known.pop("total_max_attempts", None)
    retries = known.pop("max_attempts", None)
    if known:
        _log.warning("botocore_config: retries.%s has no meaning here and is passed over", ", retries.".join(known))
    number = int(total) - 1 if total is not None else default if retries is None else int(retries)
    if number < 0:
        raise ValueError("retries are a number from 0 on")
    return number
