"""What is remembered of small objects is what their files hold now, whatever other programs do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.filesystem.filesystem_setting import read
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.filesystem.beneath import Opening
from objectstore.errors import NotFound

LATER = datetime(2100, 1, 1, microsecond=1, tzinfo=UTC)  # when what is written now has settled


async def remembered(backend: FilesystemBackend, key: str, body: bytes) -> None:
    await backend.put(key, body)
    assert (await read(backend, key))[1] == body
    seen = backend.tree.recall(key)
    assert seen is not None
    assert seen.data == body
    assert (await read(backend, key))[1] == body


def written_in_place(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"NEW")


def written_and_dated_back(file: Path) -> None:
    before = file.stat()
    written_in_place(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_and_dated_back(file: Path) -> None:
    before = file.stat()
    new = file.with_name("new")
    new.write_bytes(b"NEW")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(file)


@pytest.mark.parametrize("change", [written_in_place, written_and_dated_back, replaced_and_dated_back])
def test_what_another_program_wrote_is_read(tmp_path: Path, change: Callable[[Path], None]) -> None:
    async def use() -> None:
        async with FilesystemBackend(tmp_path, clock=lambda: LATER) as backend:
            await remembered(backend, "a/b", b"old")
            change(tmp_path / "a" / "b")
            assert (await read(backend, "a/b"))[1] == b"NEW"

    asyncio.run(use())


def removed(root: Path) -> None:
    (root / "a" / "b").unlink()


def moved_away_and_linked_to(root: Path) -> None:
    (root / "a").rename(root.parent / "elsewhere")
    (root / "a").symlink_to(root.parent / "elsewhere")


def made_a_link(root: Path) -> None:
    (root / "a" / "b").rename(root / "a" / "c")
    (root / "a" / "b").symlink_to("c")


@pytest.mark.parametrize("change", [removed, moved_away_and_linked_to, made_a_link])
def test_what_is_no_object_any_more_is_not_found(tmp_path: Path, change: Callable[[Path], None]) -> None:
    async def use() -> None:
        root = tmp_path / "root"
        async with FilesystemBackend(root, clock=lambda: LATER) as backend:
            await remembered(backend, "a/b", b"old")
            change(root)
            for asked in (read(backend, "a/b"), backend.head("a/b")):
                with pytest.raises(NotFound):
                    await asked

    asyncio.run(use())


def test_what_another_process_put_is_read(tmp_path: Path) -> None:
    async def use() -> None:
        async with FilesystemBackend(tmp_path, clock=lambda: LATER) as backend, FilesystemBackend(tmp_path) as other:
            await remembered(backend, "a", b"old")
            put = await other.put("a", b"new")
            assert await read(backend, "a") == (put, b"new")

    asyncio.run(use())


def test_what_may_still_change_unseen_and_what_has_no_record_is_not_remembered(tmp_path: Path) -> None:
    async def use() -> None:
        async with FilesystemBackend(tmp_path) as backend:
            await backend.put("young", b"x")
            await read(backend, "young")
            assert backend.tree.recall("young") is None
        async with FilesystemBackend(tmp_path, clock=lambda: LATER) as backend:
            (tmp_path / "foreign").write_bytes(b"x")
            await read(backend, "foreign")
            assert backend.tree.recall("foreign") is None

    asyncio.run(use())


def test_the_oldest_are_forgotten_when_there_is_no_room(tmp_path: Path) -> None:
    async def use() -> None:
        async with FilesystemBackend(tmp_path, clock=lambda: LATER) as backend:
            keys = [f"{number}" for number in range(600)]
            await asyncio.gather(*(backend.put(key, bytes(64 * 1024)) for key in keys))
            for key in keys:
                await read(backend, key)
            kept = [key for key in keys if backend.tree.recall(key) is not None]
            assert 400 < len(kept) < 512
            assert kept == keys[-len(kept) :]

    asyncio.run(use())


class Unsure(Opening):
    """A kernel that says each time that it cannot tell."""

    def _at_once(self, path: bytes) -> int:
        raise BlockingIOError(path)


@pytest.mark.parametrize("kind", [Opening, Unsure])
def test_a_file_is_opened_without_a_link_on_the_way(tmp_path: Path, kind: type[Opening]) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "é\udcff").write_bytes(b"found")
    (root / "a" / "pipe").parent.mkdir(exist_ok=True)
    os.mkfifo(root / "a" / "pipe")
    (root / "link").symlink_to("a")
    (root / "out").symlink_to("..")
    (root / "a" / "file-link").symlink_to("b/é\udcff")
    descriptor = os.open(root, os.O_RDONLY)
    try:
        opening = kind(descriptor)
        for path, expected in (("a/b/é\udcff", b"found"), ("a/pipe", b"")):
            file = opening.file(os.fsencode(path))
            assert os.read(file, 100) == expected
            os.close(file)
        for path in ("a/none", "link/b/é\udcff", "out/root/a/b/é\udcff", "a/file-link", "a/b/é\udcff/c"):
            with pytest.raises(OSError, match=r"No such file|Not a directory|Too many levels"):
                opening.file(os.fsencode(path))
    finally:
        os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux opens a whole path at once")
def test_linux_opens_at_once(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        os.close(Opening(descriptor)._at_once(b"."))
    finally:
        os.close(descriptor)
