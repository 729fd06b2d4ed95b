"""What a token looks like, and what is kept of it: never the token, only its hash."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from objectstore.auth.links import mark_of
from objectstore.auth.scopes import EVERY_KEY, Credential, Scope, simplified
from objectstore.core.keys import check_key
from objectstore.core.rates import Rate
from objectstore.errors import ConfigurationError, InvalidKey
from objectstore.values import Quota

ENTROPY: Final = 32  # bytes
MARK: Final = "os_"  # lets people and secret scanners tell what they found


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How much may be kept under each prefix of a token. None: any amount.

    Raises:
        ConfigurationError: it is less than nothing.
    """

    size: int | None = None  # bytes
    objects: int | None = None

    def __post_init__(self) -> None:
        if (self.size or 0) < 0 or (self.objects or 0) < 0:
            raise ConfigurationError("a quota is a number of bytes, or of objects, that is not negative")


UNBOUNDED: Final = Allowance()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """One token as the file keeps it.

    Raises:
        ConfigurationError: the name, a prefix or the choice of scopes is not usable; the message says which.
    """

    name: str
    digest: bytes  # SHA-256 of the token
    created: datetime  # aware, UTC
    expires: datetime | None  # aware, UTC: not valid from then on; None: valid for ever
    scopes: frozenset[Scope]
    prefixes: tuple[str, ...] = EVERY_KEY
    rate: Rate | None = None  # None: that of the server
    quota: Allowance = UNBOUNDED
    others: Mapping[str, object] = field(default_factory=dict)  # what a later version wrote, kept as it is

    def __post_init__(self) -> None:
        if not (0 < len(self.name) <= 128 and self.name.isprintable() and self.name == self.name.strip()):
            raise ConfigurationError(f"{self.name!r} is no name for a token: 1 to 128 printable characters are")
        if not self.scopes:
            raise ConfigurationError(f"the token {self.name!r} has no scope, so it would allow nothing")
        for prefix in self.prefixes:
            _check_prefix(self.name, prefix)
        object.__setattr__(self, "prefixes", simplified(self.prefixes))


def _check_prefix(name: str, prefix: str) -> None:
    if not prefix:
        return
    try:
        check_key(prefix)
    except InvalidKey as error:
        raise ConfigurationError(
            f"the token {name!r} has the prefix {prefix!r}, which no key starts with: {error}"
        ) from None


def new_token(entropy: bytes) -> str:
    """The token made of `ENTROPY` random bytes, safe in a header, a URL and a shell."""
    if len(entropy) != ENTROPY:
        raise ValueError(f"{ENTROPY} random bytes are needed, not {len(entropy)}")
    return MARK + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def digest_of(token: bytes) -> bytes:
    """What is kept of a token. It is as good as random, so a plain hash cannot be searched; no salt is needed."""
    return hashlib.sha256(token).digest()


def expiry(now: datetime, ttl: timedelta) -> datetime:
    """When a token that is given `ttl` now ends, in whole seconds. Raises ConfigurationError."""
    if ttl <= timedelta():
        raise ConfigurationError("a token has to be valid for more than no time")
    try:
        return (now + ttl).astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise ConfigurationError("a token cannot be valid past the year 9999") from None


def expired(record: TokenRecord, now: datetime) -> bool:
    return record.expires is not None and now >= record.expires


def quotas_of(record: TokenRecord) -> tuple[Quota, ...]:
    """What may be kept under each prefix of the token."""
    size, objects = record.quota.size, record.quota.objects
    return tuple(Quota(prefix=prefix, size=size, objects=objects) for prefix in record.prefixes)


def credential_of(record: TokenRecord) -> Credential:
    """What the bearer of the token may do, expired or not."""
    return Credential(
        name=record.name,
        scopes=record.scopes,
        prefixes=record.prefixes,
        expires=record.expires,
        mark=mark_of(record.digest),
        rate=record.rate,
        quotas=() if record.quota == UNBOUNDED else quotas_of(record),
    )
