"""Credentials and what they allow, as plain functions of values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

from objectstore.core.rates import Rate
from objectstore.errors import Forbidden
from objectstore.values import Quota

Scope: TypeAlias = Literal["read", "write", "delete", "metrics"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
EVERY_KEY: Final = ("",)  # the prefixes of a credential that is not bound to any


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Who is asking and what they may do, wherever that is known from.

    `prefixes` are kept simplified: in key order, none starting with another. Without any, no key is covered.
    """

    name: str
    scopes: frozenset[Scope]
    prefixes: tuple[str, ...] = EVERY_KEY
    expires: datetime | None = None  # aware; not valid from then on
    mark: str = ""  # what its signed links name it by; without one it makes none
    rate: Rate | None = None  # how often it may ask; None: as often as any
    quotas: tuple[Quota, ...] = ()  # what may be kept under each of the prefixes it had when they were set

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefixes", simplified(self.prefixes))


def simplified(prefixes: Iterable[str]) -> tuple[str, ...]:
    """The fewest prefixes that cover the same keys, in key order."""
    found: list[str] = []
    for prefix in sorted(prefixes):
        # What starts with a prefix follows it directly in key order: the last one found is the only candidate.
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return tuple(found)


def allows(credential: Credential, scope: Scope) -> bool:
    return scope in credential.scopes


def covers(credential: Credential, key: str) -> bool:
    """Whether `key` lies under the prefixes of the credential, whatever its scopes are."""
    return key.startswith(credential.prefixes)


def quota_of(credential: Credential, key: str) -> Quota | None:
    """The quota that a write of this key, which is covered, has to keep."""
    return next((quota for quota in credential.quotas if key.startswith(quota.prefix)), None)


def require(credential: Credential, scope: Scope, key: str | None = None) -> None:
    """Nothing, when the credential may do this, to `key` if one is given. No answer tells whether there is such a key.

    Raises:
        Forbidden: it may not; the scope is looked at first.
    """
    if scope not in credential.scopes:
        raise Forbidden(f"this needs the scope {scope!r}, which the token {credential.name!r} does not have")
    if key is not None and not key.startswith(credential.prefixes):
        raise Forbidden(f"the token {credential.name!r} is bound to prefixes that this key does not start with")
