"""Listings: byte order, prefixes, groups, pages."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.testing.model import entries
from objectstore.testing.suite.harness import Suite, contract, held, keys, put_all, walk
from objectstore.values import ListQuery

TREE: Final = (
    *(
        "a",
        "a!",
        "a/",
        "a/1",
        "a/2",
        "a/2/x",
        "a/2/y",
        "a/3",
        "a0",
        "a:b",
        "aa",
        "b",
        "b//c",
        "b/c",
        "b/d/e",
        "c/d/e/f",
    ),
    *("é", "é/1", "日本/東京", "日本/大阪", "~", "\ue000", "\uffff", "😀", "😀/1", "Z", "a/😀", "a/\uffff"),
)
# Deep ones first: of an object and a folder of one name, a file system holds the folder.
STOCK: Final[Mapping[str, bytes]] = {key: key.encode() for key in sorted(TREE, key=lambda key: -key.count("/"))}
PREFIXES: Final = (
    "",
    "a",
    "a/",
    "a/2",
    "a/2/",
    "b/",
    "b//",
    "é",
    "日",
    "日本/",
    "\uffff",
    "😀",
    "😀/",
    "a0",
    "no",
    "a/1x",
    "z",
)
DELIMITERS: Final = ("/", "2/", "//", "本/", "😀", "a", "no such")
LIMITS: Final = (1, 2, 3, 7, 1000)


async def _all(backend: Backend, query: ListQuery) -> list[str]:
    return [entry async for page in walk(backend, query) for entry in page]


class ListingTests(Suite):
    @contract("write", "listing")
    async def test_an_empty_store_lists_nothing(self, backend: Backend) -> None:
        page = await backend.list(ListQuery(details=True))
        assert (page.keys, page.prefixes, page.objects, page.next_start) == ((), (), (), None)

    @contract("listing", objects=STOCK)
    async def test_keys_come_in_the_order_of_their_utf_8_bytes(self, backend: Backend) -> None:
        page = await backend.list(ListQuery(limit=1000))
        assert list(page.keys) == sorted(await held(backend, TREE), key=str.encode)
        assert page.next_start is None

    @contract("listing", objects=STOCK)
    async def test_a_prefix_is_raw_characters(self, backend: Backend) -> None:
        there = await held(backend, TREE)
        for prefix, limit in product(PREFIXES, LIMITS):
            assert await keys(backend, prefix, limit=limit) == entries(there, prefix), (prefix, limit)

    @pytest.mark.parametrize("delimiter", DELIMITERS)
    @contract("listing", objects=STOCK)
    async def test_a_delimiter_groups_keys(self, backend: Backend, delimiter: str) -> None:
        there = await held(backend, TREE)
        for prefix, limit in product(PREFIXES, LIMITS):
            query = ListQuery(prefix=prefix, delimiter=delimiter, limit=limit)
            assert await _all(backend, query) == entries(there, prefix, delimiter), (prefix, limit)

    @contract("listing", objects={"a!": b"", "a/1": b"", "a/2/x": b"", "a/2/y": b"", "a/3": b"", "a0": b"", "b/1": b""})
    async def test_keys_and_groups_are_told_apart(self, backend: Backend) -> None:
        page = await backend.list(ListQuery(delimiter="/", limit=1000))
        assert page.keys == ("a!", "a0")
        assert page.prefixes == ("a/", "b/")
        page = await backend.list(ListQuery(prefix="a/", delimiter="/", limit=1000))
        assert page.keys == ("a/1", "a/3")
        assert page.prefixes == ("a/2/",)

    @contract("listing", objects=STOCK)
    async def test_a_start_is_inclusive(self, backend: Backend) -> None:
        there = await held(backend, TREE)
        for start, limit in product((*TREE, "a\0", "a/\0", "a/2/xx", "b/", "\U0010ffff"), LIMITS):
            query = ListQuery(start=start, limit=limit)
            assert await _all(backend, query) == entries(there, start=start), (start, limit)

    @contract("listing", objects=STOCK)
    async def test_a_start_within_a_group_shows_what_is_left_of_it(self, backend: Backend) -> None:
        there = await held(backend, TREE)
        for start in ("a/2/y", "b/d/e", "a/3", "b//", "b/e", "日本/東"):
            query = ListQuery(start=start, delimiter="/", limit=2)
            assert await _all(backend, query) == entries(there, delimiter="/", start=start), start

    @contract("listing", objects=STOCK)
    async def test_a_start_outside_the_prefix_does_not_widen_it(self, backend: Backend) -> None:
        there = await held(backend, TREE)
        for start, prefix in (("", "a/"), ("Z", "a/"), ("a/9", "a/2"), ("b", "a/"), ("a/2/x", "a/")):
            found = await _all(backend, ListQuery(start=start, prefix=prefix, limit=2))
            assert found == entries(there, prefix, start=start), (start, prefix)

    @pytest.mark.parametrize("limit", [1, 5, 1000])
    @contract("listing", objects=STOCK)
    async def test_details_are_the_records_of_the_keys(self, backend: Backend, limit: int) -> None:
        start: str | None = ""
        while start is not None:
            page = await backend.list(ListQuery(delimiter="/", start=start, limit=limit, details=True))
            assert tuple(info.key for info in page.objects) == page.keys
            for info in page.objects:
                assert info == await backend.head(info.key)
            start = page.next_start

    @contract("listing", objects=STOCK)
    async def test_without_details_there_are_none(self, backend: Backend) -> None:
        assert (await backend.list(ListQuery(limit=1000))).objects == ()

    @contract("listing", objects=STOCK)
    async def test_a_full_page_that_is_the_last_one_says_so(self, backend: Backend) -> None:
        there = sorted(await held(backend, TREE), key=str.encode)
        page = await backend.list(ListQuery(limit=len(there)))
        assert (len(page.keys), page.next_start) == (len(there), None)
        page = await backend.list(ListQuery(limit=len(there) - 1))
        assert page.next_start is not None
        rest = await backend.list(ListQuery(start=page.next_start))
        assert rest.keys == (there[-1],)

    @contract("listing", objects={"a": b"", "z\U0010ffff": b"", "z\U0010ffff\U0010ffff": b"", "\U0010ffff": b""})
    async def test_a_prefix_at_the_end_of_unicode_is_listed(self, backend: Backend) -> None:
        last = "\U0010ffff"
        assert await keys(backend, "z" + last) == ["z" + last, "z" + last + last]
        assert await keys(backend, last, limit=1) == [last]
        found = await _all(backend, ListQuery(delimiter=last, limit=1))
        assert found == ["a", "z" + last, last]

    @contract("listing", objects={"\ud7ff": b"", "\ud7ffa": b"", "\ue000": b"", "\ue000a": b""})
    async def test_groups_on_both_sides_of_the_surrogates_are_listed(self, backend: Backend) -> None:
        assert await keys(backend, "\ud7ff") == ["\ud7ff", "\ud7ffa"]
        found = await _all(backend, ListQuery(delimiter="\ud7ff", limit=1))
        assert found == ["\ud7ff", "\ue000", "\ue000a"]

    @contract("write", "listing")
    async def test_pages_walk_a_store_of_more_than_a_page(self, backend: Backend) -> None:
        names = sorted(f"{number % 7}/{number % 13}/{number}" for number in range(1200))
        await put_all(backend, dict.fromkeys(names, b""))
        assert await keys(backend, limit=999) == names
        assert await keys(backend, "3/", limit=17) == [name for name in names if name.startswith("3/")]
        for limit in (1, 3, 1000):
            query = ListQuery(prefix="3/", delimiter="/", limit=limit)
            assert await _all(backend, query) == entries(names, "3/", "/")

    @pytest.mark.parametrize("limit", [1, 2, 5])
    @contract("write", "delete", "listing")
    async def test_a_walk_neither_skips_nor_repeats_while_keys_come_and_go(self, backend: Backend, limit: int) -> None:
        stable = [f"k{number:02}/s" for number in range(20)]
        passing = [f"k{number:02}/p" for number in range(20)]
        for name in (*stable, *passing[::2]):
            await backend.put(name, b"")
        here, seen = set(passing[::2]), []
        async for page in walk(backend, ListQuery(limit=limit)):
            seen += page
            # Whatever was shown last goes when it may; others come before and after the place of the walk.
            for name in passing[len(seen) % 3 :: 3]:
                if name in here:
                    await backend.delete(name)
                else:
                    await backend.put(name, b"")
                here ^= {name}
        assert seen == sorted(set(seen))
        assert [name for name in seen if name.endswith("/s")] == stable

    @pytest.mark.parametrize("limit", [1, 2, 3])
    @contract("write", "delete", "listing")
    async def test_a_group_is_shown_once_while_keys_come_and_go(self, backend: Backend, limit: int) -> None:
        for number in range(8):
            await backend.put(f"g{number}/1", b"")
            await backend.put(f"g{number}x", b"")
        seen: list[str] = []
        async for page in walk(backend, ListQuery(delimiter="/", limit=limit)):
            seen += page
            for entry in page:
                if entry.endswith("/"):
                    await backend.put(entry + "9", b"")
                    await backend.delete(entry + "1")
        assert seen == [entry for number in range(8) for entry in (f"g{number}/", f"g{number}x")]

    @contract("write", "delete", "listing")
    async def test_an_emptied_group_is_not_listed(self, backend: Backend) -> None:
        await backend.put("a/b/c", b"")
        await backend.put("a/d", b"")
        await backend.delete("a/b/c")
        assert (await backend.list(ListQuery(prefix="a/", delimiter="/"))).prefixes == ()
        await backend.delete("a/d")
        page = await backend.list(ListQuery(delimiter="/"))
        assert (page.keys, page.prefixes) == ((), ())
