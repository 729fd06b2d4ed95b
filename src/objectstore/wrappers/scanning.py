"""Listings of mappings that do not keep the order of keys: all names are read, and the first ones kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.core.listing import PageBuilder, group_of, lower_bound
from objectstore.errors import NotFound
from objectstore.values import ListPage, ListQuery, ObjectInfo

READS_ALL_NAMES: Final = "Every page of a listing reads all names{within}: keys are not kept in their order."
_PAGE: Final = 1000  # names read at a time
_AT_ONCE: Final = 16  # details asked for at the same time


async def scanned(
    inner: Backend,
    query: ListQuery,
    *,
    within: str,
    outside: Callable[[str], str | None],
    head: Callable[[str], Awaitable[ObjectInfo]],
) -> ListPage:
    """One page of the keys that `outside` gives for the inner keys with the prefix `within`.

    Memory is that of a page. `head` gives the details, of the keys of the page only; an object that goes
    before they are asked for is left out.
    """
    first = _First(query)
    start: str | None = ""
    while start is not None:
        page = await inner.list(ListQuery(prefix=within, start=start, limit=_PAGE))
        for inner_key in page.keys:
            if (key := outside(inner_key)) is not None:
                first.offer(key)
        start = page.next_start
        if start is not None:
            # A store in memory answers without a pause, and a million names are not to hold up everyone else.
            await asyncio.sleep(0)
    builder = PageBuilder(query)
    for key in first.keys():
        builder.offer(key)
    found = builder.page()
    return await _detailed(found, head) if query.details else found


class _First:
    """Of keys offered in any order, one for each of the first entries of a page, and for one entry more."""

    def __init__(self, query: ListQuery) -> None:
        self._query = query
        self._lower = lower_bound(query)
        self._wanted = query.limit + 1
        self._room = max(2 * self._wanted, _PAGE)
        self._keys: dict[str, str] = {}  # a key of each entry, which is the key itself or its group
        self._last: str | None = None  # when it is known that nothing behind it is wanted

    def offer(self, key: str) -> None:
        if key < self._lower or not key.startswith(self._query.prefix):
            return
        entry = group_of(key, self._query) or key
        if self._last is not None and entry > self._last:
            return
        self._keys[entry] = key
        if len(self._keys) > self._room:
            self._keys = self._kept()
            self._last = next(reversed(self._keys))

    def keys(self) -> Sequence[str]:
        """In order: keys of a group have no other entry between them."""
        return tuple(self._kept().values())

    def _kept(self) -> dict[str, str]:
        return {entry: self._keys[entry] for entry in sorted(self._keys)[: self._wanted]}


async def _detailed(page: ListPage, head: Callable[[str], Awaitable[ObjectInfo]]) -> ListPage:
    infos: list[ObjectInfo] = []
    for at in range(0, len(page.keys), _AT_ONCE):
        asked = (head(key) for key in page.keys[at : at + _AT_ONCE])
        # All come to their end before the first error is raised: none is left behind.
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, ObjectInfo):
                infos.append(outcome)
            elif not isinstance(outcome, NotFound):
                raise outcome
    return replace(page, keys=tuple(info.key for info in infos), objects=tuple(infos))
