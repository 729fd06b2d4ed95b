"""What a key may be."""

from __future__ import annotations

from typing import Final

from objectstore.errors import InvalidKey

MAX_KEY_SIZE: Final = 1024  # bytes of UTF-8


def check_key(key: str) -> str:
    """`key` itself, when it is one: 1 to 1024 bytes of UTF-8 without NUL. Nothing else is special in it.

    Raises:
        InvalidKey: it is not; the message says why.
    """
    if not key:
        raise InvalidKey("a key has at least one character")
    if "\0" in key:
        raise InvalidKey("a key has no NUL character")
    try:
        size = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError:
        raise InvalidKey("a key is valid Unicode, without lone surrogates") from None
    if size > MAX_KEY_SIZE:
        raise InvalidKey(f"a key has at most {MAX_KEY_SIZE} bytes of UTF-8; this one has {size}")
    return key


def decode_key(raw: bytes) -> str:
    """The key that these bytes of UTF-8 spell. Raises InvalidKey."""
    try:
        return check_key(raw.decode())
    except UnicodeDecodeError:
        raise InvalidKey("a key is valid UTF-8, percent-encoded once") from None
