"""A repair that dies at any step is done by the next one: nothing is lost, and no loss goes untold."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from backends.engine.damage import (
    ABANDONED,
    ACKNOWLEDGED,
    BODIES,
    DAMAGES,
    MIDDLE,
    Left,
    fill,
    left,
    lose_a_page,
    repair,
    write_and_die,
)
from backends.engine.scenes import CRASHED, LARGE, in_child
from objectstore.backends.engine import schema, steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check

READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
print(connection.execute("SELECT last FROM sequence").fetchall(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    async def run() -> None:
        async with EngineBackend(root, durability="relaxed") as backend:
            await fill(backend)

    root = tmp_path_factory.mktemp("filled") / "data"
    asyncio.run(run())
    return root


def _die_at(root: Path, wanted: str, hit: int = 1) -> None:
    reached: list[str] = []

    def step(name: str) -> None:
        reached.append(name)
        if reached.count(wanted) == hit:
            os._exit(CRASHED)

    code, _ = in_child(lambda _say: repair(root, step))
    assert code == CRASHED


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_repair_that_dies_at_any_step_loses_nothing(damage: str, filled: Path, tmp_path: Path) -> None:
    original = tmp_path / "original"
    shutil.copytree(filled, original)
    DAMAGES[damage](original)
    shutil.copytree(original, tmp_path / "whole")
    reached: list[str] = []
    repair(tmp_path / "whole", reached.append)
    whole = left(tmp_path / "whole")
    _assert_all_is_there(damage, whole)
    for number, name in enumerate(reached):
        root = tmp_path / f"{number} {name}"
        shutil.copytree(original, root)
        _die_at(root, name, reached[: number + 1].count(name))
        list(check(root, repair=True))
        assert left(root) == whole, name


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
        repair(tmp_path / name, reached.add)
    assert reached == set(steps.ALL_OF_REPAIR)


@contextmanager
def _looked_at(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """By a program of somebody else, which keeps the log of the index from being moved into it."""
    command = [sys.executable, "-c", READER, str(root / "index.sqlite3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline()
        yield reader
        reader.kill()


@pytest.mark.parametrize("again", [False, True])
def test_that_a_log_did_not_come_along_is_told_by_the_next_repair(
    again: bool, filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_WRITE_TIMEOUT", 0.0)
    root = tmp_path / "data"
    shutil.copytree(filled, root)
    with _looked_at(root):
        write_and_die(root)
        lose_a_page(root)
        log = (root / "index.sqlite3-wal").read_bytes()
        _die_at(root, steps.AFTER_UNLOG)
        assert not (root / "index.sqlite3-wal").exists()
        assert (root / "lost" / "index-0.sqlite3-wal").read_bytes() == log
    # Who looks at it then makes a log that is empty, beside the one that is kept.
    with _looked_at(root) if again else nullcontext():
        assert (root / "index.sqlite3-wal").exists() == again
        assert ACKNOWLEDGED in "\n".join(map(str, check(root, repair=True)))
    assert [kept for _, kept in left(root).damaged] == [log]
