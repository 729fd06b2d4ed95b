"""Files named by Base32: what lies there by the rule opens, and what we write keeps to the rule."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from objectstore.backends.reading import read_all
from objectstore.backends.safefilesystem import SafeFilesystemBackend
from objectstore.core.listing import after
from objectstore.errors import InvalidKey
from objectstore.values import Attributes, ListPage, ListQuery, PutOptions

T = TypeVar("T")

# Of each remainder by five, with what a path, a URL or a shell would mind, and with all that sorts oddly in Base32.
KEYS = (
    "a",
    "ab",
    "abc",
    "abcd",
    "abcde",
    "a/b",
    "a//b",
    "../up",
    "/",
    ".",
    "é",
    "日本語",
    "😀",
    "\uffff",
    "\x01",
    "~~~",
)


def rule(key: str) -> str:
    return base64.b32encode(key.encode()).decode().replace("=", "_")


def with_backend(root: Path, use: Callable[[SafeFilesystemBackend], Awaitable[T]]) -> T:
    async def run() -> T:
        async with SafeFilesystemBackend(root) as backend:
            return await use(backend)

    return asyncio.run(run())


async def read(backend: SafeFilesystemBackend, key: str) -> bytes:
    async with backend.get(key) as reading:
        return await read_all(reading)


def test_existing_data_opens_and_is_listed(tmp_path: Path) -> None:
    async def use(backend: SafeFilesystemBackend) -> None:
        assert (await backend.list(ListQuery())).keys == tuple(sorted(KEYS, key=str.encode))
        for key in KEYS:
            assert await read(backend, key) == key.encode()

    assert rule("a/b.txt") == "MEXWELTUPB2A____"
    for key in KEYS:
        (tmp_path / rule(key)).write_bytes(key.encode())
    with_backend(tmp_path, use)


def test_what_is_written_lies_by_the_rule(tmp_path: Path) -> None:
    async def use(backend: SafeFilesystemBackend) -> None:
        for key in KEYS:
            await backend.put(key, key.encode(), PutOptions(attributes=Attributes(content_type="text/plain")))

    with_backend(tmp_path, use)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert files == {rule(key): key.encode() for key in KEYS}


def test_names_that_spell_no_key_are_passed_over(tmp_path: Path) -> None:
    async def use(backend: SafeFilesystemBackend) -> ListPage:
        return await backend.list(ListQuery())

    for name in (
        *("README.md", "me______", "ME", "ME=====", "MF______x", "MEXWELTUPB2A___"),
        "MF______",  # as "ME______", with a bit set that is left over
        "77777777",  # no UTF-8
        "AA______",  # NUL
        "________",
        base64.b32encode(b"\xed\xa0\x80").decode().replace("=", "_"),  # a lone surrogate
    ):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / rule("folder")).mkdir()
    (tmp_path / rule("link")).symlink_to("README.md")
    (tmp_path / rule("key")).write_bytes(b"")
    assert with_backend(tmp_path, use).keys == ("key",)


def test_the_longest_key_fills_a_file_name(tmp_path: Path) -> None:
    async def use(backend: SafeFilesystemBackend) -> None:
        await backend.put("k" * 155, b"1")
        for key in ("k" * 156, "é" * 78):
            with pytest.raises(InvalidKey, match="keys of at most 155 bytes; this one has 156"):
                await backend.put(key, b"1")
            with pytest.raises(InvalidKey):
                await backend.head(key)

    with_backend(tmp_path, use)
    assert [len(path.name) for path in tmp_path.iterdir() if path.is_file()] == [248]


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "ß"])
def test_pages_are_in_the_order_of_keys_not_of_names(tmp_path: Path, prefix: str, delimiter: str, limit: int) -> None:
    drawn = random.Random(1)  # noqa: S311  test data
    keys = {"".join(drawn.choices("aAzZ019/~ß\x01\x7f", k=drawn.randint(1, 6))) for _ in range(400)}
    for key in keys:
        (tmp_path / rule(key)).write_bytes(b"")
    wanted: set[str] = set()
    for key in keys:
        if key.startswith(prefix):
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            wanted.add(prefix + head + found if found else key)

    async def use(backend: SafeFilesystemBackend) -> list[str]:
        seen: list[str] = []
        start: str | None = ""
        while start is not None:
            page = await backend.list(ListQuery(prefix=prefix, delimiter=delimiter, start=start, limit=limit))
            seen += sorted((*page.keys, *page.prefixes))
            start = page.next_start
        return seen

    assert with_backend(tmp_path, use) == sorted(wanted, key=str.encode)


def test_a_page_is_filled_with_what_follows_when_files_go_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(backend: SafeFilesystemBackend) -> None:
        look = backend._look
        monkeypatch.setattr(backend, "_look", lambda key: None if key < "k6" else look(key))
        page = await backend.list(ListQuery(limit=2, details=True))
        assert (page.keys, page.next_start) == (("k6", "k7"), after("k7"))

    for number in range(10):
        (tmp_path / rule(f"k{number}")).write_bytes(b"")
    with_backend(tmp_path, use)
