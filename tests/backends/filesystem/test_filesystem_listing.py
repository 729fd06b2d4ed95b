"""Pages come in byte order, and touch the folders that they need."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.filesystem.filesystem_setting import HIDDEN, all_keys, with_backend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.values import ListQuery, PutOptions

_counting = [False]
_scans = [0]


def _count(event: str, _arguments: tuple[object, ...]) -> None:
    if event == "os.scandir" and _counting[0]:
        _scans[0] += 1


# A hook stays for the life of the process; it counts only while it is asked to.
sys.addaudithook(_count)


@contextmanager
def scans_at_most(limit: int) -> Iterator[None]:
    _scans[0] = 0
    _counting[0] = True
    try:
        yield
    finally:
        _counting[0] = False
    assert 0 < _scans[0] <= limit


def make_files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 folders of 8 folders of 8 folders of 3 files: 585 folders with the root."""
    root = tmp_path_factory.mktemp("forest")
    make_files(root, *forest_keys())
    return root


def forest_keys() -> list[str]:
    return [f"{a}/{b}/{c}/{d}" for a in range(8) for b in range(8) for c in range(8) for d in range(3)]


def test_a_folder_counts_with_its_slash(tmp_path: Path) -> None:
    keys = ["a!", "a!b/c", "a.txt", "a/b", "a/b.d/e", "a/b-", "a0", "aa/b", "é", "日本/x", "😀"]
    make_files(tmp_path, *keys)

    async def use(backend: FilesystemBackend) -> None:
        found = await all_keys(backend)
        assert found == sorted(keys, key=str.encode)
        for limit in (1, 2, 3):
            paged: list[str] = []
            start = ""
            while True:
                page = await backend.list(ListQuery(start=start, limit=limit))
                paged += page.keys
                if page.next_start is None:
                    break
                start = page.next_start
            assert paged == found

    with_backend(tmp_path, use)


@pytest.mark.parametrize("start", ["", "3/3", "3/3/3/1", "7/7/7/0", "5/", "50", "5/5/", "9"])
def test_a_page_looks_only_into_the_folders_of_its_keys(forest: Path, start: str) -> None:
    async def use(backend: FilesystemBackend) -> None:
        # The root, and three on the way for the key and, at most, three for the one that shows there is more.
        with scans_at_most(1 + 3 + 3):
            page = await backend.list(ListQuery(start=start, limit=1))
        assert page.keys == tuple(key for key in forest_keys() if key >= start)[:1]

    with_backend(forest, use)


def test_a_page_of_many_looks_into_each_of_their_folders_once(forest: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        # 90 keys from 30 folders on the ground, which are in 5 that are in 1 or 2.
        with scans_at_most(1 + 2 + 6 + 32):
            page = await backend.list(ListQuery(start="2/5", limit=90))
        assert page.keys == tuple(key for key in forest_keys() if key >= "2/5")[:90]

    with_backend(forest, use)


def test_what_is_outside_the_prefix_is_not_entered(forest: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        with scans_at_most(4):
            page = await backend.list(ListQuery(prefix="6/4/2/", limit=1000))
        assert page.keys == ("6/4/2/0", "6/4/2/1", "6/4/2/2")
        with scans_at_most(1):
            page = await backend.list(ListQuery(prefix="nothing/here/", limit=1000))
        assert page.keys == ()

    with_backend(forest, use)


def test_a_folder_is_a_group_without_being_walked(forest: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        # One object of each group is looked for: three folders down.
        with scans_at_most(1 + 8 * 3):
            page = await backend.list(ListQuery(delimiter="/", limit=1000))
        assert page.prefixes == tuple(f"{a}/" for a in range(8))
        with scans_at_most(2 + 8 * 2):
            page = await backend.list(ListQuery(prefix="4/", delimiter="/", limit=1000))
        assert page.prefixes == tuple(f"4/{b}/" for b in range(8))

    with_backend(forest, use)


@pytest.mark.parametrize("delimiter", ["/", "1/", "//", "2", "é", "/1/"])
@pytest.mark.parametrize("prefix", ["", "1", "1/", "1/2", "1/2/", "é"])
@pytest.mark.parametrize("start", ["", "1/2/1", "1/3", "12"])
def test_groups_are_those_of_the_keys(tmp_path: Path, delimiter: str, prefix: str, start: str) -> None:
    keys = ["0", "1/1/1/1", "1/1/2", "1/2/1", "1/2/2", "1/3", "11", "12/1/2", "2/1", "é/1", "é1/2"]
    make_files(tmp_path, *keys)
    (tmp_path / "1" / "empty" / "folders").mkdir(parents=True)
    wanted: set[str] = set()
    for key in keys:
        if key.startswith(prefix) and key >= start:
            before, found, _ = key[len(prefix) :].partition(delimiter)
            wanted.add(prefix + before + found if found else key)

    async def use(backend: FilesystemBackend) -> None:
        for limit in (1, 2, 100):
            entries: list[str] = []
            following: str | None = start
            while following is not None:
                page = await backend.list(
                    ListQuery(prefix=prefix, delimiter=delimiter, start=following, limit=limit, details=True)
                )
                assert [info.key for info in page.objects] == list(page.keys)
                entries += sorted([*page.keys, *page.prefixes])
                following = page.next_start
            assert entries == sorted(wanted)

    with_backend(tmp_path, use)


def test_names_that_are_no_keys_are_passed_over(tmp_path: Path) -> None:
    make_files(tmp_path, "good", "folder/good")
    deep = "/".join(["d" * 200] * 5) + "/"
    make_files(tmp_path, deep + "x" * 19, deep + "x" * 20)
    make_files(tmp_path, os.fsdecode(b"bad-\xff"), os.fsdecode(b"bad-folder-\xff/file"))

    async def use(backend: FilesystemBackend) -> None:
        assert await all_keys(backend) == [deep + "x" * 19, "folder/good", "good"]
        assert (await backend.list(ListQuery(delimiter="/"))).prefixes == ("d" * 200 + "/", "folder/")

    with_backend(tmp_path, use)


def test_our_own_folder_is_never_listed_whatever_is_asked_for(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        upload = await backend.uploads.begin("x", PutOptions())
        await backend.uploads.put_part(upload.upload_id, 1, b"part", PutOptions())
        for query in (
            ListQuery(),
            ListQuery(prefix="."),
            ListQuery(prefix=HIDDEN),
            ListQuery(prefix=f"{HIDDEN}/"),
            ListQuery(prefix=f"{HIDDEN}/uploads/"),
            ListQuery(start=f"{HIDDEN}/", delimiter="/"),
            ListQuery(delimiter="/"),
        ):
            page = await backend.list(query)
            assert (page.keys, page.prefixes) == ((), ())

    with_backend(tmp_path, use)


def test_listings_at_the_same_time_each_see_everything(tmp_path: Path) -> None:
    names = sorted(f"{number:04}" for number in range(900))
    make_files(tmp_path, *names)

    async def use(backend: FilesystemBackend) -> None:
        for found in await asyncio.gather(*(all_keys(backend) for _ in range(32))):
            assert found == names

    with_backend(tmp_path, use)


def test_a_folder_that_vanishes_while_it_is_listed_is_no_error(tmp_path: Path) -> None:
    make_files(tmp_path, *(f"{number:03}/file" for number in range(200)))

    async def use(backend: FilesystemBackend) -> None:
        async def remove() -> None:
            for number in range(0, 200, 2):
                await backend.delete(f"{number:03}/file")

        removing = asyncio.create_task(remove())
        while not removing.done():
            page = await backend.list(ListQuery(limit=1000, details=True))
            assert {f"{number:03}/file" for number in range(1, 200, 2)} <= set(page.keys)
        await removing

    with_backend(tmp_path, use)
