"""Keys in URLs: percent-encoded by the client so that nothing on the way changes them, decoded once by the server."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from objectstore.core.keys import check_key, decode_key
from objectstore.errors import InvalidKey

OBJECTS: Final = "/objects"
UPLOADS: Final = "/uploads"
_OBJECTS_PREFIX: Final = b"/objects/"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]+", re.ASCII)
_DOT_SEGMENTS: Final = re.compile(r"(?:(?:^|/)\.{1,2}(?=/|$))+/?")
_MALFORMED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def object_path(key: str) -> str:
    """The path of an object, such that libraries which tidy paths (RFC 3986 §5.2.4) leave it alone.

    Raises:
        InvalidKey: `key` is none.
    """
    return f"{OBJECTS}/{quote_key(key)}"


def quote_key(key: str) -> str:
    """`key` percent-encoded, with `/` as it is and dot segments hidden. Raises InvalidKey.

    Browsers and libraries that follow the URL standard of WHATWG take `%2E%2E` for `..`, so the slashes beside
    it are encoded too: `a/../b` is the one segment `a%2F%2E%2E%2Fb`. Only the keys `.` and `..` themselves have
    no form that such a library leaves alone. Empty segments stay, as doubled slashes do.
    """
    quoted = key if _PLAIN.fullmatch(check_key(key)) else quote(key)
    # Of keys as most are, looking costs a fraction of quoting and replacing.
    if "/." not in quoted and quoted[0] != ".":
        return quoted
    return _DOT_SEGMENTS.sub(_hidden, quoted)


def _hidden(segments: re.Match[str]) -> str:
    return segments[0].replace(".", "%2E").replace("/", "%2F")


def key_of(raw_path: bytes) -> str:
    """The key in the raw path `/objects/{key}`, decoded once. Raises InvalidKey."""
    encoded = raw_path[len(_OBJECTS_PREFIX) :]
    return _unquoted(encoded) if b"%" in encoded else decode_key(encoded)


def unquote_key(text: str) -> str:
    """The key in a header such as `X-Copy-From`, percent-encoded like in a path. Raises InvalidKey."""
    if not text.isascii():
        # Which bytes these characters were is lost, and with it which key is meant.
        raise InvalidKey("a key in a header is percent-encoded UTF-8")
    return _unquoted(text.encode())


def _unquoted(encoded: bytes) -> str:
    if _MALFORMED.search(encoded):
        raise InvalidKey("a % in a URL is followed by two hexadecimal digits; the character itself is written %25")
    return decode_key(unquote_to_bytes(encoded))
