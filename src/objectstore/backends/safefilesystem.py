"""Objects as files of one folder, each named by its key in Base32.

The name is the key's UTF-8 in Base32 (RFC 4648 §6), its padding `=` written as `_`: `a/b.txt` is `MEXWELTUPB2A____`,
so that a name has nothing that a file system could find special. Five bytes make eight characters, and a file name
has 255 at most: the longest key has 155 bytes.
"""

from __future__ import annotations

import base64
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Unpack

from objectstore.backends.filesystem import folders
from objectstore.backends.filesystem.backend import FilesystemBackend, Options
from objectstore.backends.filesystem.layout import Layout
from objectstore.backends.filesystem.paths import MAX_SEGMENT_SIZE, unholdable
from objectstore.core.keys import decode_key
from objectstore.core.listing import PageBuilder, after, group_of, prefix_end
from objectstore.errors import InvalidKey
from objectstore.values import ListPage, ListQuery, ObjectInfo

MAX_KEY_SIZE: Final = MAX_SEGMENT_SIZE // 8 * 5  # bytes of UTF-8

# Letters come before digits in Base32 and after them in ASCII. Under these other names texts are ordered as the
# bytes that they spell, padding first (as "base32hex" does it, RFC 4648 §7), and need not be decoded to be compared.
_ORDERED: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567_", "0123456789ABCDEFGHIJKLMNOPQRSTUV!")
_BEHIND: Final = "~"  # sorts after all names of keys


class SafeFilesystemBackend(FilesystemBackend):
    """Objects as files directly in `root`, under names safe everywhere; the rest is a `FilesystemBackend`'s."""

    def __init__(self, root: Path, **options: Unpack[Options]) -> None:
        super().__init__(root, layout=_Flat(), **options)


class _Flat(Layout):
    name = "SafeFilesystemStore"
    notes = (
        f"Keys have at most {MAX_KEY_SIZE} bytes, since a file name holds no more of Base32.",
        "Files put there by other programs are objects if their name is Base32, without attributes and digests.",
        "A page of a listing reads the names of all objects, since they lie in one folder.",
        "Conditions hold between all processes of this program; other programs that write files know nothing of them.",
    )

    def segments(self, key: str) -> Sequence[str]:
        name = file_name(key)
        if len(name) > MAX_SEGMENT_SIZE:
            size = len(key.encode())
            raise unholdable(self.name, key, f"it takes keys of at most {MAX_KEY_SIZE} bytes; this one has {size}")
        return [name]

    def list_page(self, root: int, query: ListQuery, describe: Callable[[str], ObjectInfo | None]) -> ListPage:
        builder = PageBuilder(query)
        start = builder.position
        while start is not None:
            found = _first(root, query, start)
            for key in found:
                info = None
                if query.details and group_of(key, query) is None:
                    info = describe(key)
                    if info is None:
                        continue
                if not builder.offer(key, info):
                    return builder.page()
            if len(found) <= query.limit or builder.position is None:
                break
            # Some have gone in the meantime, so there is room for what comes next.
            start = max(builder.position, after(found[-1]))
        return builder.page()


def file_name(key: str) -> str:
    return base64.b32encode(key.encode()).decode().replace("=", "_")


def key_of(name: str) -> str | None:
    """The key of which this is the file name; None when there is none."""
    try:
        key = decode_key(base64.b32decode(name.replace("_", "=")))
    except (ValueError, InvalidKey):
        return None
    # Bits that are left over may be set in a name that decodes all the same.
    return key if file_name(key) == name else None


def _first(root: int, query: ListQuery, start: str) -> Sequence[str]:
    """The smallest keys from `start` on that belong to the listing, one more than its limit, and one of each group.

    All names are looked at, and no more than twice as many kept.
    """
    wanted = query.limit + 1
    lowest, end = _ordered(start), prefix_end(query.prefix)
    ceiling = _BEHIND if end is None else _ordered(end)
    found: dict[str, str] = {}  # by group, or by itself
    groups = _Groups()
    for name in _names(root):
        ordered = name.translate(_ORDERED)
        if not lowest <= ordered < ceiling or ordered in groups:
            continue
        key = key_of(name)
        if key is None:
            continue
        group = group_of(key, query)
        if group is not None:
            groups.add(group)
        found[group or key] = key
        if len(found) == 2 * wanted:
            found = dict(sorted(found.items(), key=lambda one: one[1])[:wanted])
            ceiling = _ordered(next(reversed(found.values())))
    return sorted(found.values())[:wanted]


class _Groups:
    """The groups that have been found: a name within one need not be decoded."""

    def __init__(self) -> None:
        self._starts: list[str] = []
        self._ends: list[str] = []

    def __contains__(self, ordered: str) -> bool:
        at = bisect_right(self._starts, ordered)
        return at > 0 and ordered < self._ends[at - 1]

    def add(self, group: str) -> None:
        start, end = _ordered(group), prefix_end(group)
        at = bisect_right(self._starts, start)
        self._starts.insert(at, start)
        self._ends.insert(at, _BEHIND if end is None else _ordered(end))


def _ordered(text: str) -> str:
    return file_name(text).translate(_ORDERED)


def _names(root: int) -> Iterator[str]:
    with folders.opened(root, []) as folder, os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield entry.name
