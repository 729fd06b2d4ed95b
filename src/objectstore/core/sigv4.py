"""AWS Signature Version 4, header form and the pieces of every other form.

What is signed is the request as it stands on the wire: `path` is the path as it is sent, encoded once (S3 does not
normalise it), and the headers are those that are sent. Source: the S3 API reference, "Signature Version 4".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
EMPTY_PAYLOAD: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs. The secrets are not in the repr."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)  # of a session


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signing key is good for: one day, one region, one service."""

    date: str  # YYYYMMDD, UTC
    region: str
    service: str = "s3"

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def encoded(text: str, *, safe: str = "") -> str:
    """Percent-encoded as signatures want it: all but letters, digits, `-._~` and what is `safe`, upper-case hex."""
    return quote(text, safe=safe)  # which leaves the others alone


def canonical_query(query: Iterable[tuple[str, str]]) -> str:
    """The query, encoded and in the order of the encoded names and values. It may be sent as it is."""
    return "&".join(
        f"{name}={value}" for name, value in sorted((encoded(name), encoded(value)) for name, value in query)
    )


def canonical_request(
    method: str, path: str, query: Iterable[tuple[str, str]], signed: Mapping[str, str], payload_hash: str
) -> str:
    """The text that stands for a request: `signed` are the headers that the signature covers."""
    headers = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
    lines = "".join(f"{name}:{value}\n" for name, value in headers)
    names = ";".join(name for name, _ in headers)
    return "\n".join((method, path, canonical_query(query), lines, names, payload_hash))


def string_to_sign(canonical: str, time: str, scope: Scope) -> str:
    """`time` is that of the header `x-amz-date`."""
    return "\n".join((ALGORITHM, time, str(scope), hashlib.sha256(canonical.encode()).hexdigest()))


def signing_key(secret_key: str, scope: Scope) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part)
    return key


def signature(key: bytes, text: str) -> str:
    return _hmac(key, text).hex()


def amz_date(now: datetime) -> str:
    """The time of a request as its headers have it: `20130524T000000Z`."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def signed_headers(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    *,
    payload_hash: str,
    credentials: Credentials,
    region: str,
    now: datetime,
    service: str = "s3",
) -> dict[str, str]:
    """`headers` (`host` among them) and those that carry their signature; all are signed.

    `payload_hash` is the hex SHA-256 of the body, or `UNSIGNED_PAYLOAD`.
    """
    time = amz_date(now)
    scope = Scope(time[:8], region, service)
    signed = {name.lower(): value for name, value in headers.items()}
    signed |= {"x-amz-date": time, "x-amz-content-sha256": payload_hash}
    if credentials.token is not None:
        signed["x-amz-security-token"] = credentials.token
    text = string_to_sign(canonical_request(method, path, query, signed, payload_hash), time, scope)
    proof = signature(signing_key(credentials.secret_key, scope), text)
    names = ";".join(sorted(signed))
    signed["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope},SignedHeaders={names},Signature={proof}"
    )
    return signed


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
