"""Processes that die leave the old object or the new one; those that live take turns."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from backends.racing import COUNTING, race
from backends.sqlite.sqlite_setting import TABLE, all_keys, plain, read, with_backend
from objectstore.backends.sqlite import SqliteBackend
from objectstore.values import Attributes, PutOptions

OLD = PutOptions(attributes=Attributes(content_type="text/old"))

# Is killed when it has come to the step.
DYING = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from objectstore.backends.sqlite import SqliteBackend
    from objectstore.values import Attributes, PutOptions

    path, fatal, action, size = sys.argv[1:]

    def step(name):
        if name == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main():
        async with SqliteBackend(Path(path), step=step) as backend:
            if action == "put":
                new = PutOptions(attributes=Attributes(content_type="text/new"))
                await backend.put("key", b"n" * int(size), new)
            elif action == "copy":
                await backend.copy("source", "key")
            else:
                await backend.delete("key")

    asyncio.run(main())
"""


def size_of(action: str, step: str) -> list[int]:
    return [11] if action == "delete" or step != "in_body" else [11, 5_000_000]


@pytest.mark.parametrize("logged", [True, False], ids=["log", "journal"])
@pytest.mark.parametrize(
    ("action", "step", "size"),
    [
        (action, step, size)
        for action in ("put", "copy", "delete")
        for step in ("in_body", "before_commit", "after_commit")
        if (action, step) != ("delete", "in_body")
        for size in size_of(action, step)
    ],
)
def test_a_process_that_is_killed_leaves_the_old_or_the_new(
    tmp_path: Path, action: str, step: str, size: int, *, logged: bool
) -> None:
    async def prepare(backend: SqliteBackend) -> None:
        await backend.put("key", b"o" * 3_000_000, OLD)
        await backend.put("source", b"n" * size)

    async def look(backend: SqliteBackend) -> None:
        if step == "after_commit" and action == "delete":
            assert await all_keys(backend) == ["source"]
            return
        info, data = await read(backend, "key")
        wanted = {"put": "text/new", "copy": None} if step == "after_commit" else {action: "text/old"}
        assert info.attributes.content_type == wanted[action]
        assert data == (b"n" * size if step == "after_commit" else b"o" * 3_000_000)
        assert info.digests
        await backend.put("key", b"goes on")
        await backend.check()

    path = tmp_path / "data.db"
    if not logged:
        plain(path, TABLE)
    with_backend(path, prepare)
    command = [sys.executable, "-c", textwrap.dedent(DYING), str(path), step, action, str(size)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    with_backend(path, look)
    assert plain(path, "PRAGMA integrity_check") == [("ok",)]
    # Nothing but the database: what was collected had no name.
    assert [one.name for one in tmp_path.iterdir()] == ["data.db"]


@pytest.mark.parametrize("logged", [True, False], ids=["log", "journal"])
def test_of_conditional_puts_in_two_processes_one_wins_each_time(tmp_path: Path, *, logged: bool) -> None:
    async def prepare(backend: SqliteBackend) -> None:
        await backend.put("counter", b"0")

    path = tmp_path / "data.db"
    if not logged:
        plain(path, TABLE)
    with_backend(path, prepare)
    runner = [f"SqliteBackend(Path({str(path)!r}))", "15"]
    results = race(COUNTING, runner, runner)
    assert plain(path, "SELECT CAST(data AS TEXT) FROM objects WHERE key = 'counter'") == [("60",)]
    assert sum(results) == 15
