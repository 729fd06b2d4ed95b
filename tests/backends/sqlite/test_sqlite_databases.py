"""Databases that cannot be used, that others hold, and disks that are full."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from backends.sqlite.sqlite_setting import TABLE, all_keys, plain, read, with_backend
from objectstore.backends.sqlite import SqliteBackend
from objectstore.errors import ConfigurationError, Corrupted, ObjectStoreError, Unavailable
from objectstore.values import FileSpan, Streamed

FILES = Path("/proc/self/fd")


async def opened(backend: SqliteBackend) -> None:
    raise AssertionError(f"opened {backend}")


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        (["CREATE TABLE objects (name TEXT PRIMARY KEY, body BLOB)"], "not the table that it should be"),
        (["CREATE TABLE objects (key TEXT, data BLOB)"], "not the table that it should be"),
        (["CREATE TABLE objects (key TEXT COLLATE NOCASE PRIMARY KEY, data BLOB)"], "not the table"),
        (["CREATE TABLE objects (key TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID"], "not the table"),
        (["CREATE VIEW objects AS SELECT 'a' AS key, 'b' AS data"], "not the table"),
        (["PRAGMA encoding = 'UTF-16le'", TABLE], "UTF-16le"),
    ],
)
def test_another_kind_of_database_is_refused_and_left_as_it_was(
    tmp_path: Path, statements: list[str], reason: str
) -> None:
    path = tmp_path / "data.db"
    plain(path, *statements)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=reason):
        with_backend(path, opened)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"plain text " * 1000)
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        with pytest.raises(ConfigurationError, match=f"cannot use the file .*{name}"):
            with_backend(tmp_path / name, opened)
    with pytest.raises(ConfigurationError, match="no folder"):
        with_backend(tmp_path / "missing" / "data.db", opened)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "data.db").touch()
    assert with_backend(tmp_path / "data.db", all_keys) == []


def test_who_waits_too_long_for_another_program_is_told_so_and_goes_on_later(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        await backend.put("key", b"1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for refused in (backend.put("key", b"2"), backend.delete("key"), backend.copy("key", "2"), backend.check()):
                with pytest.raises(Unavailable) as raised:
                    await refused
                assert raised.value.retry_after
            assert (await read(backend, "key"))[1] == b"1"
            other.execute("ROLLBACK")
        await backend.put("key", b"3")
        assert (await read(backend, "key"))[1] == b"3"

    path = tmp_path / "data.db"
    with_backend(path, use, timeout=0.05)


def test_a_database_that_is_held_while_it_is_opened_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    plain(path, TABLE)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable):
            with_backend(path, opened, timeout=0.05)


async def read_every(backend: SqliteBackend) -> None:
    for number in range(300):
        await read(backend, f"key/{number}")


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    async def fill(backend: SqliteBackend) -> None:
        for number in range(300):
            await backend.put(f"key/{number}", b"x" * 3000)

    async def look(backend: SqliteBackend) -> None:
        with pytest.raises(Corrupted, match="damaged"):
            await read_every(backend)

    path = tmp_path / "data.db"
    plain(path, TABLE)
    with_backend(path, fill)
    data = bytearray(path.read_bytes())
    for at in range(40 * 4096, len(data) - 8 * 4096, 4096):
        data[at : at + 64] = b"\xee" * 64
    path.write_bytes(data)
    with_backend(path, look)


@pytest.mark.parametrize("logged", [True, False])
def test_a_slow_reader_keeps_nobody_from_writing(tmp_path: Path, *, logged: bool) -> None:
    async def use(backend: SqliteBackend) -> None:
        await backend.put("key", b"1" * 2_000_000)
        async with backend.get("key") as reading:
            assert isinstance(reading.content, Streamed if logged else FileSpan)
            for _ in range(3):
                await backend.put("key", b"2" * 2_000_000)
            await backend.delete("key")
            # Another program, too.
            plain(path, "INSERT INTO objects VALUES ('key', 'theirs')")

    path = tmp_path / "data.db"
    if not logged:
        plain(path, TABLE)
    with_backend(path, use, timeout=1)


def test_many_may_open_a_new_database_at_the_same_time(tmp_path: Path) -> None:
    async def open_and_put(number: int) -> None:
        async with SqliteBackend(tmp_path / "data.db") as backend:
            await backend.put(f"k{number}", b"")

    async def run() -> None:
        await asyncio.gather(*(open_and_put(number) for number in range(12)))

    asyncio.run(run())
    assert len(with_backend(tmp_path / "data.db", all_keys)) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["data.db"]


def test_a_backend_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(SqliteBackend(tmp_path / "data.db").head("key"))


def test_no_opening_leaves_anything_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no database " * 1000)
    if not FILES.is_dir():
        pytest.skip("needs the list of open files that Linux has")
    before = len([*FILES.iterdir()])
    for _ in range(3):
        with pytest.raises(ObjectStoreError):
            with_backend(tmp_path / "file", opened)
        with_backend(tmp_path / "data.db", all_keys)
    assert len([*FILES.iterdir()]) == before


FULL = """
    import asyncio, sys
    from pathlib import Path
    from objectstore.backends.reading import read_all
    from objectstore.backends.sqlite import SqliteBackend
    from objectstore.errors import ConfigurationError, StorageFull

    root = Path(sys.argv[1])

    async def raises(error, awaitable):
        try:
            await awaitable
        except error as raised:
            assert "no room" in str(raised) and str(root) not in str(raised), raised
            return
        raise AssertionError(f"{error} was not raised")

    async def main():
        async with SqliteBackend(root / "data.db") as backend:
            old = await backend.put("key", b"old" * 100_000)
            await raises(StorageFull, backend.put("key", b"x" * 6_000_000))
            await raises(StorageFull, backend.put("key", b"x" * 2_500_000))
            try:
                for number in range(10_000):
                    await backend.put(f"small/{number}", b"x" * 20_000)
            except StorageFull:
                pass
            assert await backend.head("key") == old
            async with backend.get("key") as reading:
                assert await read_all(reading) == b"old" * 100_000

    asyncio.run(main())
"""

READ_ONLY = """
    import asyncio, subprocess, sys
    from pathlib import Path
    from objectstore.backends.sqlite import SqliteBackend
    from objectstore.errors import ConfigurationError

    root = Path(sys.argv[1])

    async def main():
        async with SqliteBackend(root / "data.db") as backend:
            await backend.put("key", b"old")
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        for name in ("data.db", "new.db"):
            try:
                async with SqliteBackend(root / name):
                    raise AssertionError("opened for writing")
            except ConfigurationError as error:
                assert "may write to" in str(error), error

    asyncio.run(main())
"""


@pytest.mark.parametrize("program", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_a_disk_that_is_full_or_read_only_is_told_and_loses_nothing(tmp_path: Path, program: str) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("needs namespaces for mounts of its own")
    script = 'mount -t tmpfs -o size=4m none "$1" && exec "$2" -W error -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
