"""A page of keys in order, from a database that has none.

Redis tells its keys in the order of their hashes, and other programs may add some at any moment without a word to
us: an index of ours would miss them. So a page takes a pass over the names of the database, of which only those
are held that may still be on the page. Keys that are there all along are met by every pass (Redis promises it).
"""

from __future__ import annotations

import heapq
import re
from typing import Final

from objectstore.backends.redis.scripts import NAMES
from objectstore.backends.redis.server import Server
from objectstore.core.keys import decode_key
from objectstore.core.listing import PageBuilder, group_of, lower_bound
from objectstore.errors import InvalidKey
from objectstore.values import ListPage, ListQuery

_COUNT: Final = 2000  # names looked at between two commands of others
_BEHIND: Final = b"\xff"  # no UTF-8 begins with it
_SPECIAL: Final = re.compile(rb"([*?\[\]\\])")


async def list_keys(server: Server, space: bytes, query: ListQuery) -> ListPage:
    """The page of the strings whose names begin with `space`, told without it; no details."""
    found = _Smallest(query)
    pattern = _SPECIAL.sub(rb"\\\1", space + query.prefix.encode()) + b"*"
    cursor, names = await server.run(NAMES, (), 0, pattern, _COUNT, space)
    while True:
        found.offer(names)
        if cursor == b"0":
            break
        cursor, names = await server.run(NAMES, (), cursor, pattern, _COUNT, space)
    builder = PageBuilder(query)
    for key in found.ascending():
        if not builder.offer(key):
            break
    return builder.page()


class _Smallest:
    """The smallest entries of a page, and one more, of keys offered in any order and perhaps twice."""

    def __init__(self, query: ListQuery) -> None:
        self._query = query
        # Bytes of UTF-8 have the order of the keys: most names are passed over before they are looked at closely.
        self._least = lower_bound(query).encode()
        self._above = _BEHIND  # from here on there are enough
        self._wanted = query.limit + 1
        self._keys: dict[str, str] = {}  # entry (a key, or a group) to the smallest of its keys

    def offer(self, names: bytes) -> None:
        least, above = self._least, self._above
        for name in names.split(b"\0"):
            if least <= name < above:
                self._take(name)
        if len(self._keys) >= 2 * self._wanted:
            self._prune()

    def ascending(self) -> list[str]:
        return sorted(self._keys.values())

    def _take(self, name: bytes) -> None:
        try:
            key = decode_key(name)
        except InvalidKey:
            return  # another program's name that is no key
        entry = group_of(key, self._query) or key
        self._keys[entry] = min(key, self._keys.get(entry, key))

    def _prune(self) -> None:
        kept = heapq.nsmallest(self._wanted, self._keys.items(), key=lambda one: one[1])
        self._above = kept[-1][1].encode()
        self._keys = dict(kept)
