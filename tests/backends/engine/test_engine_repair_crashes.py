"""A repair that dies at any step is done by the next one: nothing is lost, and no loss goes untold."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.engine.scenes import (
    CRASHED,
    LARGE,
    Contents,
    assert_sound,
    contents,
    in_child,
)
from objectstore.backends.engine import pages, schema, steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.rescue import REPORT
from objectstore.backends.engine.schema import PAGE_SIZE

BODIES = {f"key/{number:02}/{'long' * 25}": f"{number}".encode() * 100 for number in range(80)}  # on several pages
MIDDLE = list(BODIES)[40]
OBJECT = 10  # columns
ABANDONED = "abandoned" * 3
ACKNOWLEDGED = "were acknowledged and are not in it"
READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
print(connection.execute("SELECT last FROM sequence").fetchall(), flush=True)
sys.stdin.read()
"""


async def _fill(backend: EngineBackend) -> None:
    await asyncio.gather(*(backend.put(key, body) for key, body in BODIES.items()))
    await backend.put("large", LARGE)


async def _write_more(backend: EngineBackend) -> None:
    await backend.delete(MIDDLE)
    await backend.put("large", LARGE[:-1])


async def _open(root: Path) -> Contents:
    async with EngineBackend(root) as backend:
        return await contents(backend)


def _overwrite(root: Path, number: int) -> None:
    with (root / "index.sqlite3").open("r+b") as file:
        file.seek((number - 1) * PAGE_SIZE)
        file.write(b"\xff" * PAGE_SIZE)


def _lose_a_page(root: Path) -> None:
    """And with it the row of a large body, which nothing names then."""
    leaves = (page for page in pages.pages(root / "index.sqlite3") if page.kind == "leaf")
    _overwrite(root, next(page.number for page in leaves if any(len(row) == OBJECT for row in page.rows)))
    (root / "blobs" / ABANDONED[:2]).mkdir(exist_ok=True)
    (root / "blobs" / ABANDONED[:2] / ABANDONED).write_bytes(LARGE)


def _lose_the_first_page(root: Path) -> None:
    _write_and_die(root)
    _overwrite(root, 1)


def _lose_the_log(root: Path) -> None:
    _write_and_die(root)
    (root / "index.sqlite3-wal").unlink()


def _write_and_die(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await _write_more(backend)
            os._exit(CRASHED)

    code, _ = in_child(lambda _say: asyncio.run(run()))
    assert code == CRASHED
    assert (root / "index.sqlite3-wal").stat().st_size


DAMAGES = {"a page": _lose_a_page, "the first page": _lose_the_first_page, "the log": _lose_the_log}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    async def run() -> None:
        async with EngineBackend(root, durability="relaxed") as backend:
            await _fill(backend)

    root = tmp_path_factory.mktemp("filled") / "data"
    asyncio.run(run())
    return root


@dataclass(frozen=True)
class Left:
    """What there is after a repair."""

    contents: Contents
    bodies: dict[str, bytes]  # in DATA/lost
    damaged: list[tuple[bytes, bytes | None]]  # indexes in DATA/lost, and their logs
    told: set[str]


def _left(root: Path) -> Left:
    found = asyncio.run(_open(root))
    assert_sound(root)
    assert list(root.glob("index.rebuilt*")) == []
    lost = {path.name: path.read_bytes() for path in (root / "lost").iterdir()}
    told = {line.replace(str(root), "DATA") for line in lost.pop(REPORT).decode().splitlines()}
    names = sorted(name for name in lost if name.startswith("index-") and name.endswith(".sqlite3"))
    damaged = [(lost.pop(name), lost.pop(f"{name}-wal", None)) for name in names]
    return Left(found, lost, damaged, told)


def _repair(root: Path, step: Callable[[str], None] = steps.no_step) -> None:
    assert list(check(root, repair=True, step=step)) != []


def _die_at(root: Path, wanted: str, hit: int = 1) -> None:
    reached: list[str] = []

    def step(name: str) -> None:
        reached.append(name)
        if reached.count(wanted) == hit:
            os._exit(CRASHED)

    code, _ = in_child(lambda _say: _repair(root, step))
    assert code == CRASHED


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_repair_that_dies_at_any_step_loses_nothing(damage: str, filled: Path, tmp_path: Path) -> None:
    original = tmp_path / "original"
    shutil.copytree(filled, original)
    DAMAGES[damage](original)
    shutil.copytree(original, tmp_path / "whole")
    reached: list[str] = []
    _repair(tmp_path / "whole", reached.append)
    whole = _left(tmp_path / "whole")
    _assert_all_is_there(damage, whole)
    for number, name in enumerate(reached):
        root = tmp_path / f"{number} {name}"
        shutil.copytree(original, root)
        _die_at(root, name, reached[: number + 1].count(name))
        list(check(root, repair=True))
        assert _left(root) == whole, name


def _assert_all_is_there(damage: str, whole: Left) -> None:
    """Each body is under its key, or at least in DATA/lost; or it is told what is not."""
    told = "\n".join(whole.told)
    before = BODIES | {"large": LARGE}
    if damage == "a page":
        assert set(before.values()) <= {*whole.contents.objects.values(), *whole.bodies.values()}
        assert whole.bodies[ABANDONED] == LARGE
        assert "cannot be listed" in told
    elif damage == "the first page":
        # What is in the log belongs to the pages that it is of, whatever the first one says.
        after = before | {"large": LARGE[:-1]}
        del after[MIDDLE]
        assert whole.contents.objects == after
    else:
        assert whole.contents.objects == before
        assert set(whole.bodies.values()) == {LARGE[:-1]}
        assert ACKNOWLEDGED in told


def test_every_step_is_reached(filled: Path, tmp_path: Path) -> None:
    reached: set[str] = set()
    for name, damage in DAMAGES.items():
        shutil.copytree(filled, tmp_path / name)
        damage(tmp_path / name)
        _repair(tmp_path / name, reached.add)
    assert reached == set(steps.ALL_OF_REPAIR)


def test_that_a_log_did_not_come_along_is_told_by_the_next_repair(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a program of somebody else looks at the index meanwhile."""
    monkeypatch.setattr(schema, "_WRITE_TIMEOUT", 0.0)
    root = tmp_path / "data"
    shutil.copytree(filled, root)
    command = [sys.executable, "-c", READER, str(root / "index.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline()
        _write_and_die(root)
        _lose_a_page(root)
        log = (root / "index.sqlite3-wal").read_bytes()
        _die_at(root, steps.AFTER_UNLOG)
        assert not (root / "index.sqlite3-wal").exists()
        assert (root / "lost" / "index-0.sqlite3-wal").read_bytes() == log
        reader.kill()
    assert ACKNOWLEDGED in "\n".join(map(str, check(root, repair=True)))
    assert [kept for _, kept in _left(root).damaged] == [log]
