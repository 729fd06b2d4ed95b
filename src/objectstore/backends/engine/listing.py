"""A page of keys from the index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from objectstore.backends.engine.index import Index
from objectstore.backends.engine.rows import info_of
from objectstore.core.listing import PageBuilder, after, lower_bound
from objectstore.values import ListPage, ListQuery, ObjectInfo

_AT_ONCE: Final = 100  # rows read before others get their turn on the loop


async def page(index: Index, query: ListQuery) -> ListPage:
    """The page that `query` asks for."""
    if query.delimiter or query.details:
        return await _walk(index, query)
    # Most listings, so without a call for each key.
    found = index.keys_from(lower_bound(query), query.limit + 1)
    if found and not found[-1].startswith(query.prefix):
        found = list(takewhile(lambda key: key.startswith(query.prefix), found))
    if len(found) <= query.limit:
        return ListPage(keys=tuple(found))
    keys = tuple(found[: query.limit])
    return ListPage(keys=keys, next_start=after(keys[-1]))


async def _walk(index: Index, query: ListQuery) -> ListPage:
    """Groups are skipped by seeking behind them; where no group comes, more rows are read at once."""
    builder = PageBuilder(query)
    asked = 1 if query.delimiter else min(query.limit + 1, _AT_ONCE)
    read = 0
    while (start := builder.position) is not None:
        if read >= _AT_ONCE:
            await asyncio.sleep(0)
            read = 0
        rows = 0
        for key, info in _from(index, query, start, asked):
            rows += 1
            if not builder.offer(key, info):
                return builder.page()
            if builder.position != after(key):
                asked = 1
                break
        else:
            if rows < asked:
                break
            asked = min(asked * 2, _AT_ONCE)
        read += rows
    return builder.page()


def _from(index: Index, query: ListQuery, start: str, limit: int) -> Iterable[tuple[str, ObjectInfo | None]]:
    if query.details:
        return [(row.key, info_of(row)) for row in index.rows_from(start, limit)]
    return [(key, None) for key in index.keys_from(start, limit)]
