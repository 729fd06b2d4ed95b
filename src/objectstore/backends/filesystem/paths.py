"""Which keys a path can hold, and which names on disk are keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from objectstore.core.keys import MAX_KEY_SIZE
from objectstore.errors import InvalidKey

HIDDEN: Final = ".objectstore"  # our own folder in the root; no key begins with it
MAX_SEGMENT_SIZE: Final = 255  # bytes; NAME_MAX of the usual file systems, a smaller one answers ENAMETOOLONG
_RESERVED: Final = frozenset({"", ".", ".."})


def segments(store: str, key: str) -> Sequence[str]:
    """The folder names on the way to the object's file, and the name of the file.

    Raises:
        InvalidKey: no path means just this key; the message names the type of `store`.
    """
    found = key.split("/")
    for segment in found:
        if segment in _RESERVED:
            raise unholdable(store, key, f"a path has no segment {segment!r}")
        if len(segment) > MAX_SEGMENT_SIZE // 4 and len(segment.encode()) > MAX_SEGMENT_SIZE:
            raise unholdable(store, key, f"a file name has at most {MAX_SEGMENT_SIZE} bytes")
    if found[0] == HIDDEN:
        raise unholdable(store, key, f"the folder {HIDDEN} is the store's own")
    return found


def unholdable(store: str, key: str, reason: str) -> InvalidKey:
    """The error for a legal key that cannot be a file here."""
    return InvalidKey(f"{store} cannot hold the key {key!r}: {reason}")


def is_key(name: str) -> bool:
    """Whether a path found on disk, relative to the root, is a key: valid UTF-8, and not too long."""
    try:
        return len(name.encode()) <= MAX_KEY_SIZE
    except UnicodeEncodeError:
        return False


def hashed(key: str) -> str:
    """A fixed-length name for whatever belongs to the key: its sidecar, its lock, its drafts."""
    return hashlib.sha256(key.encode()).hexdigest()
