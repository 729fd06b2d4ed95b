from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from objectstore.auth.listing import cut, list_covered, within
from objectstore.auth.scopes import Credential
from objectstore.values import ListPage, ListQuery, ObjectInfo

# Few characters and long delimiters make keys, prefixes and delimiters meet in every way.
LETTERS = "ab/"
KEYS = st.frozensets(st.text(LETTERS, min_size=1, max_size=5), max_size=20)
PREFIXES = st.lists(st.text(LETTERS, max_size=3), max_size=4)
QUERIES = st.builds(
    ListQuery,
    prefix=st.text(LETTERS, max_size=3),
    delimiter=st.sampled_from(["", "/", "a", "ab", "//", "aba"]),
    start=st.text(LETTERS, max_size=4),
    limit=st.integers(1, 5),
    details=st.booleans(),
)


def bound_to(prefixes: list[str]) -> Credential:
    return Credential(name="someone", scopes=frozenset({"read"}), prefixes=tuple(prefixes))


def info(key: str) -> ObjectInfo:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    return ObjectInfo(key=key, size=len(key), etag=key, created=time, modified=time)


def listed(keys: frozenset[str], query: ListQuery) -> ListPage:
    """A page by the plainest reading of the contract: all of the listing, then the first of it."""
    items: dict[str, str] = {}  # key or group → its first key from the start on
    for key in sorted(key for key in keys if key.startswith(query.prefix) and key >= query.start):
        stem, delimiter, _ = key[len(query.prefix) :].partition(query.delimiter or "\0")
        items.setdefault(query.prefix + stem + delimiter if delimiter else key, key)
    shown = list(items)[: query.limit]
    more = len(items) > query.limit
    names = tuple(item for item in shown if item == items[item] and not _is_group(item, query))
    return ListPage(
        keys=names,
        prefixes=tuple(item for item in shown if _is_group(item, query)),
        objects=tuple(map(info, names)) if query.details else (),
        next_start=list(items.values())[query.limit] if more else None,
    )


def _is_group(item: str, query: ListQuery) -> bool:
    return query.delimiter != "" and query.delimiter in item[len(query.prefix) :]


def list_cut(keys: frozenset[str], query: ListQuery, credential: Credential) -> ListPage:
    async def backend_list(asked: ListQuery) -> ListPage:
        return listed(keys, asked)

    return asyncio.run(list_covered(backend_list, query, credential))


def covered(keys: frozenset[str], prefixes: list[str]) -> frozenset[str]:
    return frozenset(key for key in keys if any(key.startswith(prefix) for prefix in prefixes))


@settings(deadline=None, max_examples=300)
@given(KEYS, PREFIXES, QUERIES)
@example(frozenset({"a/b/x", "a/c"}), ["a/b/"], ListQuery(delimiter="/"))
@example(frozenset({"a/b/x", "a/c/x", "b"}), ["a/b/", "a/c/", "b"], ListQuery(delimiter="/", limit=1))
@example(frozenset({"xabb", "xaby", "xb"}), ["xa", "xb"], ListQuery(delimiter="ab"))
@example(frozenset({"\U0010ffffa", "\U0010ffff\U0010ffff"}), ["\U0010ffff"], ListQuery(limit=1))
@example(frozenset({"\ud7ffa", "\ue000"}), ["\ud7ff"], ListQuery(limit=1))
@example(frozenset({"a/b/1", "a/b/2", "a/b/4"}), ["a/b/"], ListQuery(delimiter="/", start="a/b/3"))
@example(frozenset({"a/b/1", "a/b/3"}), ["a/"], ListQuery(delimiter="/", start="a/b/2", prefix="a"))
@example(frozenset({"a/b/1", "a/b/3"}), ["a/"], ListQuery(delimiter="b/", start="a/b/2"))
def test_a_page_is_that_of_a_store_which_holds_nothing_else(
    keys: frozenset[str], prefixes: list[str], query: ListQuery
) -> None:
    found = list_cut(keys, query, bound_to(prefixes))
    wanted = listed(covered(keys, prefixes), query)
    assert replace(found, next_start=None) == replace(wanted, next_start=None)
    assert (found.next_start is None) == (wanted.next_start is None)


@settings(deadline=None, max_examples=300)
@given(KEYS, PREFIXES, QUERIES)
def test_the_pages_together_are_the_listing(keys: frozenset[str], prefixes: list[str], query: ListQuery) -> None:
    pages = [list_cut(keys, query, bound_to(prefixes))]
    while (start := pages[-1].next_start) is not None:
        pages.append(list_cut(keys, replace(query, start=start), bound_to(prefixes)))
    whole = listed(covered(keys, prefixes), replace(query, limit=1000))
    assert tuple(key for page in pages for key in page.keys) == whole.keys
    assert tuple(group for page in pages for group in page.prefixes) == whole.prefixes


@given(PREFIXES, QUERIES)
def test_no_query_reaches_outside_the_prefixes(prefixes: list[str], query: ListQuery) -> None:
    credential = bound_to(prefixes)
    steps = cut(query, credential)
    asked = next(steps, None)
    while asked is not None:
        assert asked.prefix.startswith(query.prefix)
        assert asked.prefix.startswith(credential.prefixes)
        try:
            asked = steps.send(ListPage(keys=()))
        except StopIteration:
            asked = None


def test_a_listing_that_is_covered_as_a_whole_is_the_backends_own() -> None:
    query = ListQuery(prefix="a/b", delimiter="/", limit=7)
    steps = cut(query, bound_to(["a/"]))
    assert next(steps) is query


def test_a_group_around_a_prefix_costs_one_key() -> None:
    steps = cut(ListQuery(delimiter="/", limit=1000), bound_to(["a/b/"]))
    assert next(steps) == ListQuery(prefix="a/b/", start="a/b/", limit=1)


def test_a_listing_apart_from_all_prefixes_asks_nothing_and_is_empty() -> None:
    async def untouched(asked: ListQuery) -> ListPage:
        raise AssertionError(asked)

    assert asyncio.run(list_covered(untouched, ListQuery(prefix="c"), bound_to(["a", "b"]))) == ListPage(keys=())


def test_an_empty_page_with_more_to_come_is_followed() -> None:
    pages = iter([ListPage(keys=(), next_start="a/m"), ListPage(keys=("a/z",))])
    asked: list[str] = []

    async def filtering(query: ListQuery) -> ListPage:
        asked.append(query.start)
        return next(pages)

    assert asyncio.run(list_covered(filtering, ListQuery(), bound_to(["a/"]))).keys == ("a/z",)
    assert asked == ["a/", "a/m"]


def test_what_a_prefix_covers_of_a_listing_is_in_key_order() -> None:
    credential = bound_to(["b/x", "a/", "b/"])
    assert within("", credential) == ("a/", "b/")
    assert within("b/xy", credential) == ("b/xy",)
    assert within("c", credential) == ()
