"""The writer: many committed by one commit, each on its own; durable before acknowledged; cancelled without a trace."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, assert_sound, blob_files, in_child, read, stream
from objectstore.backends.engine import steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.errors import AlreadyExists, NotFound, StorageFull, Unavailable
from objectstore.values import ONLY_IF_ABSENT, ListQuery, PutOptions


class Gate:
    """A `step` that stops the writer before a commit until it is let on."""

    def __init__(self) -> None:
        self.closed = False
        self.waiting = threading.Event()
        self._open = threading.Event()

    def step(self, name: str) -> None:
        if self.closed and name == steps.BEFORE_COMMIT:
            self.waiting.set()
            self._open.wait()

    def open(self) -> None:
        self.closed = False
        self._open.set()


@asynccontextmanager
async def held_up(backend: EngineBackend, gate: Gate) -> AsyncIterator[asyncio.Task[object]]:
    """While one commit is held up, so that what is submitted meanwhile waits for the next."""
    gate.closed = True
    first: asyncio.Task[object] = asyncio.create_task(backend.put("first", SMALL))
    await asyncio.to_thread(gate.waiting.wait)
    try:
        yield first
    finally:
        gate.open()


async def _submitted(waiting: list[Awaitable[object]]) -> list[asyncio.Future[object]]:
    futures: list[asyncio.Future[object]] = [asyncio.ensure_future(one) for one in waiting]
    await asyncio.sleep(0)
    return futures


def test_what_waits_is_committed_together(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            async with held_up(backend, gate):
                waiting = await _submitted([backend.put(f"key-{number}", SMALL) for number in range(200)])
            await asyncio.gather(*waiting)
            assert backend.stats.commits == 2
            assert backend.stats.operations == 201
            assert backend.stats.largest_group == 200

    asyncio.run(run())


def test_of_a_group_each_sees_those_before_it_and_fails_alone(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        create = PutOptions(conditions=ONLY_IF_ABSENT)
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            async with held_up(backend, gate):
                waiting = await _submitted(
                    [
                        backend.put("a", b"1", create),
                        backend.put("a", b"2", create),
                        backend.copy("a", "b"),
                        backend.delete("a"),
                        backend.delete("a"),
                        backend.put("a", b"3", create),
                        backend.put("c", LARGE[:60_000]),
                        backend.put("c", b"4"),
                    ]
                )
            results = await asyncio.gather(*waiting, return_exceptions=True)
            failed = [type(one) if isinstance(one, Exception) else None for one in results]
            assert failed == [None, AlreadyExists, None, None, NotFound, None, None, None]
            assert backend.stats.commits == 2
            assert [await read(backend, key) for key in "abc"] == [b"3", b"1", b"4"]
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_what_spoils_a_transaction_fails_alone(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            async with held_up(backend, gate):
                # No key: SQLite cannot take a lone surrogate, and says so in the middle of the transaction.
                waiting = await _submitted(
                    [backend.put("good", SMALL), backend.put("bad \ud800", SMALL), backend.put("other", SMALL)]
                )
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(results[1], UnicodeEncodeError)
            assert await read(backend, "good") == await read(backend, "other") == SMALL
            assert backend.stats.commits == 3, "each of the good ones by itself"
            await backend.check()
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_a_cancelled_write_that_waits_is_not_done(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            async with held_up(backend, gate):
                small, large = await _submitted([backend.put("small", SMALL), backend.put("large", LARGE)])
                small.cancel()
                large.cancel()
            for one in (small, large):
                with pytest.raises(asyncio.CancelledError):
                    await one
            assert (await backend.list(ListQuery())).keys == ("first",)
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_a_cancelled_write_that_is_being_committed_is_waited_for(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            async with held_up(backend, gate) as first:
                first.cancel()
                await asyncio.sleep(0)
                first.cancel()
                await asyncio.sleep(0)
                assert not first.done()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await read(backend, "first") == SMALL

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 10, len(LARGE), len(HUGE)])
def test_a_body_that_fails_leaves_no_file(tmp_path: Path, size: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        async for chunk in stream(HUGE[:size]):
            yield chunk
        raise ConnectionResetError

    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            with pytest.raises(ConnectionResetError):
                await backend.put("key", body())
        assert blob_files(tmp_path / "data") == set()
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_a_refused_write_leaves_no_file(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            create = PutOptions(conditions=ONLY_IF_ABSENT)
            results = await asyncio.gather(
                *(backend.put("key", stream(HUGE), create) for _ in range(5)), return_exceptions=True
            )
            assert [type(one) for one in results].count(AlreadyExists) == 4
        assert len(blob_files(tmp_path / "data")) == 1
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_a_body_is_on_disk_before_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fdatasync, fsync, rename = os.fdatasync, os.fsync, os.rename

    def watch(fd: int, sync: Callable[[int], None]) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        calls.append(f"sync {'/'.join(path.relative_to(tmp_path).parts[1:2])}")
        sync(fd)

    def rename_watched(source: str, target: str) -> None:
        rename(source, target)
        calls.append("rename")

    monkeypatch.setattr(os, "fdatasync", lambda fd: watch(fd, fdatasync))
    monkeypatch.setattr(os, "fsync", lambda fd: watch(fd, fsync))
    monkeypatch.setattr(os, "rename", rename_watched)

    async def run() -> None:
        async with EngineBackend(tmp_path / "data", step=calls.append) as backend:
            calls.clear()
            await backend.put("key", LARGE)
            calls.append("acknowledged")
            wanted = [
                "sync staging",
                steps.AFTER_RESERVE,
                steps.AFTER_CREATE,
                steps.AFTER_WRITE,
                "sync staging",
                steps.AFTER_SYNC,
                "rename",
                steps.AFTER_RENAME,
                "sync blobs",
                steps.AFTER_FOLDER_SYNC,
                steps.BEFORE_COMMIT,
                steps.AFTER_COMMIT,
                "acknowledged",
            ]
            remaining = iter(calls)
            missing = [one for one in wanted if one not in remaining]
            assert missing == [], calls

    asyncio.run(run())


SYNCED_PUT = """
import asyncio, os, sys
from pathlib import Path
from objectstore.backends.engine.backend import EngineBackend

async def run():
    async with EngineBackend(Path(sys.argv[1]), durability=sys.argv[2]) as backend:
        await backend.put("another", b"body")
        os.access("/begin", os.F_OK)
        await backend.put("key", b"body")
        os.access("/acknowledged", os.F_OK)

asyncio.run(run())
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_the_log_is_synced_before_a_small_write_is_acknowledged(tmp_path: Path, durability: str) -> None:
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=fdatasync,fsync,access,faccessat,faccessat2", "-o", str(trace)]
    child = [sys.executable, "-c", SYNCED_PUT, str(tmp_path / "data"), durability]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("strace may not trace here")
    subprocess.run([*command, *child], check=True)
    during = trace.read_text().split('"/begin"')[1].split('"/acknowledged"')[0]
    synced = [line for line in during.splitlines() if "sync(" in line and "index.sqlite3-wal" in line]
    assert bool(synced) == (durability == "full")


def test_relaxed_durability_is_said(tmp_path: Path) -> None:
    assert EngineBackend(tmp_path, durability="relaxed").capabilities.notes != ()
    assert EngineBackend(tmp_path).capabilities.notes == ()


def test_a_write_larger_than_the_disk_takes_fails_and_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("key", SMALL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(HUGE) // 2, resource.RLIM_INFINITY))
            with pytest.raises(Unavailable):
                await backend.put("key", stream(HUGE))
            assert await read(backend, "key") == SMALL
            await backend.put("key", LARGE)

    code, _ = in_child(lambda _: asyncio.run(run()))
    assert code == 0
    assert len(blob_files(tmp_path / "data")) == 1
    assert_sound(tmp_path / "data")


def test_an_index_that_cannot_grow_fails_the_write_and_not_the_store(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("key", SMALL)
            soft = (tmp_path / "data" / "index.sqlite3-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft + 5000, resource.RLIM_INFINITY))
            with pytest.raises((Unavailable, StorageFull)):
                await backend.put("key", LARGE[:60_000])
            assert await read(backend, "key") == SMALL
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await backend.check()
            await backend.put("key", b"again")

    code, _ = in_child(lambda _: asyncio.run(run()))
    assert code == 0
    assert_sound(tmp_path / "data")


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def test_a_full_disk_is_storage_full(small_disk: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(small_disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        asyncio.run(_fill_up(small_disk / "data"))
        assert_sound(small_disk / "data")
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)


def test_a_disk_that_others_have_filled_ends_no_process(small_disk: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(small_disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")

    keys = [f"{number}" for number in range(100)]

    async def run() -> None:
        async with EngineBackend(small_disk / "data") as backend:
            for key in keys:
                await backend.put(key, SMALL)
        (small_disk / "data" / "changes").unlink()  # as in what was restored
        async with EngineBackend(small_disk / "data") as backend:
            with suppress(OSError), (small_disk / "foreign").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1024))
            for key in keys:
                # Each has a counter in memory that a file stands behind: is there room for it?
                assert await read(backend, key) == SMALL
                with suppress(StorageFull, Unavailable):
                    await backend.delete(key)

    try:
        code, _ = in_child(lambda _say: asyncio.run(run()))
        assert code == 0
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)


async def _fill_up(root: Path) -> None:
    async with EngineBackend(root) as backend:
        await backend.put("key", SMALL)
        with pytest.raises(StorageFull):
            await backend.put("key", stream(HUGE * 40))
        kept = await _put_until_full(backend)
        with pytest.raises(StorageFull):
            await backend.check()
        assert await read(backend, "key") == SMALL
        keys = (await backend.list(ListQuery(prefix="many/", limit=1000))).keys
        assert len(keys) == kept
        await backend.delete_many(keys)
        await backend.put("key", b"there is room again")


async def _put_until_full(backend: EngineBackend) -> int:
    kept = 0
    while True:
        try:
            await backend.put(f"many/{kept:03}", bytes(50_000))
        except StorageFull:
            return kept
        kept += 1


class _Failing:
    """A connection whose commits fail as they do when the disk does not sync."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, query: str, *values: Any) -> object:
        if query == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(query, *values)


def test_after_a_failed_sync_nothing_is_written_any_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("key", SMALL)
            sound = backend._writer._connection
            backend._writer._connection = _Failing(sound)  # type: ignore[assignment]  # fails on cue
            with pytest.raises(Unavailable):
                await backend.put("key", LARGE)
            backend._writer._connection = sound
            for again in (backend.put("key", LARGE), backend.check()):
                with pytest.raises(Unavailable, match="restart"):
                    await again
            assert await read(backend, "key") == SMALL
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            pass
        for refused in (
            backend.put("key", SMALL),
            backend.put("key", stream(HUGE)),
            backend.head("a"),
            backend.check(),
        ):
            with pytest.raises(Unavailable):
                await refused
        async with backend:
            await backend.put("key", LARGE)
            assert await read(backend, "key") == LARGE
        assert_sound(tmp_path / "data")

    asyncio.run(run())
