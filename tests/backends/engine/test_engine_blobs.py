"""Files of large bodies and the markers that account for them, in either durability."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import CRASHED, HUGE, LARGE, SMALL, assert_sound, blob_files, in_child, read, stream
from objectstore.backends.engine import blobs, steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.hold import collecting, held
from objectstore.backends.engine.transcript import link
from objectstore.errors import ConfigurationError, Corrupted, StorageFull, Unavailable

NO_TIME = timedelta()


def markers(root: Path) -> list[Path]:
    return list((root / "staging").glob("*/*.batch"))


def test_a_marker_goes_when_all_its_names_are_settled(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root, durability="relaxed", inline_limit=0, grace=NO_TIME) as backend:
            assert backend.durability == "relaxed"
            await backend.put("key-0", SMALL)
            (first,) = markers(root)
            for number in range(1, blobs.BATCH_SIZE):
                await backend.put(f"key-{number}", SMALL)
            with pytest.raises(ConnectionResetError):
                await backend.put("key", _broken(HUGE))
            (second,) = markers(root)
            assert second != first
            assert len(blob_files(root)) == blobs.BATCH_SIZE
        assert_sound(root)

    asyncio.run(run())


async def _broken(data: bytes) -> AsyncIterator[bytes]:
    async for chunk in stream(data):
        yield chunk
    raise ConnectionResetError


def test_a_nearly_full_disk_takes_no_new_file_and_lets_go_of_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data", grace=NO_TIME) as backend:
            await backend.put("key", LARGE)
            monkeypatch.setattr("objectstore.backends.engine.directory.RESERVE", 1 << 62)
            with pytest.raises(StorageFull):
                await backend.put("other", LARGE)
            assert await read(backend, "key") == LARGE
            await backend.delete("key")
            await backend.collect_garbage()
            assert blob_files(tmp_path / "data") == set()

    asyncio.run(run())


@pytest.mark.parametrize("fatal", [steps.AFTER_FORMAT, steps.AFTER_INDEX, steps.AFTER_RENAME])
def test_what_a_dead_process_left_is_settled_by_the_next(tmp_path: Path, fatal: str) -> None:
    root = tmp_path / "data"

    def step(name: str) -> None:
        if name == fatal:
            os._exit(CRASHED)

    async def run(step: object) -> None:
        async with EngineBackend(root, step=step) as backend:  # type: ignore[arg-type]  # either is one
            await backend.put("key", LARGE)

    root.mkdir()
    (root / ".FORMAT-cut-short").write_bytes(b"{")
    assert in_child(lambda _: asyncio.run(run(step)))[0] == CRASHED
    staging = root / "staging"
    staging.mkdir(exist_ok=True)
    (staging / "a file of somebody").touch()
    asyncio.run(run(steps.no_step))
    (staging / "a file of somebody").unlink()
    assert [entry.name for entry in root.glob(".FORMAT-*")] == []
    assert len(blob_files(root)) == 1
    assert_sound(root)


def test_what_cannot_be_removed_stays_accounted_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "data"

    async def body() -> AsyncIterator[bytes]:
        async for chunk in stream(HUGE):
            yield chunk
        (own,) = (root / "staging").iterdir()
        shutil.rmtree(own)
        raise ConnectionResetError

    async def run() -> None:
        async with EngineBackend(root) as backend:
            with pytest.raises(ConnectionResetError):
                await backend.put("key", body())

    asyncio.run(run())
    assert "could not be settled" in caplog.text
    assert_sound(root)


def test_garbage_that_cannot_be_unlinked_is_told_of_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            await backend.put("key", LARGE)
            (name,) = blob_files(root)
            await backend.delete("key")
        blob = root / "blobs" / name[:2] / name
        blob.unlink()
        blob.mkdir()
        caplog.clear()
        async with EngineBackend(root, grace=NO_TIME) as backend:
            while "garbage was not collected" not in caplog.text:  # noqa: ASYNC110  a log has no event
                await asyncio.sleep(0.001)
            with pytest.raises(Unavailable):
                await backend.collect_garbage()
            blob.rmdir()
            assert await backend.collect_garbage() == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(asyncio.wait_for(run(), 60))


def test_files_are_shared_only_where_that_works(tmp_path: Path) -> None:
    source, target = str(tmp_path / "source"), str(tmp_path / "target")
    Path(source).write_bytes(SMALL)
    with pytest.raises(Corrupted, match="not 5"):
        link(source, target, 5)
    assert not Path(target).exists()
    assert link(source, target, len(SMALL))
    assert Path(source).samefile(target)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        assert not link(source, f"{elsewhere}/target", len(SMALL))
    with pytest.raises(FileExistsError):
        link(source, target, len(SMALL))


def test_who_opens_or_collects_for_too_long_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstore.backends.engine.directory._OPENING_TIMEOUT", -1.0)
    monkeypatch.setattr("objectstore.backends.engine.hold._TIMEOUT", -1.0)
    root = tmp_path / "new" / "folders" / "data"
    asyncio.run(_opened(root))
    with (
        Directory(root).opening(),
        pytest.raises(ConfigurationError, match="is it stuck"),
        Directory(root).opening(),
    ):
        raise AssertionError
    with (
        collecting(Directory(root)) as allowed,
        pytest.raises(Unavailable, match="without a pause"),
        held(Directory(root)),
    ):
        raise AssertionError
    assert allowed


async def _opened(root: Path) -> None:
    async with EngineBackend(root):
        pass
