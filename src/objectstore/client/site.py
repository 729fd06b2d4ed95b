"""Where a store is, and what every request to it says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from objectstore.client.tracecontext import trace_fields
from objectstore.wire.headers import FieldList
from objectstore.wire.requests import Request, framing

_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
# What is stored comes as it is: a compressed answer would have another length and digest.
_COMMON: Final = ((b"accept-encoding", b"identity"), (b"user-agent", b"objectstore-python"))


@dataclass(frozen=True, slots=True)
class Site:
    """A base URL taken apart. The token is in no repr and in no message."""

    origin: str  # scheme, host and port
    prefix: str  # of every path, without a slash at its end
    _fields: FieldList = field(repr=False)

    def __str__(self) -> str:
        return self.origin + self.prefix

    def target(self, request: Request) -> str:
        return self.prefix + request.target

    def fields(self, request: Request) -> FieldList:
        return [*self._fields, *framing(request), *request.fields, *trace_fields()]


def parse_site(base_url: str, api_key: str | None) -> Site:
    """Raises ValueError: the URL or the token cannot be used; the message does not show the token."""
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("the base URL is that of a server, as in http://localhost:8000 or https://host/prefix")
    if "@" in parts.netloc:
        raise ValueError("the base URL has no user or password: give the token as api_key")
    if api_key is not None and not _TOKEN.fullmatch(api_key):
        raise ValueError("the api_key has characters that no token has: spaces, line ends or others beyond ASCII")
    # What is encoded already stays so.
    prefix = quote(parts.path, safe="/%~!$&'()*+,;=:@").rstrip("/")
    token: FieldList = [] if api_key is None else [(b"authorization", b"Bearer " + api_key.encode())]
    return Site(f"{parts.scheme}://{parts.netloc}", prefix, [*token, *_COMMON])
