"""One listing of several children: each key once, in order, and only those that can be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from objectstore.core.listing import lower_bound
from objectstore.errors import ObjectStoreError
from objectstore.values import ListPage, ListQuery, ObjectInfo
from objectstore.wrappers.mirroring.child import Child
from objectstore.wrappers.mirroring.marks import BEHIND, RESERVED, is_reserved

_AT_ONCE = 100  # keys of a group that are looked at together


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key or group, on the first child that lists it."""

    name: str
    child: Child
    group: bool
    info: ObjectInfo | None


async def list_children(children: Sequence[Child], query: ListQuery) -> ListPage:
    """The page of the objects that a mirror of `children` holds.

    Raises:
        Unavailable: a child does not answer, so keys that it alone has would be left out.
    """
    found: list[_Entry] = []
    next_start = None
    async for entry in _live(children, query):
        if len(found) == query.limit:
            next_start = entry.name
            break
        found.append(entry)
    return ListPage(
        keys=tuple(entry.name for entry in found if not entry.group),
        prefixes=tuple(entry.name for entry in found if entry.group),
        objects=tuple(entry.info for entry in found if entry.info is not None),
        next_start=next_start,
    )


async def _live(children: Sequence[Child], query: ListQuery) -> AsyncIterator[_Entry]:
    start: str | None = lower_bound(query)
    while start is not None:
        # One more than fits, to see at once whether there are more.
        asked = replace(query, start=start, limit=query.limit + 1)
        pages = await asyncio.gather(*(_page(child, asked) for child in children))
        # Up to where the shortest page goes, every child has told all that it has.
        bound = min((page.next_start for page in pages if page.next_start is not None), default=None)
        merged = _merged(children, pages)
        for name in sorted(merged):
            if (bound is None or name < bound) and await _can_be_read(merged[name], query):
                yield await _told(merged[name])
        start = None if bound is None else _beyond_reserved(bound)


async def _page(child: Child, query: ListQuery) -> ListPage:
    try:
        return await child.backend.list(query)
    except ObjectStoreError as error:
        raise child.told(error, "without it the listing could be short of keys") from error


def _merged(children: Sequence[Child], pages: Sequence[ListPage]) -> Mapping[str, _Entry]:
    merged: dict[str, _Entry] = {}
    for child, page in zip(children, pages, strict=True):
        infos = page.objects or (None,) * len(page.keys)
        for key, info in zip(page.keys, infos, strict=True):
            merged.setdefault(key, _Entry(key, child, group=False, info=info))
        for group in page.prefixes:
            merged.setdefault(group, _Entry(group, child, group=True, info=None))
    return merged


async def _told(entry: _Entry) -> _Entry:
    return entry if entry.info is None else replace(entry, info=await entry.child.outer(entry.info))


async def _can_be_read(entry: _Entry, query: ListQuery) -> bool:
    if not entry.group:
        return not is_reserved(entry.name) and not await _is_gone(entry.child, entry.name)
    if is_reserved(entry.name):
        return False
    if entry.child.first and not RESERVED.startswith(entry.name):
        return True
    return await _holds_any(entry.child, entry.name, query.start)


async def _is_gone(child: Child, key: str) -> bool:
    """Whether `key`, which no child before this one has, is what a deletion has left over."""
    if child.first:
        return False
    found = await child.mark(key)
    return found is not None and found[0].deleting


async def _holds_any(child: Child, group: str, from_: str) -> bool:
    """Whether there is a key in the group that can be read."""
    start: str | None = max(group, from_)
    while start is not None:
        page = await child.backend.list(ListQuery(prefix=group, start=start, limit=_AT_ONCE))
        for key in page.keys:
            if not is_reserved(key) and not await _is_gone(child, key):
                return True
        start = None if page.next_start is None else _beyond_reserved(page.next_start)
    return False


def _beyond_reserved(start: str) -> str:
    return BEHIND if is_reserved(start) else start
