"""The power goes at any moment: what was acknowledged is there, and everything else is old or new, never between."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.engine.power_acts import folder_of
from backends.engine.powerloss import MARKS, Disk, Found, Op, lay_out, parse
from backends.engine.scenes import Contents, contents
from backends.engine.test_engine_crashes import NEVER, SCENES
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check

HERE = Path(__file__).parent
NOTHING = Contents({}, {})
UNTRACED = {"changes", "index.sqlite3-shm", MARKS}  # written through the memory, and anew after a start
TRIED = int(os.environ.get("POWER_OUTCOMES", "1"))  # outcomes by chance at each moment, beside the extremes


@pytest.fixture(scope="module")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("what is written and synced is traced by a library that needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("tracer") / "tracer.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library)]
    subprocess.run([*command, str(HERE / "tracer.c"), "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class Played:
    """Scenes that were played, and all that was done to the disk."""

    disk: Path
    ops: Sequence[Op]


def play(tracer: Path, folder: Path, defect: str, scenes: Iterable[str]) -> Played:
    disk = folder / "disk"
    disk.mkdir(parents=True)
    environment = {
        "LD_PRELOAD": str(tracer),
        "POWER_ROOT": str(disk),
        "POWER_TRACE": str(folder / "trace"),
        "PYTHONPATH": str(HERE.parents[1]),
    }
    command = [sys.executable, str(HERE / "power_acts.py"), str(disk), defect, *scenes]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=200)
    return Played(disk, list(parse((folder / "trace").read_bytes())))


@pytest.fixture(scope="module")
def played(tracer: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All scenes, by the engine as it is."""
    return play(tracer, tmp_path_factory.mktemp("played"), "none", SCENES)


def moments(ops: Iterable[Op], root: Path, name: str) -> Iterator[tuple[str, Disk]]:
    """The disk before each sync and at each mark, with the mark before; of what is under way most is left then."""
    disk = Disk()
    mark = ""
    for op in ops:
        if op.path.endswith(f"/{MARKS}"):
            scene, _, told = op.data.decode().partition(":")
            if scene == name:
                yield mark, disk
                mark = told
                if mark == "begin":
                    disk.sync_all()
                yield mark, disk
        elif Path(op.path).is_relative_to(root):
            if op.kind == "s":
                yield mark, disk
            disk.do(op)
    yield mark, disk


def visible(root: Path) -> Contents:
    async def look() -> Contents:
        async with EngineBackend(root, grace=NEVER) as backend:
            return await contents(backend)

    return asyncio.run(look())


def wrongs(played: Played, folder: Path, name: str, seed: int = 1) -> Iterator[str]:
    """For each state in which the disk may be found: what is wrong with it."""
    scene = SCENES[name]
    root = folder_of(played.disk, name)
    new = visible_now(root, folder / "after")
    old = NOTHING
    seen: set[frozenset[tuple[str, bytes | None]]] = set()
    chance = random.Random(f"{seed}/{name}")  # noqa: S311  to be repeated
    for mark, disk in moments(played.ops, root, name):
        if mark == "":
            continue
        for number, found in enumerate(disk.outcomes(chance, TRIED)):
            state = frozenset({(mark, None), *found.items()})
            if state in seen:
                continue
            seen.add(state)
            target = folder / "found"
            place(found, root, target)
            if mark == "begin" and len(seen) == 1:
                old = NOTHING if scene.new else visible(target)
                place(found, root, target)
            try:
                result = visible(target)
                damage = [finding.message for finding in check(target, deep=True)]
            except Exception as error:  # noqa: BLE001  that it cannot be opened is what is looked for
                yield f"{mark}: outcome {number}: {error!r}"
                continue
            if damage:
                yield f"{mark}: outcome {number}: {damage}"
            elif mark != "begin" and result != new:
                yield f"{mark}: outcome {number}: what was acknowledged is not there"
            elif scene.between:
                if not result.objects.items() <= {*old.objects.items(), *new.objects.items()}:
                    yield f"{mark}: outcome {number}: neither old nor new"
            elif result not in (old, new):
                yield f"{mark}: outcome {number}: neither old nor new"


def place(found: Found, root: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    lay_out(
        {path: body for path, body in found.items() if path == str(root) or path.startswith(f"{root}/")},
        str(root),
        target,
    )


def visible_now(root: Path, copy: Path) -> Contents:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy)
    return visible(copy)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_a_power_cut_at_any_moment_leaves_old_or_new(name: str, played: Played, tmp_path: Path) -> None:
    assert list(wrongs(played, tmp_path, name)) == []


@pytest.mark.parametrize("defect", ["body synced after the commit", "folders never synced", "log never synced"])
def test_a_sync_that_is_missing_or_late_is_found(defect: str, tracer: Path, tmp_path: Path) -> None:
    assert any(wrongs(play(tracer, tmp_path, defect, ["put large"]), tmp_path, "put large"))


def test_the_trace_is_what_happened(played: Played) -> None:
    disk = Disk()
    for op in played.ops:
        if not op.path.endswith(f"/{MARKS}"):
            disk.do(op)
    disk.sync_all()
    (found, *_) = disk.outcomes(random.Random(1), 0)  # noqa: S311  to be repeated
    files = [path for path in played.disk.rglob("*") if path.is_file() and path.name not in UNTRACED]
    assert {str(path): path.read_bytes() for path in files} == {
        path: body for path, body in found.items() if body is not None and Path(path).name not in UNTRACED
    }
    assert len(files) > 2 * len(SCENES)
