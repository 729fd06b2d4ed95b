"""Signed links on the wire: asking for one, what is answered, and the header that names a download."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import quote

from objectstore.core.keys import check_key
from objectstore.errors import InvalidParameter
from objectstore.wire.records import JSON, dump, parse_time
from objectstore.wire.requests import Request

LINKS: Final = "/links"
PARAMETER: Final = "link"  # of the query string
LinkMethod: TypeAlias = Literal["GET", "PUT"]
DEFAULT_LIFETIME: Final = 3600  # seconds

_MAX_FILENAME: Final = 255  # bytes, as file systems have it
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PLAIN: Final = re.compile(r"[ !#$&+\-.0-9A-Z^_`a-z{}~()\[\],;=@']+")  # what every browser reads alike in quotes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLink:
    """A link, which works without a token until it expires. As a text it is its URL."""

    url: str
    method: LinkMethod
    key: str
    expires: datetime  # aware, UTC

    def __str__(self) -> str:
        return self.url


def sign_link(
    key: str,
    *,
    expires: float | timedelta,
    method: LinkMethod,
    max_bytes: int | None,
    content_type: str | None,
    filename: str | None,
) -> Request:
    """Ask for a link. Raises InvalidParameter: one that links do not have."""
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    if method not in get_args(LinkMethod):
        raise InvalidParameter(f"a link is for GET or PUT, not {method!r}")
    lifetime = expires.total_seconds() if isinstance(expires, timedelta) else expires
    if not 0 < lifetime < math.inf:
        raise InvalidParameter("a link expires in more than 0 seconds")
    told: dict[str, object] = {"key": check_key(key), "method": method, "expires_in": math.ceil(lifetime)}
    limits = {"max_bytes": max_bytes, "content_type": content_type, "filename": filename}
    told |= {name: value for name, value in limits.items() if value is not None}
    return Request("POST", LINKS, [(b"content-type", JSON)], dump(told), key)


def parse_link(body: bytes, base: str) -> SignedLink:
    """The link that was answered, below the URL `base` of the server unless it has one for the public.

    Raises KeyError, TypeError, ValueError or BadRequest when it is no such answer.
    """
    told: Mapping[str, Any] = json.loads(body)
    method: LinkMethod = "PUT" if told["method"] == "PUT" else "GET"
    url = told["url"] if told["public"] else base + told["path"]
    return SignedLink(url=url, method=method, key=told["key"], expires=parse_time(told["expires_at"]))


def check_filename(name: str) -> str:
    """`name` itself, when a download may be called that. Raises InvalidParameter."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidParameter("the filename is not valid Unicode") from None
    if not 0 < size <= _MAX_FILENAME:
        raise InvalidParameter(f"the filename has 1 to {_MAX_FILENAME} bytes of UTF-8")
    if _CONTROL.search(name) or "/" in name or "\\" in name or name in {".", ".."} or name != name.strip():
        raise InvalidParameter("the filename has no slashes, control characters, or white space at its ends")
    return name


def attachment(name: str) -> bytes:
    """The Content-Disposition of a download that is to be saved as `name` (RFC 6266 §4, RFC 8187)."""
    if _PLAIN.fullmatch(name):
        return b'attachment; filename="' + name.encode() + b'"'
    # For those that do not know the second form; they are told something harmless of the same ending.
    fallback = "".join(char if _PLAIN.fullmatch(char) else "_" for char in name)
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}".encode()
