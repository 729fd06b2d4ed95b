"""Listing against plain sorting, grouping and cutting."""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import product
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.listing import (
    PageBuilder,
    after,
    decode_cursor,
    encode_cursor,
    group_of,
    lower_bound,
    prefix_end,
)
from objectstore.errors import InvalidCursor
from objectstore.values import ListPage, ListQuery, ObjectInfo
from strategies import INFOS, TEXT

Entry: TypeAlias = tuple[str, str]  # what it is, and its text

# Few characters, so that keys share prefixes; among them both sides of the gap of the surrogates and the last one.
LETTERS = "a/\ud7ff\ue000\U0010ffff"
SHORT = st.text(LETTERS, max_size=4)
STORES = st.lists(st.text(LETTERS, min_size=1, max_size=5), unique=True, max_size=30).map(sorted)
QUERIES = st.builds(
    ListQuery, prefix=SHORT, delimiter=st.text(LETTERS, max_size=2), start=SHORT, limit=st.integers(1, 5)
)


def _page(store: list[str], query: ListQuery) -> tuple[ListPage, int]:
    """A page as a backend makes it, by seeking, and how often it sought."""
    builder = PageBuilder(query)
    seeks = 0
    while builder.position is not None:
        seeks += 1
        at = bisect_left(store, builder.position)
        if at == len(store) or not builder.offer(store[at]):
            break
    return builder.page(), seeks


def _scanned(store: list[str], query: ListQuery) -> ListPage:
    builder = PageBuilder(query)
    for key in store:
        if not builder.offer(key):
            break
    return builder.page()


def _entries(page: ListPage) -> list[Entry]:
    return sorted([("key", key) for key in page.keys] + [("group", group) for group in page.prefixes], key=_text_of)


def _text_of(entry: Entry) -> str:
    return entry[1]


def _model(store: list[str], query: ListQuery) -> list[Entry]:
    found: list[Entry] = []
    for key in store:
        if not key.startswith(query.prefix) or key < query.start:
            continue
        head, delimiter, _ = key[len(query.prefix) :].partition(query.delimiter or "\0")
        entry = ("group", query.prefix + head + delimiter) if delimiter else ("key", key)
        if entry not in found:
            found.append(entry)
    return found


@given(STORES, QUERIES)
def test_a_page_is_the_beginning_of_what_there_is(store: list[str], query: ListQuery) -> None:
    model = _model(store, query)
    page, _ = _page(store, query)
    assert _entries(page) == model[: query.limit]
    assert (page.next_start is not None) == (len(model) > query.limit), "there is a next page when it holds something"


@given(STORES, QUERIES)
def test_a_page_costs_what_it_holds(store: list[str], query: ListQuery) -> None:
    page, seeks = _page(store, query)
    assert seeks <= len(page.keys) + len(page.prefixes) + 1


@given(STORES, QUERIES)
def test_scanning_and_seeking_find_the_same(store: list[str], query: ListQuery) -> None:
    assert _scanned(store, query) == _page(store, query)[0]


@given(STORES, QUERIES)
def test_the_pages_together_are_the_whole_listing(store: list[str], query: ListQuery) -> None:
    found: list[Entry] = []
    start: str | None = query.start
    while start is not None:
        here = ListQuery(prefix=query.prefix, delimiter=query.delimiter, start=start, limit=query.limit)
        page, _ = _page(store, here)
        found += _entries(page)
        start = page.next_start
    assert found == _model(store, query)


@given(STORES, QUERIES, st.data())
def test_a_walk_shows_nothing_twice_and_skips_nothing_that_stays(
    store: list[str], query: ListQuery, data: st.DataObject
) -> None:
    staying = set(store)
    found: list[str] = []
    start: str | None = ""
    while start is not None:
        page, _ = _page(store, ListQuery(prefix=query.prefix, start=start, limit=query.limit))
        found += page.keys
        start = page.next_start
        for gone in data.draw(st.lists(st.sampled_from(store), unique=True, max_size=3)) if store else []:
            store.remove(gone)
            staying.discard(gone)
        new = data.draw(st.text(LETTERS, min_size=1, max_size=5))
        if new not in store:
            insort(store, new)
        if len(found) > 60:
            break  # what is inserted ahead of the walk could keep it going
    assert found == sorted(set(found))
    if start is None:
        assert {key for key in staying if key.startswith(query.prefix)} <= set(found)


@given(st.lists(INFOS, max_size=6, unique_by=lambda info: info.key))
def test_details_go_with_their_keys(infos: list[ObjectInfo]) -> None:
    builder = PageBuilder(ListQuery(details=True, delimiter="/", limit=3))
    for info in sorted(infos, key=lambda info: info.key):
        builder.offer(info.key, info)
    page = builder.page()
    assert tuple(info.key for info in page.objects) == page.keys


def test_a_complete_page_takes_no_more() -> None:
    builder = PageBuilder(ListQuery(limit=1))
    assert builder.offer("a")
    assert not builder.offer("b")
    assert not builder.offer("c")
    assert builder.page() == ListPage(keys=("a",), next_start="a\0")


def test_keys_and_groups_fill_a_page_together() -> None:
    builder = PageBuilder(ListQuery(delimiter="/", limit=3))
    assert all(builder.offer(key) for key in ("a", "b/1", "c"))
    assert not builder.offer("d")
    assert builder.page() == ListPage(keys=("a", "c"), prefixes=("b/",), next_start="c\0")


def test_nothing_is_taken_after_the_end() -> None:
    builder = PageBuilder(ListQuery(prefix="a"))
    assert not builder.offer("b")
    assert builder.position is None
    assert not builder.offer("ab")
    assert builder.page() == ListPage(keys=())


def test_a_group_of_last_characters_ends_the_listing() -> None:
    last = "\U0010ffff"
    builder = PageBuilder(ListQuery(delimiter=last, limit=1))
    assert builder.offer(last + "a")
    assert builder.position is None
    assert not builder.offer(last + "b")
    assert builder.page() == ListPage(keys=(), prefixes=(last,))


def test_a_page_holds_at_least_one_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ListQuery(limit=0)


UNIVERSE = ["".join(letters) for length in range(4) for letters in product("\0a\ud7ff\ue000\U0010ffff", repeat=length)]


@pytest.mark.parametrize("prefix", UNIVERSE)
def test_the_end_of_a_prefix_parts_its_strings_from_all_later_ones(prefix: str) -> None:
    end = prefix_end(prefix)
    for text in UNIVERSE:
        inside = text >= prefix and (end is None or text < end)
        assert inside == text.startswith(prefix)


@pytest.mark.parametrize(("prefix", "end"), [("a", "b"), ("a/", "a0"), ("é", "ê"), ("\ud7ff", "\ue000")])
def test_the_end_of_a_prefix_is_the_smallest_there_is(prefix: str, end: str) -> None:
    assert prefix_end(prefix) == end


@given(TEXT)
def test_the_end_of_a_prefix_is_valid_unicode(prefix: str) -> None:
    end = prefix_end(prefix)
    assert end is None or (end.encode().decode() == end and prefix < end)


@given(TEXT, TEXT)
def test_nothing_is_between_a_key_and_what_comes_after(key: str, other: str) -> None:
    assert key < after(key)
    assert not key < other < after(key)


@given(TEXT, TEXT)
def test_the_order_of_strings_is_that_of_their_bytes(one: str, other: str) -> None:
    # What the engine, sorting bytes, and this module, comparing strings, rely on together.
    assert (one < other) == (one.encode() < other.encode())


def test_the_lower_bound_is_the_later_of_start_and_prefix() -> None:
    assert lower_bound(ListQuery(prefix="b", start="a")) == "b"
    assert lower_bound(ListQuery(prefix="b", start="bb")) == "bb"


@pytest.mark.parametrize(
    ("key", "prefix", "delimiter", "group"),
    [
        ("a/b/c", "", "/", "a/"),
        ("a/b/c", "a/", "/", "a/b/"),
        ("a/b", "a/", "/", None),
        ("a/b", "a", "/", "a/"),
        ("a//b", "a/", "/", "a//"),
        ("/a", "", "/", "/"),
        ("a", "", "/", None),
        ("a/b", "", "", None),
        ("a--b--c", "", "--", "a--"),
    ],
)
def test_a_group_ends_with_the_first_delimiter_after_the_prefix(
    key: str, prefix: str, delimiter: str, group: str | None
) -> None:
    assert group_of(key, ListQuery(prefix=prefix, delimiter=delimiter)) == group


@given(TEXT)
def test_a_cursor_brings_back_its_place(start: str) -> None:
    cursor = encode_cursor(start)
    assert decode_cursor(cursor) == start
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_cursor_may_end_with_any_letter() -> None:
    starts = [f"key {letter}" for letter in map(chr, range(1, 128))]
    cursors = [encode_cursor(start) for start in starts]
    assert [decode_cursor(cursor) for cursor in cursors] == starts
    assert len({cursor[-1] for cursor in cursors}) == 64


@given(st.text() | st.text("ABCab01-_=+/", max_size=24))
def test_rubbish_is_no_cursor(cursor: str) -> None:
    try:
        start = decode_cursor(cursor)
    except InvalidCursor:
        return
    assert not start, "only the checksum of nothing, zero, is met by chance"


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param("", id="empty"),
        pytest.param("a", id="no Base64"),
        pytest.param("AAA=", id="padded"),
        pytest.param("é", id="no ASCII"),
        pytest.param("\ud800", id="no Unicode"),
        pytest.param("AAAA", id="too short for a checksum"),
        pytest.param("AAAAAGE", id="another checksum"),
        pytest.param("_wAAAP8", id="checksum of no UTF-8"),
        pytest.param("YQ", id="a key instead of a cursor"),
    ],
)
def test_what_no_listing_gave_out_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor)


@pytest.mark.parametrize("foreign", ["!", " ", "\n", "+", "/", "="])
def test_a_cursor_holds_no_other_letters(foreign: str) -> None:
    cursor = encode_cursor("a key")
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor[:4] + foreign + cursor[4:])


@given(TEXT, st.data())
def test_a_changed_cursor_is_refused_or_means_the_same(start: str, data: st.DataObject) -> None:
    cursor = encode_cursor(start)
    at = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.sampled_from("AZaz09-_"))
    try:
        found = decode_cursor(cursor[:at] + letter + cursor[at + 1 :])
    except InvalidCursor:
        return
    assert found == start  # the unused bits of the last letter carry nothing
