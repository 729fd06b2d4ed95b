"""Collecting garbage: what is old enough, in which order it goes, and when it stays."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from backends.engine.bare import NOW, Bare, bare
from objectstore.backends.engine import garbage, steps
from objectstore.backends.engine.garbage import Collector
from objectstore.backends.engine.hold import held
from objectstore.errors import Unavailable

GRACE = 60.0  # seconds
OLD = NOW - 60_000_000  # exactly as old as it has to be
FAR = NOW + 24 * 3600 * 1_000_000


def collector(store: Bare, *, grace: float = GRACE, passed: list[str] | None = None) -> Collector:
    step = steps.no_step if passed is None else passed.append
    return Collector(
        store.directory, store.index, store.writer, store.executor, grace=grace, now=lambda: NOW, step=step
    )


def place(store: Bare, blob: str) -> Path:
    return Path(store.directory.blob(blob))


def waiting(store: Bare, *rows: tuple[int, str]) -> None:
    for since, blob in rows:
        path = place(store, blob)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        store.writing.execute("INSERT INTO garbage VALUES (?, ?)", (since, blob))


def rows(store: Bare) -> list[tuple[int, str]]:
    return store.reading.execute("SELECT since, blob FROM garbage ORDER BY since, blob").fetchall()


def files(store: Bare) -> list[str]:
    return sorted(path.name for path in store.directory.blobs.glob("*/*"))


def test_what_is_old_enough_goes_and_the_rest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_AT_ONCE", 2)

    async def run() -> None:
        async with bare(tmp_path) as store:
            old = [(OLD - number, f"0{number}") for number in range(5)]
            late = [(OLD + 1, "10"), (NOW, "11"), (FAR, "12")]
            waiting(store, *old, *late)
            collecting = collector(store)
            assert await collecting.collect() == collecting.collected == 5
            assert rows(store) == late
            assert files(store) == ["10", "11", "12"]
            assert await collecting.collect() == 0
            waiting(store, (FAR + 1, "20"), (FAR + 2, "21"), (FAR + 3, "22"))
            assert await collecting.collect() == 3, "so far ahead only a wrong clock dates"
            assert (rows(store), collecting.collected) == (late, 8)

    asyncio.run(run())


def test_files_are_gone_from_the_disk_before_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []

    async def run() -> None:
        async with bare(tmp_path, step=passed.append) as store:

            def synced(folder: str) -> None:
                assert files(store) == []
                assert threading.current_thread().name.startswith("bare")
                passed.append(f"sync {Path(folder).relative_to(store.directory.blobs)}")

            monkeypatch.setattr(garbage, "sync_folder", synced)
            waiting(store, (1, "aa1"), (1, "aa2"), (1, "aa3"))
            passed.clear()
            await collector(store, passed=passed).collect()

    asyncio.run(run())
    unlinked = ["sync aa", steps.AFTER_UNLINK]
    assert passed == [*unlinked, steps.BEFORE_COMMIT, steps.AFTER_COMMIT, steps.AFTER_FORGET]


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_what_is_gone_already_is_struck_out(tmp_path: Path, gone: str) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            waiting(store, (1, "aa1"), (1, "bb1"))
            if gone == "file":
                place(store, "aa1").unlink()
            else:
                shutil.rmtree(store.directory.blobs / "aa")
            assert await collector(store).collect() == 2
            assert (rows(store), files(store)) == ([], [])

    asyncio.run(run())


def test_while_it_is_held_back_nothing_goes(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            waiting(store, (1, "aa1"))
            collecting = collector(store)
            with held(store.directory):
                assert await collecting.collect() == 0
            assert (rows(store), files(store), collecting.collected) == ([(1, "aa1")], ["aa1"], 0)
            assert await collecting.collect() == 1

    asyncio.run(run())


@pytest.mark.parametrize(("grace", "pause"), [(60.0, 30.0), (2.0, 1.0), (0.0, 1.0), (5.0, 2.5)])
def test_it_is_tried_again_and_again_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, grace: float, pause: float
) -> None:
    slept: list[float] = []

    async def run() -> None:
        async with bare(tmp_path) as store:
            waiting(store, (1, "aa1"))
            blob = place(store, "aa1")
            blob.unlink()
            blob.mkdir()

            async def sleep(seconds: float) -> None:
                slept.append(seconds)
                if len(slept) == 2:
                    blob.rmdir()
                elif len(slept) == 3:
                    raise asyncio.CancelledError

            loop = asyncio.get_running_loop
            monkeypatch.setattr(garbage, "asyncio", SimpleNamespace(sleep=sleep, get_running_loop=loop))
            collecting = collector(store, grace=grace)
            with pytest.raises(Unavailable):
                await collecting.collect()
            assert rows(store) == [(1, "aa1")]
            with pytest.raises(asyncio.CancelledError):
                await collecting.run()
            assert (rows(store), collecting.collected) == ([], 1)

    asyncio.run(run())
    assert slept == [pause] * 3
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["garbage was not collected: the data directory cannot be used: Is a directory"] * 2
