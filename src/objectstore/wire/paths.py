"""Keys in URLs: percent-encoded by the client so that nothing on the way changes them, decoded once by the server."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from objectstore.core.keys import decode_key

OBJECTS: Final = "/objects"
UPLOADS: Final = "/uploads"
_OBJECTS_PREFIX: Final = b"/objects/"


def object_path(key: str) -> str:
    """The path of an object, such that libraries which tidy paths (RFC 3986 §5.2.4) leave it alone.

    A segment `.` or `..` is written with `%2E`; an empty segment stays, as doubled slashes do.
    """
    return f"{OBJECTS}/{quote_key(key)}"


def quote_key(key: str) -> str:
    """`key` percent-encoded, with `/` as it is and dot segments hidden."""
    segments = quote(key, safe="/~").split("/")
    return "/".join(segment.replace(".", "%2E") if segment in {".", ".."} else segment for segment in segments)


def key_of(raw_path: bytes) -> str:
    """The key in the raw path `/objects/{key}`, decoded once. Raises InvalidKey."""
    encoded = raw_path[len(_OBJECTS_PREFIX) :]
    return decode_key(unquote_to_bytes(encoded) if b"%" in encoded else encoded)


def unquote_key(text: str) -> str:
    """The key in a header such as `X-Copy-From`, percent-encoded like in a path. Raises InvalidKey."""
    return decode_key(unquote_to_bytes(text))
