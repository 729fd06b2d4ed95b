"""A process that dies at any step of any operation leaves the old state or the new one, and nothing besides."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import (
    CRASHED,
    HUGE,
    LARGE,
    SMALL,
    Act,
    Contents,
    assert_sound,
    contents,
    run_until_step,
    stream,
)
from objectstore.backends.engine import steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.values import PutOptions

NONE = PutOptions()
ETAGS = {number: f"part-{number}" for number in (1, 2)}


async def nothing(backend: EngineBackend) -> None:
    pass


async def put_small(backend: EngineBackend) -> None:
    await backend.put("key", SMALL)


async def put_large(backend: EngineBackend) -> None:
    await backend.put("key", LARGE)


async def put_stream(backend: EngineBackend) -> None:
    await backend.put("key", stream(HUGE))


async def put_two_at_once(backend: EngineBackend) -> None:
    await asyncio.gather(backend.put("key", LARGE), backend.put("other", HUGE))


async def delete(backend: EngineBackend) -> None:
    await backend.delete("key")


async def delete_many(backend: EngineBackend) -> None:
    await backend.delete_many(["key", "other"])


async def copy(backend: EngineBackend) -> None:
    await backend.copy("key", "other")


async def begin(backend: EngineBackend) -> None:
    await backend.uploads.begin("upload", NONE)


async def _upload_id(backend: EngineBackend) -> str:
    (upload,) = (await backend.uploads.list()).uploads
    return upload.upload_id


async def put_small_part(backend: EngineBackend) -> None:
    await backend.uploads.put_part(await _upload_id(backend), 1, SMALL, NONE)


async def put_large_part(backend: EngineBackend) -> None:
    await backend.uploads.put_part(await _upload_id(backend), 2, stream(LARGE), NONE)


async def complete(backend: EngineBackend) -> None:
    upload_id = await _upload_id(backend)
    parts = (await backend.uploads.get(upload_id)).parts
    await backend.uploads.complete(upload_id, [(part.number, part.etag) for part in parts])


async def abort(backend: EngineBackend) -> None:
    await backend.uploads.abort(await _upload_id(backend))


async def count(backend: EngineBackend) -> None:
    await backend.usage(["", "k", "u"])


async def collect(backend: EngineBackend) -> None:
    await backend.collect_garbage()


@dataclass(frozen=True)
class Scene:
    before: Sequence[Act]
    act: Act
    new: bool = False  # opens a directory that is not there yet
    between: bool = False  # of several writes, some may be done


SCENES = {
    "open a new store": Scene([], put_small, new=True),
    "open and close": Scene([put_large], nothing),
    "put small": Scene([], put_small),
    "put large": Scene([], put_large),
    "put a stream": Scene([], put_stream),
    "put two at once": Scene([put_small], put_two_at_once, between=True),
    "small over large": Scene([put_large], put_small),
    "large over small": Scene([put_small], put_large),
    "large over large": Scene([put_large], put_stream),
    "delete small": Scene([put_small], delete),
    "delete large": Scene([put_large], delete),
    "delete many": Scene([put_large, copy], delete_many),
    "copy small": Scene([put_small], copy),
    "copy large": Scene([put_large], copy),
    "copy over itself": Scene([put_large, copy, put_stream], copy),
    "begin": Scene([put_small], begin),
    "put a small part": Scene([begin], put_small_part),
    "put a large part": Scene([begin, put_large_part], put_large_part),
    "complete parts": Scene([begin, put_small_part, put_large_part], complete),
    "complete one part": Scene([put_small, begin, put_large_part], complete),
    "complete a small part": Scene([put_large, begin, put_small_part], complete),
    "abort": Scene([begin, put_small_part, put_large_part], abort),
    "begin to count": Scene([put_large, begin, put_small_part], count),
    "put what is counted": Scene([put_small, count], put_large),
    "complete what is counted": Scene([put_small, begin, put_large_part, count], complete),
    "collect garbage": Scene([put_large, put_stream, put_small], collect),
}
GRACE = timedelta(0)
NEVER = timedelta(days=365)


async def _visible(root: Path) -> Contents:
    async with EngineBackend(root, grace=NEVER) as backend:
        return await contents(backend)


async def _prepare(root: Path, acts: Sequence[Act]) -> None:
    for act in acts:
        async with EngineBackend(root, grace=NEVER) as backend:
            await act(backend)


def _reached(root: Path, scene: Scene) -> list[str]:
    names: list[str] = []

    async def run() -> None:
        async with EngineBackend(root, grace=GRACE, step=names.append) as backend:
            await scene.act(backend)

    asyncio.run(run())
    return names


@pytest.mark.parametrize("name", SCENES)
def test_a_crash_at_any_step_leaves_old_or_new(name: str, tmp_path: Path) -> None:
    scene = SCENES[name]
    original, after = tmp_path / "original", tmp_path / "after"
    if not scene.new:
        asyncio.run(_prepare(original, [nothing, *scene.before]))
        shutil.copytree(original, after)
    old = Contents({}, {}) if scene.new else asyncio.run(_visible(original))
    reached = _reached(after, scene)
    new = asyncio.run(_visible(after))
    for hit in range(len(reached)):
        root = tmp_path / str(hit)
        if not scene.new:
            shutil.copytree(original, root)
        code, acknowledged = run_until_step(root, scene.act, hit, grace=GRACE)
        assert code in {CRASHED, 0}  # not every run takes as many steps in the background
        found = asyncio.run(_visible(root))
        if acknowledged:
            assert found == new, reached[hit]
        elif scene.between:
            assert found.objects.items() <= {*old.objects.items(), *new.objects.items()}
        else:
            assert found in (old, new), reached[hit]
        assert_sound(root)


def test_a_crash_while_settling_a_crash_is_settled(tmp_path: Path) -> None:
    original = tmp_path / "original"
    asyncio.run(_prepare(original, [put_small]))
    reached = _reached(tmp_path / "trial", Scene([], put_large, new=True))
    code, _ = run_until_step(original, put_large, _first(original, put_large, steps.AFTER_RENAME, tmp_path))
    assert code == CRASHED
    assert len(list((original / "blobs").glob("*/*"))) == 1, "a blob without a row"
    assert reached
    shutil.copytree(original, tmp_path / "copy")
    sweeping = _reached(tmp_path / "copy", Scene([], nothing))
    assert sweeping[:2] == [steps.AFTER_SWEEP_BLOBS, steps.AFTER_SWEEP]
    for hit in range(len(sweeping)):
        root = tmp_path / str(hit)
        shutil.copytree(original, root)
        run_until_step(root, nothing, hit)
        assert asyncio.run(_visible(root)).objects == {"key": SMALL}
        assert_sound(root)


def _first(original: Path, act: Act, step: str, tmp_path: Path) -> int:
    """Which hit that step is when `act` is done to the store."""
    shutil.copytree(original, tmp_path / "rehearsal")
    return _reached(tmp_path / "rehearsal", Scene([], act)).index(step)


def test_every_step_is_reached(tmp_path: Path) -> None:
    reached = set(_reached(tmp_path / "new", SCENES["open a new store"]))
    for name in ("put large", "collect garbage"):
        root = tmp_path / name
        asyncio.run(_prepare(root, SCENES[name].before))
        reached.update(_reached(root, SCENES[name]))
    run_until_step(tmp_path / "new", put_large, 1)
    reached.update(_reached(tmp_path / "new", SCENES["open and close"]))
    assert reached == set(steps.ALL)
