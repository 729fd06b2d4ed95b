"""Listings cut to the prefixes of a credential: page for page what a store holding nothing else would list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import replace
from typing import TypeAlias

from objectstore.auth.scopes import Credential
from objectstore.core.listing import PageBuilder, group_of, prefix_end
from objectstore.values import ListPage, ListQuery, ObjectInfo

Steps: TypeAlias = Generator[ListQuery, ListPage, ListPage]
"""Yields the query to carry out next, is sent its page, returns the page for the caller."""


def within(prefix: str, credential: Credential) -> tuple[str, ...]:
    """The prefixes of all keys that start with `prefix` and are covered: disjoint, in key order."""
    if prefix.startswith(credential.prefixes):
        return (prefix,)
    return tuple(bound for bound in credential.prefixes if bound.startswith(prefix))


def cut(query: ListQuery, credential: Credential) -> Steps:
    """The steps of one listing page that shows covered keys and groups of covered keys only.

    Cursors go on as in any listing: they are lower bounds, and a made-up one opens nothing. A page costs
    one query, and one more for each prefix of the credential that it crosses.
    """
    bounds = within(query.prefix, credential)
    if bounds == (query.prefix,):
        return (yield query)
    builder = PageBuilder(query)
    for bound in bounds:
        resume: str | None = bound
        while resume is not None and (wanted := _next_query(query, bound, resume, builder)) is not None:
            page = yield wanted
            if not all(builder.offer(key, info) for key, info in _items(page, wanted.start)):
                return builder.page()
            resume = page.next_start
    return builder.page()


async def list_covered(
    backend_list: Callable[[ListQuery], Awaitable[ListPage]], query: ListQuery, credential: Credential
) -> ListPage:
    """Carry out `cut` with the `list` of a backend."""
    steps = cut(query, credential)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(await backend_list(wanted))
    except StopIteration as done:
        page: ListPage = done.value
        return page


def _next_query(query: ListQuery, bound: str, resume: str, builder: PageBuilder) -> ListQuery | None:
    end = prefix_end(bound)
    if builder.position is None or (end is not None and builder.position >= end):
        return None
    start = max(builder.position, resume)
    if group_of(bound, query) is not None:
        # The bound reaches past the delimiter: one key of it, whichever, proves the group to be there.
        return ListQuery(prefix=bound, start=start, limit=1)
    sofar = builder.page()
    # One more than there is room for: it tells whether another page follows.
    return replace(query, prefix=bound, start=start, limit=query.limit - len(sofar.keys) - len(sofar.prefixes) + 1)


def _items(page: ListPage, start: str) -> list[tuple[str, ObjectInfo | None]]:
    """Keys, and for each group a string that falls into it, in ascending order."""
    objects = page.objects or (None,) * len(page.keys)
    # A group that `start` falls into comes before it; `start` itself stands for it then.
    groups = ((max(group, start), None) for group in page.prefixes)
    return sorted([*zip(page.keys, objects, strict=True), *groups], key=lambda item: item[0])
