"""The power goes at any moment: what was acknowledged is there, and everything else is old or new, never between."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.engine.power_acts import folder_of
from backends.engine.powerloss import MARKS, Disk, lay_out
from backends.engine.powerplay import Played, disks, play
from backends.engine.scenes import Contents, contents
from backends.engine.test_engine_crashes import NEVER, SCENES
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check

SCRIPT = "power_acts.py"
NOTHING = Contents({}, {})
UNTRACED = {"changes", "index.sqlite3-shm", MARKS}  # written through the memory, and anew after a start


@pytest.fixture(scope="module")
def played(tracer: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All scenes, by the engine as it is."""
    return play(tracer, tmp_path_factory.mktemp("played"), SCRIPT, ["none", *SCENES])


def visible(root: Path) -> Contents:
    async def look() -> Contents:
        async with EngineBackend(root, grace=NEVER) as backend:
            return await contents(backend)

    return asyncio.run(look())


def wrongs(played: Played, folder: Path, name: str, seed: int = 1) -> Iterator[str]:
    """For each state in which the disk may be found: what is wrong with it."""
    scene = SCENES[name]
    root = folder_of(played.disk, name)
    target = folder / "found"
    new = visible_now(root, folder / "after")
    old: Contents | None = None
    chance = random.Random(f"{seed}/{name}")  # noqa: S311  to be repeated
    for mark, where, found in disks(played, root, name, chance):
        if old is None:
            old = NOTHING
            if mark == "begin" and not scene.new:
                lay_out(found, root, target)
                old = visible(target)
        lay_out(found, root, target)
        try:
            result = visible(target)
            damage = [finding.message for finding in check(target, deep=True)]
        except Exception as error:  # noqa: BLE001  that it cannot be opened is what is looked for
            yield f"{where}: {error!r}"
            continue
        if damage:
            yield f"{where}: {damage}"
        elif mark != "begin" and result != new:
            yield f"{where}: what was acknowledged is not there"
        elif scene.between:
            if not result.objects.items() <= {*old.objects.items(), *new.objects.items()}:
                yield f"{where}: neither old nor new"
        elif result not in (old, new):
            yield f"{where}: neither old nor new"


def visible_now(root: Path, copy: Path) -> Contents:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy)
    return visible(copy)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_a_power_cut_at_any_moment_leaves_old_or_new(name: str, played: Played, memory: Path) -> None:
    assert list(wrongs(played, memory, name)) == []


@pytest.mark.parametrize("defect", ["body synced after the commit", "folders never synced", "log never synced"])
def test_a_sync_that_is_missing_or_late_is_found(defect: str, tracer: Path, tmp_path: Path, memory: Path) -> None:
    assert any(wrongs(play(tracer, tmp_path, SCRIPT, [defect, "put large"]), memory, "put large"))


def test_the_trace_is_what_happened(played: Played) -> None:
    disk = Disk()
    for op in played.ops:
        if not op.path.endswith(f"/{MARKS}"):
            disk.do(op)
    disk.sync_all()
    (found, *_) = disk.outcomes(random.Random(1), 0)  # noqa: S311  to be repeated
    files = [path for path in played.disk.rglob("*") if path.is_file() and path.name not in UNTRACED]
    assert {str(path): path.read_bytes() for path in files} == {
        path: body.data for path, body in found.items() if body is not None and Path(path).name not in UNTRACED
    }
    assert len(files) > 2 * len(SCENES)
