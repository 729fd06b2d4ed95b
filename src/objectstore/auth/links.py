"""Signed links: what one allows, what is signed of it, and when it holds. Plain functions of values.

A link is the path of an object with one parameter, `link=1.METHOD.EXPIRES.TOKEN.LIMITS.SIGNATURE`:

    1          the version of all this
    METHOD     GET, which allows HEAD too, or PUT
    EXPIRES    seconds since 1970; not valid from then on
    TOKEN      names the token that made it, see `mark_of`
    LIMITS     what else it is bound to: Base64 of JSON, or nothing
    SIGNATURE  HMAC-SHA256 of a name that nothing else is signed under, all of the above, and the key

The object's key is the decoded one, so it does not matter which characters of the path a client percent-encodes; the
parameter itself has none that anybody would. What is signed is the text as it came and not what was read of it, so
two texts never have one signature, and nothing is read of a text before its signature was found to hold.

The HMAC's key is made of a secret of the server and of the hash of the token. So a link ends with its token, and
whoever has read only one of the two files cannot make any.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final, cast
from urllib.parse import unquote_to_bytes

from objectstore.auth.scopes import Credential, Scope, allows, covers
from objectstore.core.attributes import check_attributes
from objectstore.errors import InvalidLink, InvalidMetadata, InvalidParameter, LinkExpired
from objectstore.values import Attributes
from objectstore.wire.links import PARAMETER, LinkMethod, check_filename

SECRET_PARAMETERS: Final = frozenset({PARAMETER})  # of query strings: who has the value may do what it allows

_VERSION: Final = "1"
_SIGNED: Final = b"objectstore signed link\0"  # goes before what is signed
_DERIVED: Final = b"objectstore key of signed links\0"  # goes before the hash of a token
_NAMED: Final = b"objectstore name of a token in signed links\0"
_MARK_SIZE: Final = 12  # bytes
_MAX_SIZE: Final = 4096  # characters of the parameter; the longest that is made has about half of them
_SCOPES: Final[dict[LinkMethod, Scope]] = {"GET": "read", "PUT": "write"}
_ALLOWED: Final[dict[LinkMethod, tuple[str, ...]]] = {"GET": ("GET", "HEAD"), "PUT": ("PUT",)}
_HEAD: Final = PARAMETER.encode() + b"="
_SHOWN_SECRET: Final = re.compile(rf"(?<=[?&])({'|'.join(sorted(SECRET_PARAMETERS))})=[^&#\s]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a link allows whoever has it.

    Raises:
        InvalidParameter: a limit that links of this method do not have, or that is none.
    """

    key: str
    method: LinkMethod
    expires: int  # seconds since 1970: not valid from then on
    max_bytes: int | None = None  # of a PUT
    content_type: str | None = None  # of a PUT
    filename: str | None = None  # that browsers save what they GET under

    def __post_init__(self) -> None:
        if self.method == "GET" and (self.max_bytes is not None or self.content_type is not None):
            raise InvalidParameter("max_bytes and content_type are for links that PUT")
        if self.method == "PUT" and self.filename is not None:
            raise InvalidParameter("filename is for links that GET")
        if self.max_bytes is not None and self.max_bytes < 0:
            raise InvalidParameter("max_bytes is a number of bytes")
        if self.content_type is not None:
            _check_content_type(self.content_type)
        if self.filename is not None:
            check_filename(self.filename)


def scope_of(method: LinkMethod) -> Scope:
    """What a token has to be allowed to, to make links of this method."""
    return _SCOPES[method]


def mark_of(digest: bytes) -> str:
    """What names a token, of which this is the hash, in its links. It tells nothing of the hash."""
    return _encode(sha256(_NAMED + digest).digest()[:_MARK_SIZE])


def signing_key(secret: bytes, digest: bytes) -> bytes:
    """The key for the links of the token with this hash, at the servers that have this secret."""
    return hmac.digest(secret, _DERIVED + digest, "sha256")


def sign(link: Link, mark: str, key: bytes) -> str:
    """The value of the parameter: letters, digits, `.`, `-` and `_`."""
    limits: dict[str, object] = {
        name: value for name in ("max_bytes", "content_type", "filename") if (value := getattr(link, name)) is not None
    }
    packed = _encode(json.dumps(limits, separators=(",", ":")).encode()) if limits else ""
    text = f"{_VERSION}.{link.method}.{link.expires}.{mark}.{packed}"
    return f"{text}.{_signature(text, link.key, key)}"


def value_in(query: bytes) -> str | None:
    """The link in a query string; None when there is none. Other parameters say nothing.

    Raises:
        InvalidLink: there are two, or it cannot be one.
    """
    # The name is only known as it is written here, as it is by those who have to hide the value.
    found = [part[len(_HEAD) :] for part in query.split(b"&") if part.startswith(_HEAD)]
    if not found:
        return None
    if len(found) > 1 or len(found[0]) > _MAX_SIZE:
        raise InvalidLink
    value = unquote_to_bytes(found[0])
    if not value.isascii():
        raise InvalidLink
    return value.decode()


def mark_in(value: str) -> str:
    """Which token is said to have made the link. Raises InvalidLink."""
    parts = value.split(".")
    if len(parts) != 6 or parts[0] != _VERSION:
        raise InvalidLink
    return parts[3]


def verify(value: str, object_key: str, key: bytes) -> Link:
    """The link that was signed with `key`. Raises InvalidLink: it was not, or not for this object."""
    text, _, signature = value.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(text, object_key, key).encode()):
        raise InvalidLink
    # From here on it is what `sign` made.
    _, method, expires, _, packed = text.split(".")
    limits = json.loads(_decode(packed)) if packed else {}
    return Link(key=object_key, method=cast("LinkMethod", method), expires=int(expires), **limits)


def admit(link: Link, method: str, maker: Credential, now: datetime) -> Credential:
    """What a request of this method may do: what the link allows, as long as its maker may.

    Raises:
        LinkExpired: it, or the token that made it, is no longer valid.
        InvalidLink: it is for another method, or its maker may no longer do this.
    """
    if method not in _ALLOWED[link.method]:
        raise InvalidLink
    scope = _SCOPES[link.method]
    if not allows(maker, scope) or not covers(maker, link.key):
        raise InvalidLink
    if now.timestamp() >= link.expires or (maker.expires is not None and now >= maker.expires):
        raise LinkExpired
    return replace(maker, scopes=frozenset({scope}), prefixes=(link.key,))


def redacted(target: str) -> str:
    """A URL, or its path and query, without what must not be in a log."""
    return _SHOWN_SECRET.sub(r"\1=…", target)


def _signature(text: str, object_key: str, key: bytes) -> str:
    # No text has a NUL, so where it ends and the key begins is plain.
    return _encode(hmac.digest(key, _SIGNED + text.encode() + b"\0" + object_key.encode(), "sha256"))


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _check_content_type(content_type: str) -> None:
    try:
        check_attributes(Attributes(content_type=content_type))
    except InvalidMetadata as error:
        raise InvalidParameter(f"content_type: {error.message}") from None
    if not content_type or len(content_type) > 255:
        raise InvalidParameter("content_type has 1 to 255 characters")
