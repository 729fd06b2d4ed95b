"""Processes that are killed while they add an entry leave the archive as it was, or with the entry."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from backends.racing import race
from backends.zip.zip_setting import all_keys, read, with_backend
from objectstore.backends.zip import ZipBackend
from objectstore.errors import AlreadyExists
from objectstore.values import ONLY_IF_ABSENT, PutOptions

# Is killed when it has come to the step for the nth time.
DYING = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from objectstore.backends.zip import ZipBackend

    path, fatal, times = sys.argv[1:]
    left = int(times)

    def step(name):
        global left
        left -= name == fatal
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        async with ZipBackend(Path(path), step=step) as backend:
            await backend.put("new", b"n" * 600_000)

    asyncio.run(main())
"""


def die(path: Path, step: str, times: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(DYING), str(path), step, str(times)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL


def prepare(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"old/{number:02}", b"o" * 5000)
        archive.comment = b"a comment"


OLD = [f"old/{number:02}" for number in range(20)]


@pytest.mark.parametrize(
    ("step", "times", "there"),
    [
        ("after_journal", 1, False),
        # The header, the blocks of the body, the directory: each just written.
        ("in_body", 1, False),
        ("in_body", 2, False),
        ("in_body", 4, False),
        ("after_body", 1, False),
        ("in_body", 5, False),
        ("after_sync", 1, False),
        ("after_removal", 1, True),
    ],
)
def test_a_process_that_is_killed_leaves_a_whole_archive(tmp_path: Path, step: str, times: int, *, there: bool) -> None:
    async def look(backend: ZipBackend) -> None:
        assert await all_keys(backend) == (["new", *OLD] if there else OLD)
        for key in OLD:
            assert (await read(backend, key))[1] == b"o" * 5000
        if not there:
            await backend.put("new", b"n" * 600_000)

    path = tmp_path / "archive.zip"
    prepare(path)
    before = path.read_bytes()
    die(path, step, times)
    if not there:
        assert Path(f"{path}.journal").exists()
        # Whoever opens it first puts it right.
        with_backend(path, all_keys)
        assert path.read_bytes() == before
    with_backend(path, look)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment == b"a comment"
        assert archive.namelist() == [*OLD, "new"]
    assert [one.name for one in tmp_path.iterdir()] == ["archive.zip"]


def test_a_process_that_has_it_open_puts_right_what_another_left(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        die(path, "after_body", 1)
        await backend.put("ours", b"1")
        assert await all_keys(backend) == [*OLD, "ours"]

    path = tmp_path / "archive.zip"
    prepare(path)
    with_backend(path, use)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [*OLD, "ours"]


def test_a_journal_that_is_not_whole_or_of_another_archive_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    journal = Path(f"{path}.journal")
    prepare(path)
    die(path, "after_journal", 1)
    whole = journal.read_bytes()
    before = path.read_bytes()
    for left in (b"", whole[:50], whole[:-1], b"x" + whole[1:]):
        journal.write_bytes(left)
        assert with_backend(path, all_keys) == OLD
        assert path.read_bytes() == before
        assert not journal.exists()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("another", b"x" * 200_000)
    journal.write_bytes(whole)
    assert with_backend(path, all_keys) == ["another"]


def test_a_process_that_is_killed_making_the_archive_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "archive.zip").touch()
    assert with_backend(tmp_path / "archive.zip", all_keys) == []


# Adds entries of its own, and such as the other one wants as well.
ADDING = """
    import asyncio, sys
    from pathlib import Path
    from objectstore.backends.zip import ZipBackend
    from objectstore.errors import AlreadyExists
    from objectstore.values import ONLY_IF_ABSENT, PutOptions

    async def main():
        created = 0
        async with ZipBackend(Path(sys.argv[1])) as backend:
            print("ready", flush=True)
            sys.stdin.readline()
            for number in range(10):
                await asyncio.gather(*(backend.put(f"{sys.argv[2]}/{number}/{part}", b"x" * 999) for part in range(3)))
                try:
                    await backend.put(f"new/{number}", b"", PutOptions(conditions=ONLY_IF_ABSENT))
                    created += 1
                except AlreadyExists:
                    pass
        print(created)

    asyncio.run(main())
"""


def test_two_processes_add_to_one_archive(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    results = race(textwrap.dedent(ADDING), [str(path), "one"], [str(path), "two"])
    assert sum(results) == 10
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert len(names) == len(set(names)) == 2 * 30 + 10


def test_those_that_wait_are_added_together_and_each_is_told(tmp_path: Path) -> None:
    steps: list[str] = []

    async def run() -> None:
        async with ZipBackend(tmp_path / "archive.zip", step=steps.append) as backend:
            create = PutOptions(conditions=ONLY_IF_ABSENT)
            puts = [backend.put(f"k{number % 10}", b"x" * number, create) for number in range(20)]
            results = await asyncio.gather(*puts, return_exceptions=True)
            assert sum(isinstance(one, AlreadyExists) for one in results) == 10
            assert len(await all_keys(backend)) == 10

    asyncio.run(run())
    assert steps.count("after_sync") < 10


FULL = """
    import asyncio, sys, zipfile
    from pathlib import Path
    from objectstore.backends.zip import ZipBackend
    from objectstore.errors import MethodNotAllowed, StorageFull
    import subprocess

    root = Path(sys.argv[1])

    async def raises(error, awaitable):
        try:
            await awaitable
        except error as raised:
            assert str(root) not in str(raised), raised
            return
        raise AssertionError(f"{error} was not raised")

    async def main():
        path = root / "archive.zip"
        async with ZipBackend(path) as backend:
            await backend.put("old", b"o" * 1_000_000)
            before = path.read_bytes()
            # No room to collect it, and no room beside what was collected.
            await raises(StorageFull, backend.put("new", b"x" * 4_000_000))
            await raises(StorageFull, backend.put("new", b"x" * 1_800_000))
            assert path.read_bytes() == before
            await backend.put("small", b"x" * 100_000)
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        async with ZipBackend(path) as backend:
            assert (await backend.head("small")).size == 100_000
            await backend.check()
            await raises(MethodNotAllowed, backend.put("new", b""))
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == ["old", "small"] and archive.testzip() is None

    asyncio.run(main())
"""


def test_a_disk_that_is_full_or_read_only_is_told_and_loses_nothing(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("needs namespaces for mounts of its own")
    script = 'mount -t tmpfs -o size=4m none "$1" && exec "$2" -W error -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, textwrap.dedent(FULL)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
