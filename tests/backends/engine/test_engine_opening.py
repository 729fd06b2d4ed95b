"""Opening and closing the engine, and whether it is ready: what is made, in which order, and what is let go of."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.engine.scenes import in_child, read
from backends.engine.test_engine_facade import LARGE, SMALL, behind_its_back, files, opened
from objectstore.backends.engine import backend as module
from objectstore.backends.engine import highwater, schema, steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.failures import LOG_REMOVED
from objectstore.backends.engine.turns import Turns
from objectstore.errors import ConfigurationError, StorageFull, Unavailable
from objectstore.values import Capabilities


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths


async def opens(root: Path, **settings: Any) -> None:
    async with opened(root, **settings):
        pass


def refusal(root: Path, **settings: Any) -> str:
    """Why it is not opened; nothing of it stays open."""
    before = descriptors()
    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(opens(root, **settings))
    assert descriptors() == before
    assert list((root / "data/staging").glob("*")) == []
    return refused.value.message


def test_what_it_can_is_said_before_it_is_opened(tmp_path: Path) -> None:
    assert EngineBackend(tmp_path).capabilities == Capabilities(name="EngineStore", quotas=True)
    relaxed = EngineBackend(tmp_path, durability="relaxed")
    assert relaxed.capabilities.notes == (
        "durability is relaxed: a power cut may lose or damage what was written in the last moments",
    )
    assert (relaxed.capabilities.name, relaxed.capabilities.quotas) == ("EngineStore", True)
    assert list(tmp_path.iterdir()) == []


def test_it_is_durable_and_tells_the_time_unless_told_otherwise(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            assert backend.durability == "full"
            before = datetime.now(UTC)
            info = await backend.put("small", bytes(64 * 1024))
            assert before - timedelta(seconds=1) < info.modified <= datetime.now(UTC)
            assert files(tmp_path) == []
            await backend.put("large", bytes(64 * 1024 + 1))
            assert len(files(tmp_path)) == 1
            await backend.delete("large")
            assert await backend.collect_garbage() == 0

    asyncio.run(run())


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("relaxed", 1)])
def test_the_index_is_synced_as_the_durability_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: str, synchronous: int
) -> None:
    async def run() -> None:
        async with opened(tmp_path, durability=durability) as backend:
            assert backend._writer._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
            assert backend._reading.execute("PRAGMA query_only").fetchone() == (1,)
            await backend.put("key", SMALL)

    asyncio.run(run())
    mark = tmp_path / "data/highwater"
    assert highwater.mark(mark) == 1
    (tmp_path / "boot").write_text("0123456789abcdef")
    monkeypatch.setattr(highwater, "_BOOT_ID", tmp_path / "boot")
    # What is relaxed is not known to have survived the end of the system.
    assert highwater.mark(mark) == (1 if durability == "full" else 0)


def test_a_first_opening_makes_one_thing_after_the_other(tmp_path: Path) -> None:
    root = tmp_path / "data"
    seen: dict[str, list[str]] = {}

    def step(name: str) -> None:
        seen.setdefault(name, sorted(path.name for path in root.iterdir()))

    asyncio.run(opens(tmp_path, step=step))
    assert seen[steps.AFTER_FORMAT] == ["FORMAT"]
    assert seen[steps.AFTER_INDEX] == ["FORMAT", "index.sqlite3", "staging"]
    assert sorted(path.name for path in root.iterdir()) == [
        *("FORMAT", "blobs", "changes", "highwater", "index.sqlite3", "staging"),
    ]


@pytest.mark.parametrize("at", [steps.AFTER_FORMAT, steps.AFTER_INDEX])
def test_a_first_opening_that_was_cut_short_is_made_good(tmp_path: Path, at: str) -> None:
    def stop(name: str) -> None:
        if name == at:
            raise KeyboardInterrupt

    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", LARGE)
            assert await read(backend, "key") == LARGE

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(opens(tmp_path, step=stop))
    asyncio.run(run())


def test_what_is_open_is_let_go_of(tmp_path: Path) -> None:
    before, threads = descriptors(), set(threading.enumerate())

    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", LARGE)
        assert list((tmp_path / "data/staging").iterdir()) == []
        ours = set(threading.enumerate()) - threads
        assert not [one for one in ours if one.name.startswith("objectstore")]
        # The last one to close moves the log into the index.
        assert not (tmp_path / "data/index.sqlite3-wal").exists()
        with pytest.raises(Unavailable, match="the store is closed"):
            await backend.put("key", SMALL)

    asyncio.run(run())
    assert descriptors() == before
    assert set(threading.enumerate()) <= threads


def test_two_may_have_it_open(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as one, opened(tmp_path) as other:
            await one.put("key", SMALL)
            for body in (b"1", b"2", b"3"):
                assert (await other.head("key")).size
                await one.put("key", body)
                assert await read(other, "key") == body
                await other.put("key", LARGE)
                assert await read(one, "key") == LARGE

    asyncio.run(run())


# What is not opened


def test_an_older_sqlite_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = (*sqlite3.sqlite_version_info[:2], sqlite3.sqlite_version_info[2] + 1)
    monkeypatch.setattr(schema, "OLDEST_SQLITE", newer)
    assert refusal(tmp_path) == (
        f"the engine needs SQLite {'.'.join(map(str, newer))} or newer; this is {sqlite3.sqlite_version}"
    )
    assert not (tmp_path / "data").exists()
    monkeypatch.setattr(schema, "OLDEST_SQLITE", sqlite3.sqlite_version_info)
    asyncio.run(opens(tmp_path))


def test_an_index_that_ends_too_early_is_left_alone(tmp_path: Path) -> None:
    asyncio.run(opens(tmp_path))
    highwater.accept(tmp_path / "data/highwater", 7)
    dead = tmp_path / "data/staging/dead"
    dead.mkdir()
    with pytest.raises(ConfigurationError, match="has changes up to 0 only, and 7 were acknowledged"):
        asyncio.run(opens(tmp_path))
    assert dead.exists(), "it may stand for what only the lost rows name"
    behind_its_back(tmp_path, "UPDATE sequence SET last = 7")
    asyncio.run(opens(tmp_path))
    assert not dead.exists()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (module, "Turns"),
        (module, "Board"),
        (module, "HighWater"),
        (schema, "open_for_reading"),
        (schema, "open_for_writing"),
        (schema, "counts_usage"),
    ],
)
@pytest.mark.parametrize("error", [OSError(errno.EIO, "of the disk"), sqlite3.OperationalError("of the index")])
def test_an_opening_that_fails_lets_go_of_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, fail)
        assert refusal(tmp_path) == f"the data directory {tmp_path / 'data'} cannot be used: {error}"
    asyncio.run(opens(tmp_path))


def test_an_index_of_before_is_taught_to_count(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            (usage,) = await backend.usage([""])
            assert (usage.objects, usage.size) == (0, 0)

    asyncio.run(opens(tmp_path))
    behind_its_back(tmp_path, "DROP TABLE usage")
    behind_its_back(tmp_path, "DROP TABLE usage_sequence")
    asyncio.run(run())


def test_who_teaches_the_index_waits_for_the_pen_and_lets_go_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Told(Turns):
        def take(self) -> None:
            super().take()
            told.append("taken")

        def leave(self, *, more_to_write: bool) -> None:
            super().leave(more_to_write=more_to_write)
            told.append("left" if self._since is None else "kept")

    def add(_connection: sqlite3.Connection) -> None:
        told.append("added")

    async def run() -> None:
        async with opened(tmp_path):
            assert told == ["taken", "added", "left"]

    monkeypatch.setattr(module, "Turns", Told)
    monkeypatch.setattr(schema, "add_usage", add)
    monkeypatch.setattr(schema, "counts_usage", lambda _: False)
    asyncio.run(run())


# Whether it is ready


def test_it_is_ready_when_it_can_write(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.check()
            assert backend.stats.operations == 1, "something was written"
            assert (await backend.usage([""]))[0].objects == 0
            backend._writer.failed = "the writer failed"
            with pytest.raises(Unavailable) as failed:
                await backend.check()
            assert failed.value.message == "the writer failed"

    asyncio.run(run())


_AVAILABLE, _FLAGS = 4, 8  # places in what statvfs says


def _said(place: int, value: int) -> Callable[[Path], os.statvfs_result]:
    def statvfs(path: Path) -> os.statvfs_result:
        return os.statvfs_result([value if at == place else true for at, true in enumerate(real(path))])

    real = os.statvfs
    return statvfs


@pytest.mark.parametrize(
    ("flags", "ready"), [(os.ST_RDONLY, False), (os.ST_RDONLY | os.ST_NOSUID, False), (os.ST_NOSUID, True)]
)
def test_a_disk_that_is_read_only_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int, ready: bool
) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            with monkeypatch.context() as patched:
                patched.setattr(os, "statvfs", _said(_FLAGS, flags))
                if ready:
                    await backend.check()
                else:
                    with pytest.raises(Unavailable, match="mounted read-only"):
                        await backend.check()

    asyncio.run(run())


def test_a_disk_that_is_nearly_full_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            with monkeypatch.context() as patched:
                patched.setattr(os, "statvfs", _said(_AVAILABLE, 0))
                with pytest.raises(StorageFull):
                    await backend.check()

    asyncio.run(run())


def test_a_folder_that_is_away_is_not_ready(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            (tmp_path / "data").rename(tmp_path / "elsewhere")
            with pytest.raises(Unavailable, match="cannot be used") as away:
                await backend.check()
            assert isinstance(away.value.__cause__, FileNotFoundError)
            (tmp_path / "elsewhere").rename(tmp_path / "data")
            await backend.check()

    asyncio.run(run())


def _as_somebody_else(user: int) -> None:
    # To root nothing is closed. The others own what they have made.
    if os.getuid() == 0:
        os.seteuid(user)


def test_each_folder_has_to_be_ours_to_write_to() -> None:
    async def ready(root: Path) -> None:
        async with opened(root) as backend:
            await backend.check()

    async def run(root: Path) -> None:
        async with opened(root) as backend:
            data = root / "data"
            folders = (data, data / "blobs", backend._blobs.staging)
            for folder in (*folders, data / "staging"):
                folder.chmod(0o777)
            for folder in folders:
                for mode in (0o555, 0o666):
                    folder.chmod(mode)
                    _as_somebody_else(65534)
                    with pytest.raises(Unavailable, match="by the user that the server runs as"):
                        await backend.check()
                    _as_somebody_else(0)
                folder.chmod(0o777)
                _as_somebody_else(65534)
                await backend.check()
                _as_somebody_else(0)

    # The folders of pytest are closed to everybody else.
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        Path(root).chmod(0o755)
        asyncio.run(ready(Path(root)))
        assert in_child(lambda _: asyncio.run(run(Path(root))))[0] == 0


def test_a_log_that_was_removed_is_told(tmp_path: Path) -> None:
    log, aside = tmp_path / "data/index.sqlite3-wal", tmp_path / "aside"

    async def run() -> None:
        async with opened(tmp_path) as backend:
            log.rename(aside)
            for another in (False, True):
                if another:
                    log.touch()
                with pytest.raises(Unavailable) as removed:
                    await backend.check()
                assert removed.value.message == LOG_REMOVED
            aside.rename(log)
            await backend.check()

    asyncio.run(run())
