"""What the fields of an answer tell of the object in it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import httpx2

from objectstore.core.attributes import check_attributes
from objectstore.errors import BadRequest, InternalError, InvalidMetadata
from objectstore.values import NO_ATTRIBUTES, Attributes, ObjectInfo
from objectstore.wire.headers import parse_http_date
from objectstore.wire.ranges import parse_content_range

# Etags of our making are not sent to a server: it would not know them.
OURS: Final = "http-"
_STRONG: Final = re.compile(r'"([\x21\x23-\x7e\x80-\xff]+)"')
_DIGITS: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `stop` (end exclusive) of an object of `size` bytes."""

    start: int
    stop: int
    size: int


def read_span(response: httpx2.Response) -> Span | None:
    """What the body carries; None when its length is not told. Raises InternalError: it cannot be read."""
    if response.status_code == 206:
        try:
            return Span(*parse_content_range(response.headers.get("content-range", "").encode("latin-1")))
        except BadRequest as error:
            raise InternalError(f"{response.url.host} answered with parts that it does not name") from error
    length = response.headers.get("content-length", "")
    if not _DIGITS.fullmatch(length) or "transfer-encoding" in response.headers:
        return None
    return Span(0, int(length), int(length))


def read_info(key: str, response: httpx2.Response, size: int, now: datetime) -> ObjectInfo:
    """The object of `size` bytes. What the server does not tell is made up such that nothing is mixed up."""
    modified = parse_http_date(response.headers.get("last-modified", "").encode("latin-1"))
    return ObjectInfo(
        key=key,
        size=size,
        etag=_etag(response, size, modified),
        created=modified or now,
        modified=modified or now,
        attributes=_attributes(response),
    )


def unsatisfied_size(response: httpx2.Response) -> int | None:
    """The size that a 416 tells."""
    size = response.headers.get("content-range", "").removeprefix("bytes */")
    return int(size) if _DIGITS.fullmatch(size) else None


def _etag(response: httpx2.Response, size: int, modified: datetime | None) -> str:
    given = response.headers.get("etag", "").strip()
    strong = _STRONG.fullmatch(given)
    if strong is not None:
        return strong[1]
    weak = _STRONG.fullmatch(given.removeprefix("W/"))
    if weak is not None:
        # Two versions may share it, though hardly of one size.
        return f"{OURS}{size:x}-{weak[1]}"
    if modified is not None:
        return f"{OURS}{size:x}-{int(modified.replace(tzinfo=UTC).timestamp()):x}"
    # Nothing tells versions apart: no two answers are taken for the same one.
    return OURS + secrets.token_hex(8)


def _attributes(response: httpx2.Response) -> Attributes:
    headers = response.headers
    try:
        return check_attributes(
            Attributes(
                content_type=headers.get("content-type"),
                content_encoding=headers.get("content-encoding"),
                content_disposition=headers.get("content-disposition"),
                content_language=headers.get("content-language"),
                cache_control=headers.get("cache-control"),
            )
        )
    except InvalidMetadata:
        return NO_ATTRIBUTES  # a field that could not travel on is no reason to refuse the bytes
