"""Which keys a cloud's objects can be asked for under."""

from __future__ import annotations

import re
from typing import Final

from objectstore.core.keys import check_key
from objectstore.errors import InvalidKey

HIDDEN: Final = ".objectstore-bucket-"
"""Begins the names of what the store keeps for itself: parts on their way. No key begins so."""

# A folder for each upload, and none around them: it goes with its last part where folders are real.
STAGING: Final = HIDDEN + "upload-"

# What the library under us normalises away or refuses to spell in a path.
_UNSPELLABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


def reason_against(key: str) -> str | None:
    """Why no object can be held under `key`; None when one can."""
    segments = key.split("/")
    if "" in segments:
        return "an empty segment: a slash at its start, at its end, or two in a row"
    if "." in segments or ".." in segments:
        return "a segment '.' or '..'"
    if _UNSPELLABLE.search(key):
        return "a control character"
    return None


def check_holdable(key: str) -> str:
    """`key` itself, when an object can be held under it. Raises InvalidKey."""
    check_key(key)
    reason = reason_against(key)
    if reason is not None:
        raise InvalidKey(f"this store cannot hold the key {key[:80]!r}, for it has {reason}")
    return key


def is_hidden(key: str) -> bool:
    return key.startswith(HIDDEN)


def check_visible(key: str) -> str:
    """As `check_holdable`, for keys of objects that are not the store's own."""
    if is_hidden(key):
        raise InvalidKey(f"keys that start with {HIDDEN!r} are the store's own")
    return check_holdable(key)
