"""Header fields ⇄ values. Server code reads requests and writes responses with this; the client the reverse.

Field names are bytes in lower case, as ASGI has them. Values are decoded as UTF-8: metadata may hold any text,
and every HTTP library passes bytes above 0x7F through (obs-text, RFC 9110 §5.5).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Final, TypeAlias

from objectstore.core.attributes import check_attributes, fields
from objectstore.core.digests import SIZES
from objectstore.errors import BadRequest, DigestMismatch, InvalidDigest, InvalidMetadata
from objectstore.values import (
    DEFAULT_CONTENT_TYPE,
    NO_ATTRIBUTES,
    NOTHING,
    Attributes,
    ObjectInfo,
)
from objectstore.wire.records import format_time, parse_time

Fields: TypeAlias = Mapping[bytes, bytes]
FieldList: TypeAlias = list[tuple[bytes, bytes]]

META: Final = b"x-object-meta-"
COPY_FROM: Final = b"x-copy-from"
CREATED: Final = b"x-created-at"
MODIFIED: Final = b"x-modified-at"  # as Last-Modified, with the fraction of the second

_KEPT: Final = {
    b"content-type": "content_type",
    b"content-encoding": "content_encoding",
    b"content-disposition": "content_disposition",
    b"content-language": "content_language",
    b"cache-control": "cache_control",
}
# Stored bytes are not ours: a browser is neither to guess their type nor to run them.
_GUARDS: Final = ((b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"sandbox"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
# Digest fields of RFC 9530 name fewer algorithms than are known here.
_DIGEST_NAMES: Final = {"sha-256": "sha-256", "sha-512": "sha-512", "md5": "md5", "sha": "sha-1"}


def fields_of(pairs: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Fields by name; lines of the same name joined by commas (RFC 9110 §5.3).

    Raises:
        BadRequest: a field that is read here as one value stands twice, with different values.
    """
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    joined: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name not in joined:
            joined[name] = value
        elif name not in _SINGLE and not name.startswith(META):
            joined[name] += b", " + value
        elif joined[name] != value:
            raise BadRequest(f"the header {name.decode('latin-1')!r} stands twice with different values")
    return joined


_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-disposition",
        b"content-length",
        b"content-md5",
        b"content-range",
        b"content-type",
        b"etag",
        b"host",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"last-modified",
        b"retry-after",
        COPY_FROM,
    }
)


# Dates


@lru_cache(maxsize=4096)
def _http_date(second: int) -> bytes:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True).encode()


def http_date(time: datetime) -> bytes:
    """An IMF-fixdate (RFC 9110 §5.6.7); fractions of a second are cut."""
    # Rounded down, also before 1970, as `core.conditions` compares it.
    return _http_date((time - _EPOCH) // _SECOND)


def parse_http_date(value: bytes | None) -> datetime | None:
    """The time in a date field. None when absent or unreadable: then the field is ignored (RFC 9110 §13.1.3)."""
    if value is None:
        return None
    try:
        time = parsedate_to_datetime(value.decode("ascii"))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


# Entity tags


def format_etag(etag: str) -> bytes:
    return b'"' + etag.encode("latin-1") + b'"'


def parse_etag(value: bytes) -> str:
    """The opaque part of an `ETag` field."""
    return value.removeprefix(b"W/").strip(b'"').decode("latin-1")


# Attributes


def parse_attributes(found: Fields) -> Attributes:
    """What a PUT says of its object. Raises InvalidMetadata."""
    kept: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in found.items():
        attribute = _KEPT.get(name)
        if attribute is not None:
            if value:  # an empty one says as much as none
                kept[attribute] = _text(name, value)
        elif name.startswith(META):
            metadata[_text(name, name[len(META) :])] = _text(name, value)
    if not kept and not metadata:
        return NO_ATTRIBUTES
    return check_attributes(
        Attributes(
            content_type=kept.get("content_type"),
            content_encoding=kept.get("content_encoding"),
            content_disposition=kept.get("content_disposition"),
            content_language=kept.get("content_language"),
            cache_control=kept.get("cache_control"),
            metadata=metadata or NOTHING,
        )
    )


def _text(name: bytes, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidMetadata(f"the header {name.decode('latin-1')!r} is not valid UTF-8") from None


def format_attributes(attributes: Attributes) -> FieldList:
    """The attributes as header fields, for requests and responses alike."""
    found = [(name.encode(), value.encode()) for name, value in fields(attributes)]
    found += [(META + name.encode(), value.encode()) for name, value in attributes.metadata.items()]
    return found


# Digests


def parse_expected(found: Fields) -> dict[str, bytes]:
    """The digests that a body has to have, from `Content-Digest`, `Repr-Digest` and `Content-MD5`.

    Algorithms that RFC 9530 or this store does not know are passed over, as the RFC asks.

    Raises:
        InvalidDigest: a known algorithm with a value that is not its digest.
        DigestMismatch: the fields contradict each other, so that no body has them all.
    """
    expected: dict[str, bytes] = {}
    for name in (b"content-digest", b"repr-digest"):
        value = found.get(name)
        if value is not None:
            _expect(expected, parse_digests(value))
    value = found.get(b"content-md5")
    if value is not None:
        _expect(expected, {"md5": _raw_digest("md5", value)})
    return expected


def _expect(expected: dict[str, bytes], also: Mapping[str, bytes]) -> None:
    for algorithm, digest in also.items():
        if expected.setdefault(algorithm, digest) != digest:
            raise DigestMismatch(algorithm)


def parse_digests(value: bytes) -> dict[str, bytes]:
    """The dictionary of byte sequences of a digest field (RFC 9530 §2, RFC 8941 §3.2). Raises InvalidDigest."""
    digests: dict[str, bytes] = {}
    for item in value.split(b","):
        name, _, quoted = item.strip(b" \t").partition(b"=")
        known = _DIGEST_NAMES.get(name.strip(b" \t").decode("latin-1").lower())
        if known is None:
            continue
        sequence = quoted.partition(b";")[0].strip()
        if sequence[:1] != b":" or sequence[-1:] != b":":
            raise InvalidDigest(f"a {known} digest stands between colons, as in {known}=:BASE64:")
        digests[known] = _raw_digest(known, sequence[1:-1])
    return digests


def _raw_digest(algorithm: str, encoded: bytes) -> bytes:
    try:
        # Padding may be missing (RFC 8941 §4.2.7).
        raw = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != SIZES[algorithm]:
        raise InvalidDigest(f"a {algorithm} digest has {SIZES[algorithm]} bytes, in Base64")
    return raw


def format_digest(sha256: bytes) -> bytes:
    return b"sha-256=:" + binascii.b2a_base64(sha256, newline=False) + b":"


# Whole responses


def format_info(info: ObjectInfo) -> FieldList:
    """The fields that describe an object, those of its length and range excepted."""
    return list(_described(info))


@lru_cache(maxsize=10 * 1024)  # about 9 MiB: what is read often is described once
def _described(info: ObjectInfo) -> tuple[tuple[bytes, bytes], ...]:
    found: FieldList = [
        (b"etag", format_etag(info.etag)),
        (b"last-modified", http_date(info.modified)),
        (CREATED, format_time(info.created).encode()),
        (MODIFIED, format_time(info.modified).encode()),
        (b"accept-ranges", b"bytes"),
        *_GUARDS,
    ]
    sha256 = info.digests.get("sha-256")
    if sha256 is not None:
        found.append((b"repr-digest", format_digest(sha256)))
    attributes = info.attributes
    if attributes is not NO_ATTRIBUTES:
        found += format_attributes(attributes)
    if not attributes.content_type:
        found.append((b"content-type", DEFAULT_CONTENT_TYPE.encode()))
    return tuple(found)


def parse_info(key: str, found: Fields, size: int) -> ObjectInfo:
    """What the fields of a response tell of the object. Where none tells `created`, `modified` stands for it.

    Raises:
        BadRequest: no etag or date, so that this is no answer of an object store; or a time that is none.
    """
    etag, modified = found.get(b"etag"), parse_http_date(found.get(b"last-modified"))
    if etag is None or modified is None:
        raise BadRequest("the response has no ETag or Last-Modified: is this URL an object store?")
    if MODIFIED in found:
        modified = parse_time(found[MODIFIED].decode("latin-1"))
    digest = found.get(b"repr-digest")
    return ObjectInfo(
        key=key,
        size=size,
        etag=parse_etag(etag),
        created=parse_time(found[CREATED].decode("latin-1")) if CREATED in found else modified,
        modified=modified,
        digests=parse_digests(digest) if digest is not None else {},
        attributes=parse_attributes(found),
    )
