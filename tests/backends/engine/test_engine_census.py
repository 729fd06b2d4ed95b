"""What a data directory holds, counted while nobody, or somebody, has it open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import LARGE, SMALL, blob_files
from backends.engine.test_engine_writing import Gate, _submitted, held_up
from objectstore.backends.engine import census
from objectstore.backends.engine import survey as surveying
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.counters import usage_of
from objectstore.core.grouping import Share
from objectstore.errors import ConfigurationError, Unavailable
from objectstore.values import PutOptions, Usage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with EngineBackend(tmp_path / "data", grace=timedelta(hours=1)) as backend:
            await backend.put("a/small", SMALL)
            await backend.put("a/large", LARGE)
            await backend.copy("a/large", "b/copy")
            await backend.put("top", SMALL)
            await backend.put("gone", LARGE)
            await backend.delete("gone")
            upload = await backend.uploads.begin("upload", PutOptions())
            await backend.uploads.put_part(upload.upload_id, 1, SMALL, PutOptions())
            await backend.uploads.put_part(upload.upload_id, 2, LARGE, PutOptions())

    asyncio.run(fill())
    return tmp_path / "data"


def test_everything_is_counted_once(root: Path) -> None:
    found = census.take(root, top=2)
    assert (found.objects, found.size) == (4, 2 * len(SMALL) + 2 * len(LARGE))
    assert (found.inline, found.inline_size) == (2, 2 * len(SMALL))
    assert (found.blobs, found.blobs_size) == (2, 2 * len(LARGE))  # one is shared, one is a part
    assert (found.uploads, found.parts, found.parts_size) == (1, 2, len(SMALL) + len(LARGE))
    assert (found.garbage, found.garbage_size) == (1, len(LARGE))
    assert (found.index_size, found.log_size) == ((root / "index.sqlite3").stat().st_size, 0)
    assert found.largest == (Share("a/", 2, len(SMALL) + len(LARGE)), Share("b/", 1, len(LARGE)))


def test_garbage_that_is_unlinked_already_has_no_size(root: Path) -> None:
    for name in blob_files(root):
        (root / "blobs" / name[:2] / name).unlink()
    found = census.take(root)
    assert (found.garbage, found.garbage_size) == (1, 0)

    async def run() -> None:
        async with EngineBackend(root, grace=timedelta(hours=1)) as backend:
            levels = {level.name: level.value for level in await backend.levels()}
            assert (levels["engine_garbage_files"], levels["engine_garbage_bytes"]) == (1, 0)

    asyncio.run(run())


@pytest.mark.parametrize("read", [census.take, lambda root: usage_of(root, ["a/"])], ids=["census", "usage"])
def test_what_cannot_be_read_is_told(root: Path, read: Callable[[Path], object]) -> None:
    (root / "index.sqlite3").unlink()
    with pytest.raises(Unavailable):
        read(root)
    (root / "FORMAT").unlink()
    with pytest.raises(ConfigurationError):
        read(root)


def test_usage_is_counted_whether_or_not_anybody_asked_before(root: Path) -> None:
    expected = {
        "a/": Usage(prefix="a/", objects=2, size=len(SMALL) + len(LARGE), parts_size=0),
        "up": Usage(prefix="up", objects=0, size=0, parts_size=len(SMALL) + len(LARGE)),
    }
    assert usage_of(root, ["a/", "up"]) == expected

    async def run() -> None:
        async with EngineBackend(root) as backend:
            assert await backend.usage(["a/", "up"]) == list(expected.values())
            await backend.put("a/more", SMALL)

    asyncio.run(run())
    # From the counters now, which went along with the write.
    found = usage_of(root, ["a/", "up"])["a/"]
    assert (found.objects, found.size) == (3, 2 * len(SMALL) + len(LARGE))


def test_what_is_written_together_with_the_first_question_is_counted(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            await backend.put("a/old", SMALL)
            async with held_up(backend, gate):
                changes = [backend.put("a/new", SMALL * 2), backend.delete("a/old"), backend.put("b", SMALL)]
                waiting = await _submitted([*changes, backend.usage(["a/"]), backend.usage(["a/", ""])])
            *_, first, both = await asyncio.gather(*waiting)
            now = Usage(prefix="a/", objects=1, size=2 * len(SMALL), parts_size=0)
            assert first == [now]
            assert both == [now, Usage(prefix="", objects=3, size=4 * len(SMALL), parts_size=0)]
            assert backend.stats.commits == 3  # what was asked came with what was written
            assert await backend.usage(["a/"]) == [now]

    asyncio.run(run())


def test_objects_are_not_counted_anew_for_every_look(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "_SHARE", 1e9)

    async def run() -> None:
        async with EngineBackend(root) as backend:
            first = {level.name: level.value for level in await backend.levels()}
            await backend.put("another", SMALL)
            second = {level.name: level.value for level in await backend.levels()}
            assert first["objects"] == second["objects"] == 4
            (root / "index.sqlite3").rename(root / "elsewhere")
            with pytest.raises(Unavailable):
                await backend.levels()
            (root / "elsewhere").rename(root / "index.sqlite3")

    asyncio.run(run())
