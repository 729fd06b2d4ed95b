"""No key is mixed up with another, and none leads out of the root."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from backends.filesystem.filesystem_setting import HIDDEN, all_keys, files_under, read, with_backend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.errors import InvalidKey, NotFound
from objectstore.values import ListQuery

UNHOLDABLE = [
    *("/", "/a", "a/", "a//b", "//", "a/b/"),
    *(".", "..", "./a", "../a", "a/.", "a/..", "a/../b", "a/./b", "../../etc/passwd"),
    *(HIDDEN, f"{HIDDEN}/staging/x", f"{HIDDEN}/"),
    *("x" * 256, "a/" + "x" * 256 + "/b", "é" * 128, "x" * 1024),
]


@pytest.mark.parametrize("key", UNHOLDABLE)
def test_a_key_that_no_path_can_be_is_refused_by_name_and_reason(tmp_path: Path, key: str) -> None:
    root = tmp_path / "root"

    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a/b", b"mine")
        for refused in (
            backend.put(key, b"x"),
            backend.head(key),
            backend.delete(key),
            backend.copy(key, "b"),
            backend.copy("a/b", key),
            read(backend, key),
        ):
            with pytest.raises(InvalidKey, match=r"FilesystemStore cannot hold the key .*: "):
                await refused
        assert await all_keys(backend) == ["a/b"]

    with_backend(root, use)
    assert files_under(tmp_path) == ["root/a/b"]


@pytest.mark.parametrize(
    "key",
    ["x" * 255, "é" * 127, "a/" * 100 + "b", "...", " ", "a\\b", "\n", "*", "%2F", ".hidden/x", "a/" + HIDDEN, "\x01"],
)
def test_a_key_that_only_looks_odd_is_held(tmp_path: Path, key: str) -> None:
    async def use(backend: FilesystemBackend) -> None:
        put = await backend.put(key, b"x")
        assert await read(backend, key) == (put, b"x")
        assert await all_keys(backend) == [key]
        await backend.delete(key)

    with_backend(tmp_path, use)
    assert files_under(tmp_path) == []


def test_an_object_and_the_folder_of_others_cannot_share_a_name(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a", b"1")
        await backend.put("b/c/d", b"2")
        with pytest.raises(InvalidKey, match="a part of its path is an object"):
            await backend.put("a/b", b"x")
        with pytest.raises(InvalidKey, match="the folder of other objects"):
            await backend.put("b/c", b"x")
        for absent in ("a/b", "b/c", "b"):
            with pytest.raises(NotFound):
                await backend.head(absent)
            with pytest.raises(NotFound):
                await backend.delete(absent)
        assert await all_keys(backend) == ["a", "b/c/d"]

    with_backend(tmp_path, use)
    assert files_under(tmp_path) == ["a", "b/c/d"]


@pytest.mark.parametrize("carry", [True, False])
def test_a_refused_key_leaves_neither_folders_nor_sidecars(tmp_path: Path, *, carry: bool) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to("nowhere")

    async def use(backend: FilesystemBackend) -> None:
        with pytest.raises(InvalidKey):
            await backend.put("a/b/c/d", b"x")

    with_backend(tmp_path, use, carry_records=carry)
    assert files_under(tmp_path) == ["a/b"]


def test_folders_that_hold_nothing_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "d").mkdir(parents=True)

    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a", b"1")
        assert await all_keys(backend) == ["a"]

    with_backend(tmp_path, use)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the root, with a secret in it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return tmp_path / "outside"


def test_symbolic_links_are_neither_followed_nor_replaced(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "real").mkdir()
    (root / "real" / "file").write_bytes(b"file")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "inside").symlink_to("real")
    (root / "loop").symlink_to(".")
    (root / "dangling").symlink_to("nowhere")

    async def use(backend: FilesystemBackend) -> None:
        for key in ("folder/secret", "file", "inside/file", "loop/real/file", "dangling"):
            with pytest.raises(NotFound):
                await read(backend, key)
            with pytest.raises(NotFound):
                await backend.delete(key)
            with pytest.raises(NotFound):
                await backend.copy(key, "copy")
            with pytest.raises(InvalidKey):
                await backend.put(key, b"overwritten")
        with pytest.raises(InvalidKey):
            await backend.put("folder/new", b"new")
        assert await all_keys(backend) == ["real/file"]
        assert (await backend.list(ListQuery(delimiter="/"))).prefixes == ("real/",)

    with_backend(root, use)
    assert files_under(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert (root / "file").is_symlink()


def test_what_is_neither_file_nor_folder_is_no_object(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))

        async def use(backend: FilesystemBackend) -> None:
            assert await all_keys(backend) == []
            for key in ("pipe", "socket"):
                with pytest.raises(NotFound):
                    await read(backend, key)
                with pytest.raises(InvalidKey, match="no plain file"):
                    await backend.put(key, b"x")

        with_backend(tmp_path, use)


def test_a_folder_swapped_for_a_link_while_we_work_in_it_leads_nowhere(tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "root"
    (outside / "victim").write_bytes(b"victim")
    swaps = 0

    def swap(step: str) -> None:
        nonlocal swaps
        if step == "after_sync":
            (root / "a").rename(root / f"a{swaps}")
            (root / "a").symlink_to(outside)
            swaps += 1

    async def run() -> None:
        async with FilesystemBackend(root, step=swap) as backend:
            (root / "a").mkdir()
            (root / "a" / "victim").write_bytes(b"")
            with pytest.raises(InvalidKey):
                await backend.put("a/victim", b"overwritten")
            with pytest.raises(NotFound):
                await backend.delete("a/victim")
            with pytest.raises(NotFound):
                await read(backend, "a/secret")
            assert await all_keys(backend) == ["a0/victim"]

    asyncio.run(run())
    assert swaps == 1
    assert (outside / "victim").read_bytes() == b"victim"
    assert files_under(outside) == ["secret", "victim"]
