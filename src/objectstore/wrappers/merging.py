"""Listings made of ordered ones: some of the keys of one store, or of several in one order."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from objectstore.core.listing import PageBuilder
from objectstore.values import ListPage, ListQuery, ObjectInfo

_LEAST: Final = 100  # names read at a time, so that many to be passed over do not take a request each


@dataclass(frozen=True, slots=True)
class Source:
    """An ordered listing, of which those keys count that `keeps`."""

    list: Callable[[ListQuery], Awaitable[ListPage]]
    keeps: Callable[[str], bool]


async def merged(query: ListQuery, sources: Sequence[Source]) -> ListPage:
    """One page of all the sources in order. No key is kept by two of them.

    It costs what the sources take for a page, and for the keys that are passed over; groups are skipped.
    """
    builder = PageBuilder(query)
    cursors = [_Cursor(source, query) for source in sources]
    while builder.position is not None:
        heads = [head for cursor in cursors if (head := await cursor.seek(builder.position)) is not None]
        if not heads or not builder.offer(*min(heads, key=_key)):
            break
    return builder.page()


def _key(head: tuple[str, ObjectInfo | None]) -> str:
    return head[0]


class _Cursor:
    def __init__(self, source: Source, query: ListQuery) -> None:
        self._source = source
        # Details may take the store a request each.
        limit = query.limit + 1 if query.details else max(query.limit + 1, _LEAST)
        self._query = replace(query, delimiter="", limit=limit)
        self._held: deque[tuple[str, ObjectInfo | None]] = deque()
        self._next: str | None = query.start

    async def seek(self, position: str) -> tuple[str, ObjectInfo | None] | None:
        """The first key from `position` on, which never goes back, and its details; None at the end."""
        while True:
            while self._held and self._held[0][0] < position:
                self._held.popleft()
            if self._held:
                return self._held[0]
            if self._next is None:
                return None
            page = await self._source.list(replace(self._query, start=max(self._next, position)))
            infos = page.objects or (None,) * len(page.keys)
            self._held.extend(one for one in zip(page.keys, infos, strict=True) if self._source.keeps(one[0]))
            self._next = page.next_start
