"""Files named by a hash: what lies there by the rule can be used by key, and what we write can be listed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import PIPE, Popen, run
from typing import TypeVar

import pytest

from objectstore.backends.hashdir import HashdirBackend
from objectstore.backends.reading import read_all
from objectstore.errors import ConfigurationError, Corrupted, NotFound
from objectstore.values import Attributes, Conditions, ListQuery, PutOptions

T = TypeVar("T")


def rule(root: Path, key: str, width: int = 2, depth: int = 3) -> Path:
    digits = hashlib.sha256(key.encode()).hexdigest()
    path = root
    for _ in range(depth):
        path, digits = path / digits[:width], digits[width:]
    return path / digits


def place(root: Path, key: str, data: bytes) -> None:
    path = rule(root, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def with_backend(root: Path, use: Callable[[HashdirBackend], Awaitable[T]], *, width: int = 2, depth: int = 3) -> T:
    async def running() -> T:
        async with HashdirBackend(root, width=width, depth=depth) as backend:
            return await use(backend)

    return asyncio.run(running())


async def read(backend: HashdirBackend, key: str) -> bytes:
    async with backend.get(key) as reading:
        return await read_all(reading)


async def keys(backend: HashdirBackend, prefix: str = "", delimiter: str = "") -> list[str]:
    page = await backend.list(ListQuery(prefix=prefix, delimiter=delimiter, limit=1000))
    return [*page.keys, *page.prefixes]


def test_existing_data_is_read_overwritten_and_deleted_by_key(tmp_path: Path) -> None:
    async def use(backend: HashdirBackend) -> None:
        assert await keys(backend) == []
        assert await read(backend, "a/b.txt") == b"theirs"
        assert (await backend.head("../up")).size == 2
        before = await backend.head("a/b.txt")
        await backend.put("a/b.txt", b"ours", PutOptions(conditions=Conditions(if_match=(before.etag,))))
        await backend.delete("../up")
        assert await keys(backend) == ["a/b.txt"]

    place(tmp_path, "a/b.txt", b"theirs")
    place(tmp_path, "../up", b"up")
    with_backend(tmp_path, use)
    assert rule(tmp_path, "a/b.txt").read_bytes() == b"ours"
    assert not rule(tmp_path, "../up").exists()


@pytest.mark.parametrize(("width", "depth"), [(2, 3), (1, 1), (3, 2), (63, 1), (1, 63)])
def test_what_is_written_lies_by_the_rule(tmp_path: Path, width: int, depth: int) -> None:
    async def use(backend: HashdirBackend) -> None:
        await backend.put("a/b.txt", b"1")
        await backend.put("😀", b"2")

    digits = hashlib.sha256(b"a/b.txt").hexdigest()
    assert rule(tmp_path, "a/b.txt") == tmp_path / digits[:2] / digits[2:4] / digits[4:6] / digits[6:]
    with_backend(tmp_path, use, width=width, depth=depth)
    found = {
        path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and ".objectstore" not in str(path)
    }
    assert found == {rule(tmp_path, "a/b.txt", width, depth): b"1", rule(tmp_path, "😀", width, depth): b"2"}


@pytest.mark.parametrize(("width", "depth"), [(0, 3), (2, 0), (-1, 3), (2, 32), (64, 1), (1, 64)])
def test_cuts_that_leave_no_file_name_are_refused(tmp_path: Path, width: int, depth: int) -> None:
    with pytest.raises(ConfigurationError, match=f"width={width} and depth={depth} .* below 64"):
        HashdirBackend(tmp_path, width=width, depth=depth)


def test_what_other_programs_do_to_files_is_seen_by_listings(tmp_path: Path) -> None:
    async def use(backend: HashdirBackend) -> None:
        for key in ("a/1", "a/2", "b/1", "c"):
            await backend.put(key, b"ours", PutOptions(attributes=Attributes(content_type="text/plain")))
        rule(tmp_path, "a/1").unlink()
        rule(tmp_path, "b/1").unlink()
        rule(tmp_path, "c").write_bytes(b"edited by them")
        assert await keys(backend) == ["a/2", "c"]
        assert await keys(backend, delimiter="/") == ["c", "a/"]
        assert await keys(backend, prefix="b/") == []
        page = await backend.list(ListQuery(details=True))
        assert [(info.size, info.attributes.content_type) for info in page.objects] == [(4, "text/plain"), (14, None)]
        # Back again: its key has been known all along.
        place(tmp_path, "b/1", b"theirs")
        assert await keys(backend) == ["a/2", "b/1", "c"]

    with_backend(tmp_path, use)


def test_a_listing_outlives_the_process_and_forgets_what_is_deleted(tmp_path: Path) -> None:
    async def fill(backend: HashdirBackend) -> None:
        for number in range(30):
            await backend.put(f"k/{number:02}", b"")
        await backend.delete_many([f"k/{number:02}" for number in range(0, 30, 2)])

    async def look(backend: HashdirBackend) -> list[str]:
        return await keys(backend)

    with_backend(tmp_path, fill)
    assert with_backend(tmp_path, look) == [f"k/{number:02}" for number in range(1, 30, 2)]


# Dies without a word when it has come to the step.
DYING = """
    import asyncio, os, sys
    from pathlib import Path
    from objectstore.backends.hashdir import HashdirBackend

    root, fatal, action = sys.argv[1:]

    async def main():
        step = lambda name: os._exit(77) if name == fatal else None
        async with HashdirBackend(Path(root), step=step) as backend:
            await (backend.put("key", b"new!") if action == "put" else backend.delete("key"))

    asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("action", "step", "there"),
    [
        ("put", "after_write", False),
        ("put", "after_sync", False),
        ("put", "after_rename", True),
        ("put", "after_folder_sync", True),
        ("delete", "after_unlink", False),
        ("delete", "after_folder_sync", False),
    ],
)
def test_a_process_that_dies_leaves_a_listing_that_agrees_with_the_files(
    tmp_path: Path, action: str, step: str, *, there: bool
) -> None:
    async def prepare(backend: HashdirBackend) -> None:
        await backend.put("other", b"")
        if action == "delete":
            await backend.put("key", b"old!")

    async def look(backend: HashdirBackend) -> None:
        assert await keys(backend) == (["key", "other"] if there else ["other"])
        if there:
            assert await read(backend, "key") == b"new!"
        else:
            with pytest.raises(NotFound):
                await backend.head("key")

    with_backend(tmp_path, prepare)
    command = [sys.executable, "-c", textwrap.dedent(DYING), os.fspath(tmp_path), step, action]
    assert run(command, check=False, timeout=60).returncode == 77
    with_backend(tmp_path, look)


def test_an_index_that_is_damaged_is_told_when_it_is_opened(tmp_path: Path) -> None:
    async def use(backend: HashdirBackend) -> None:
        await backend.put("key", b"1")

    with_backend(tmp_path, use)
    (tmp_path / ".objectstore" / "keys.sqlite3").write_bytes(b"no database " * 1000)
    with pytest.raises(Corrupted, match="database of HashdirStore is damaged"):
        with_backend(tmp_path, use)
    # It may be removed: what is lost is the listing.
    (tmp_path / ".objectstore" / "keys.sqlite3").unlink()
    with_backend(tmp_path, use)


# Writes and deletes keys of its own and such as the other one writes as well.
WRITING = """
    import asyncio, sys
    from pathlib import Path
    from objectstore.backends.hashdir import HashdirBackend

    async def main():
        async with HashdirBackend(Path(sys.argv[1])) as backend:
            print("ready", flush=True)
            sys.stdin.readline()
            for number in range(15):
                await asyncio.gather(backend.put(f"{sys.argv[2]}/{number:02}", b""), backend.put(f"both/{number}", b""))
                await asyncio.gather(backend.delete(f"{sys.argv[2]}/{number:02}"), backend.put("key", b""))
                await backend.put(f"{sys.argv[2]}/{number:02}", b"")

    asyncio.run(main())
"""


def test_two_processes_write_to_one_root_and_all_of_it_is_listed(tmp_path: Path) -> None:
    async def look(backend: HashdirBackend) -> list[str]:
        return await keys(backend)

    writing = [
        Popen(
            [sys.executable, "-c", textwrap.dedent(WRITING), os.fspath(tmp_path), name],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for one in writing:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in writing:
        one.communicate("go\n", timeout=60)
        assert one.returncode == 0
    own = [f"{name}/{number:02}" for name in ("one", "two") for number in range(15)]
    assert with_backend(tmp_path, look) == sorted([*own, *(f"both/{number}" for number in range(15)), "key"])
