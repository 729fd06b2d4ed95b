"""Pages of keys: bounds, groups and cursors.

Keys are ordered by their UTF-8 bytes, which for valid strings is the order of their code points and so
Python's own. A place to resume is the smallest key that may follow, as an inclusive lower bound: it does
not depend on any key still being there.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from objectstore.errors import InvalidCursor
from objectstore.values import ListPage, ListQuery, ObjectInfo

_LAST: Final = "\U0010ffff"
_BEFORE_SURROGATES: Final = "\ud7ff"
_AFTER_SURROGATES: Final = "\ue000"


def after(key: str) -> str:
    """The smallest string greater than `key`. It is not a key, since NUL is in none."""
    return key + "\0"


def prefix_end(prefix: str) -> str | None:
    """The smallest string greater than every string that starts with `prefix`; None when there is none."""
    stem = prefix.rstrip(_LAST)
    if not stem:
        return None
    last = stem[-1]
    following = _AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1)
    return stem[:-1] + following


def lower_bound(query: ListQuery) -> str:
    """The smallest key that the page may hold: one bound, since a database pays dearly for two."""
    return max(query.start, query.prefix)


def group_of(key: str, query: ListQuery) -> str | None:
    """The group that `key` belongs to: the key up to and including the first delimiter after the prefix."""
    if not query.delimiter:
        return None
    at = key.find(query.delimiter, len(query.prefix))
    return None if at < 0 else key[: at + len(query.delimiter)]


class PageBuilder:
    """Collects one page from keys offered in ascending order.

        builder = PageBuilder(query)
        while (key := next_key_from(builder.position)) is not None and builder.offer(key): ...
        return builder.page()

    `position` is the smallest key still of interest, so that whole groups can be skipped by seeking;
    it is None when nothing more can belong to the listing.
    """

    def __init__(self, query: ListQuery) -> None:
        self._query = query
        self._keys: list[str] = []
        self._objects: list[ObjectInfo] = []
        self._prefixes: list[str] = []
        self._next_start: str | None = None
        self.position: str | None = lower_bound(query)

    def offer(self, key: str, info: ObjectInfo | None = None) -> bool:
        """Take `key`, with its details if there are to be any. False: the page is complete without it.

        Keys before `position` are passed over.
        """
        if self.position is None:
            return False
        if key < self.position:
            return True
        if not key.startswith(self._query.prefix):
            # Ascending keys from the prefix on: the first one without it ends the listing.
            self.position = None
            return False
        if len(self._keys) + len(self._prefixes) >= self._query.limit:
            self._next_start = self.position
            return False
        group = group_of(key, self._query)
        if group is None:
            self._keys.append(key)
            if info is not None:
                self._objects.append(info)
            self.position = after(key)
        else:
            self._prefixes.append(group)
            self.position = prefix_end(group)
        return True

    def page(self) -> ListPage:
        return ListPage(
            keys=tuple(self._keys),
            prefixes=tuple(self._prefixes),
            objects=tuple(self._objects),
            next_start=self._next_start,
        )


def encode_cursor(start: str) -> str:
    """An opaque text for "go on at `start`", safe in a query string."""
    raw = start.encode()
    checked = binascii.crc32(raw).to_bytes(4, "big") + raw
    return base64.urlsafe_b64encode(checked).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> str:
    """The `start` that `encode_cursor` was given. Raises InvalidCursor."""
    try:
        checked = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        raw = checked[4:]
        if len(checked) < 4 or binascii.crc32(raw).to_bytes(4, "big") != checked[:4]:
            raise InvalidCursor
        return raw.decode()
    except ValueError:
        raise InvalidCursor from None
