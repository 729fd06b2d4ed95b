"""Pages of keys out of what a service lists."""

from __future__ import annotations

from typing import Final

from objectstore.backends.cloud.keys import HIDDEN, is_hidden, reason_against
from objectstore.backends.cloud.medium import Medium
from objectstore.core.listing import PageBuilder, after, group_of, prefix_end
from objectstore.values import ListPage, ListQuery

_BEHIND_HIDDEN: Final = prefix_end(HIDDEN) or ""


async def page_of(medium: Medium, query: ListQuery, base: str = "") -> ListPage:
    """The page, without details, of what lies under `base` in the bucket as if that were all."""
    builder = PageBuilder(query)
    asked, following = None, ""
    while builder.position is not None:
        # Groups move the position ahead of the names seen; names that are not shown leave it behind them.
        start = following if builder.position == asked else max(builder.position, following)
        asked = builder.position
        grouped = query.delimiter == "/" and not _is_within_group(query, start)
        found = await medium.list(base + query.prefix, base + start, grouped=grouped, limit=query.limit)
        for name in found.names:
            if _is_shown(name, base, grouped=grouped) and not builder.offer(name[len(base) :]):
                return builder.page()
        if not found.more or not found.names:
            break
        following = _after(found.names[-1], base, grouped=grouped)
    return builder.page()


def _is_within_group(query: ListQuery, start: str) -> bool:
    # What is left of a group is found key by key: services differ in what of it they tell.
    return start.startswith(query.prefix) and group_of(start, query) is not None


def _is_shown(name: str, base: str, *, grouped: bool) -> bool:
    if not base and is_hidden(name):
        return False
    # What cannot be asked for is not told of.
    return reason_against(name.removesuffix("/") if grouped else name) is None


def _after(name: str, base: str, *, grouped: bool) -> str:
    if not base and is_hidden(name):
        return _BEHIND_HIDDEN
    inner = name[len(base) :]
    return (prefix_end(inner) or inner) if grouped and inner.endswith("/") else after(inner)
