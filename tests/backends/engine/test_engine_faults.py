"""Disks that fail, for real: what is lost is told, the rest is served, and a backup brings it back byte for byte."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import IncompleteRead
from pathlib import Path

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, assert_sound, blob_files, read
from backends.engine.test_engine_check import _change
from cli.served import invoke
from objectstore.backends.engine import backup
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.scrub import Scrub
from objectstore.backends.engine.scrubstate import ScrubFolder
from objectstore.client.sync import RestStore
from objectstore.errors import ConfigurationError, Corrupted, Unavailable
from peer import Answer, Server, running

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODIES = {"empty": b"", "large": LARGE, "small": SMALL, "zz/other": SMALL + b"!", "zz/others": HUGE}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            for key, body in BODIES.items():
                await backend.put(key, body)

    asyncio.run(fill())
    backup.take(tmp_path / "data", tmp_path / "backup", now=NOW, share=False)
    return tmp_path / "data"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


def _blob_of(root: Path, key: str) -> Path:
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection:
        ((name,),) = connection.execute("SELECT blob FROM objects WHERE key = ?", (key,))
    return root / "blobs" / str(name)[:2] / str(name)


def _large(root: Path) -> Path:
    return _blob_of(root, "large")


@dataclass(frozen=True)
class Damage:
    """What happens to a data directory, and what is told then."""

    key: str
    kind: str
    cause: Callable[[Path], object]
    served: bool = False  # nobody compares digests when reading


DAMAGES = {
    "cut": Damage("large", "wrong-size", lambda root: os.truncate(_large(root), 1000)),
    "emptied": Damage("large", "wrong-size", lambda root: os.truncate(_large(root), 0)),
    "flipped": Damage("large", "wrong-digest", lambda root: _flip(_large(root)), served=True),
    "removed": Damage("large", "missing", lambda root: _large(root).unlink()),
    "folder removed": Damage("large", "missing", lambda root: shutil.rmtree(_large(root).parent)),
    "row removed": Damage(
        "small",
        "missing",
        lambda root: _change(root, "DELETE FROM bodies WHERE seq = (SELECT seq FROM objects WHERE key = 'small')"),
    ),
    "row changed": Damage(
        "small",
        "wrong-digest",
        lambda root: _change(
            root,
            "UPDATE bodies SET data = CAST(upper(data) AS BLOB)"
            " WHERE seq = (SELECT seq FROM objects WHERE key = 'small')",
        ),
        served=True,
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_told_the_rest_is_served_and_a_backup_mends_it(root: Path, case: str) -> None:
    damage = DAMAGES[case]
    kept = root.parent / "backup"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            damage.cause(root)
            await backend.check()
            for key, body in BODIES.items():
                if key != damage.key:
                    assert await read(backend, key) == body
            if damage.served:
                assert len(await read(backend, damage.key)) == len(BODIES[damage.key])
            else:
                with pytest.raises(Corrupted, match=damage.key):
                    await read(backend, damage.key)
            (finding,) = check(root, deep=True)
            assert (finding.kind, finding.name, finding.lost) == (damage.kind, damage.key, True)
            (finding,) = check(root, deep=True, repair=True)
            assert not finding.repaired
            # While it is being served, even what is kept in memory.
            (finding,) = check(root, deep=True, repair=True, backup=kept)
            assert finding.repaired
            for key, body in BODIES.items():
                assert await read(backend, key) == body

    asyncio.run(run())
    assert_sound(root)
    assert list(check(root, deep=True)) == []


def test_what_the_backup_does_not_have_is_left_and_told(root: Path) -> None:
    async def change() -> None:
        async with EngineBackend(root) as backend:
            await backend.put("large", HUGE[:-1])
            await backend.copy("zz/others", "renamed")
            await backend.delete("zz/others")

    asyncio.run(change())
    _large(root).unlink()
    _blob_of(root, "renamed").unlink()
    data, kept = str(root), str(root.parent / "backup")
    assert invoke("check", data, "--from", kept).returncode == 2
    assert invoke("check", data, "--repair", "--from", str(root)).returncode == 2
    answer = invoke("check", data, "--repair", "--from", kept, "--json")
    assert answer.returncode == 1
    told = {found["name"]: found for found in map(json.loads, answer.stdout.splitlines())}
    assert {name: found["repaired"] for name, found in told.items()} == {"large": False, "renamed": True}
    assert "the backup has no sound body" in told["large"]["message"]


def test_a_backup_that_shares_the_damaged_file_mends_nothing(root: Path) -> None:
    shared = root.parent / "shared"
    backup.take(root, shared, now=NOW, share=True)
    _flip(_large(root))
    (finding,) = check(root, deep=True, repair=True, backup=shared)
    assert not finding.repaired


def test_a_damaged_page_of_the_index_costs_what_is_on_it(root: Path) -> None:
    async def fill() -> None:
        async with EngineBackend(root) as backend:
            for number in range(300):
                await backend.put(f"many/{number:03}", SMALL)

    asyncio.run(fill())
    backup.take(root, root.parent / "backup", now=NOW, share=False)
    index = root / "index.sqlite3"
    pages = index.read_bytes()
    at = next(at for at in range(0, len(pages), 4096) if b"many/150" in pages[at : at + 4096])
    index.write_bytes(pages[:at] + b"\xff" * 4096 + pages[at + 4096 :])

    async def serve() -> None:
        async with EngineBackend(root) as backend:
            with pytest.raises(Corrupted, match="objectstore check"):
                await read(backend, "many/150")
            assert await read(backend, "large") == LARGE
            assert await read(backend, "zz/others") == HUGE

    asyncio.run(serve())
    before = sorted(file.name for file in (root / "blobs").glob("*/*"))
    gaps = [finding.message for finding in check(root) if "cannot be listed" in finding.message]
    assert len(gaps) == 1
    after, end = (word for word in gaps[0].split("'") if word.startswith("many/"))
    assert after < "many/150" < end
    assert sorted(file.name for file in (root / "blobs").glob("*/*")) == before
    with ScrubFolder(root).scrubbing():
        assert Scrub(root).run().damaged == 1
    restored = root.parent / "restored"
    assert invoke("restore", str(root.parent / "backup"), "--data", str(restored), "--deep").returncode == 0

    async def reread() -> None:
        async with EngineBackend(restored) as backend:
            assert await read(backend, "many/150") == SMALL
            for key, body in BODIES.items():
                assert await read(backend, key) == body

    asyncio.run(reread())


def test_an_index_that_is_none_is_refused(root: Path) -> None:
    (root / "index.sqlite3").write_bytes(b"not an index" * 1000)

    async def run() -> None:
        async with EngineBackend(root):
            pass

    with pytest.raises(ConfigurationError, match="cannot be used"):
        asyncio.run(run())
    assert {finding.kind for finding in check(root)} == {"damaged-index"}


def test_a_removed_log_is_told_while_what_is_in_it_can_be_saved(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await backend.check()
            await backend.put("new", SMALL)
            (root / "index.sqlite3-wal").unlink()
            with pytest.raises(Unavailable, match="SIGTERM"):
                await backend.check()
            (root / "index.sqlite3-wal").touch()  # as whoever looks at the index makes it
            with pytest.raises(Unavailable, match="SIGTERM"):
                await backend.check()
            assert await read(backend, "new") == SMALL
            await backend.put("newer", LARGE)

    asyncio.run(run())

    async def reread() -> None:
        async with EngineBackend(root) as backend:
            await backend.check()
            for key, body in (BODIES | {"new": SMALL, "newer": LARGE}).items():
                assert await read(backend, key) == body

    asyncio.run(reread())
    assert_sound(root)


def test_too_many_open_files_fail_what_needs_one(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await backend.put("before", LARGE)  # the threads are there
            allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, allowed[1]))
            try:
                with pytest.raises(Unavailable, match="Too many open files"):
                    await read(backend, "large")
                with pytest.raises(Unavailable, match="Too many open files"):
                    await backend.put("more", LARGE)
                assert await read(backend, "small") == SMALL
                await backend.put("more", SMALL)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
            assert await read(backend, "large") == LARGE
            await backend.put("more", LARGE)

    asyncio.run(run())
    assert_sound(root)


def test_a_clock_that_jumps_loses_nothing_and_leaks_nothing(tmp_path: Path) -> None:
    now = NOW

    async def run() -> None:
        nonlocal now
        async with EngineBackend(tmp_path / "data", clock=lambda: now, grace=timedelta(minutes=1)) as backend:
            for jump in (timedelta(0), timedelta(days=9000), timedelta(days=-9000), timedelta(seconds=1)):
                now = NOW + jump
                await backend.put("key", LARGE + str(jump).encode())
                assert (await backend.head("key")).modified == now
                assert await read(backend, "key") == LARGE + str(jump).encode()
            now = NOW + timedelta(minutes=5)
            assert await backend.collect_garbage() == 3
            assert len(blob_files(tmp_path / "data")) == 1

    asyncio.run(run())
    assert_sound(tmp_path / "data")


@pytest.fixture
def failing(shim: Path, tmp_path: Path) -> Iterator[tuple[Server, Callable[..., None]]]:
    """A server whose disk fails as it is told: call, errno and part of the path, for each."""
    script = tmp_path / "fails"
    script.touch()

    def fail(*lines: str) -> None:
        new = script.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(script)

    environment = {"LD_PRELOAD": str(shim), "FAILING_DISK": str(script), "SCRUB_INTERVAL": "0"}
    with running(tmp_path, environment=environment) as server:
        yield server, fail


def test_a_server_on_a_failing_disk(failing: tuple[Server, Callable[..., None]], tmp_path: Path, shim: Path) -> None:
    server, fail = failing
    eio, quota = errno.EIO, errno.EDQUOT
    for key in ("small", "large", "other"):
        assert server.ask("PUT", f"/objects/{key}", SMALL if key == "small" else LARGE).status == 200
    large = _blob_of(tmp_path / "data", "large").name

    def served() -> None:
        assert server.ask("GET", "/objects/small").body == SMALL
        assert server.ask("GET", "/objects/other").body == LARGE

    fail(f"open {eio} {large}")
    answer = server.ask("GET", "/objects/large")
    assert (answer.status, answer.code) == (503, "unavailable")
    served()
    backup.take(tmp_path / "data", tmp_path / "backup", now=NOW, share=False)
    fail(f"read {eio} {tmp_path / 'data' / 'blobs' / large[:2] / large}")
    environment = os.environ | {"LD_PRELOAD": str(shim), "FAILING_DISK": str(tmp_path / "fails")}
    command = [sys.executable, "-m", "objectstore", "check", str(tmp_path / "data"), "--deep", "--json"]
    command += ["--repair", "--from", str(tmp_path / "backup")]
    told = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert [(one["kind"], one["name"], one["repaired"]) for one in map(json.loads, told.stdout.splitlines())] == [
        ("unreadable", "large", True)
    ]
    fail()  # what is there now is another file, elsewhere on the disk
    assert server.ask("GET", "/objects/large").body == LARGE
    for line, status in [
        (f"write {eio} /staging/", 503),
        (f"write {quota} /staging/", 507),
        (f"sync {eio} /staging/", 503),
        (f"write {errno.ENOSPC} index.sqlite3-wal", 507),
        (f"write {quota} index.sqlite3-wal", 503),  # SQLite does not tell a quota from a failing disk
    ]:
        fail(line)
        assert server.ask("PUT", "/objects/new", SMALL if "wal" in line else LARGE).status == status, line
        served()
        fail()
        assert server.ask("GET", "/objects/new").status == 404
        soon_ready(server, 200)
    # What could not be synced may be gone from memory as well, and the next sync would not say so: no second try.
    fail(f"sync {eio} index.sqlite3-wal")
    assert server.ask("PUT", "/objects/new", SMALL).status == 503
    fail()
    answer = server.ask("PUT", "/objects/new", SMALL)
    assert (answer.status, "restart" in answer.json["error"]["message"]) == (503, True)
    assert "restart" in soon_ready(server, 503).json["error"]["message"]
    served()


def soon_ready(server: Server, status: int) -> Answer:
    """What it says of itself, once the status is that; what was true a second ago may be said still."""
    deadline = time.monotonic() + 60
    while (answer := server.ask("GET", "/health/ready")).status != status:
        assert time.monotonic() < deadline, answer
    return answer


@pytest.mark.parametrize("kind", ["uvicorn", "granian"])
def test_a_read_that_fails_in_the_middle_cuts_the_answer(kind: str, shim: Path, tmp_path: Path) -> None:
    script = tmp_path / "fails"
    script.touch()
    environment = {"LD_PRELOAD": str(shim), "FAILING_DISK": str(script), "SCRUB_INTERVAL": "0"}
    with running(tmp_path, kind, environment=environment) as server:
        assert server.ask("PUT", "/objects/large", HUGE).status == 200
        assert server.ask("PUT", "/objects/other", HUGE).status == 200
        script.write_text(f"read {errno.EIO} {_blob_of(tmp_path / 'data', 'large').name} {len(HUGE) - 1000}\n")
        with pytest.raises(IncompleteRead) as cut:
            server.ask("GET", "/objects/large")
        assert HUGE.startswith(cut.value.partial)
        with RestStore.create(server.url, server.token, max_retries=0) as store, pytest.raises(Unavailable):
            store.get("large")
        assert server.ask("GET", "/objects/other").body == HUGE
        script.write_text("")
        assert server.ask("GET", "/objects/large").body == HUGE


def test_after_the_disk_failed_a_restart_finds_all_that_was_acknowledged(
    failing: tuple[Server, Callable[..., None]], tmp_path: Path
) -> None:
    server, fail = failing
    assert server.ask("PUT", "/objects/key", LARGE).status == 200
    fail(f"sync {errno.EIO} index.sqlite3-wal")
    assert server.ask("PUT", "/objects/key", SMALL).status == 503
    server.process.kill()
    server.process.wait()
    with running(tmp_path) as again:
        assert again.ask("GET", "/objects/key").body in {LARGE, SMALL}
        soon_ready(again, 200)
        assert again.ask("PUT", "/objects/key", HUGE).status == 200
    assert_sound(tmp_path / "data")
