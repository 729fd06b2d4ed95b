"""Stores whose index is damaged, and what a repair leaves of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backends.engine.scenes import CRASHED, LARGE, Contents, assert_sound, contents, in_child
from objectstore.backends.engine import pages, steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.rescue import REPORT
from objectstore.backends.engine.schema import PAGE_SIZE

BODIES = {f"key/{number:02}/{'long' * 100}": f"{number}".encode() * 100 for number in range(24)}  # on several pages
MIDDLE = list(BODIES)[12]
OBJECT = 10  # columns
ABANDONED = "abandoned" * 3
ACKNOWLEDGED = "were acknowledged and are not in it"


async def fill(backend: EngineBackend) -> None:
    await asyncio.gather(*(backend.put(key, body) for key, body in BODIES.items()))
    await backend.put("large", LARGE)


async def write_more(backend: EngineBackend) -> None:
    await backend.delete(MIDDLE)
    await backend.put("large", LARGE[:-1])


async def _open(root: Path) -> Contents:
    async with EngineBackend(root) as backend:
        return await contents(backend)


def overwrite(root: Path, number: int) -> None:
    with (root / "index.sqlite3").open("r+b") as file:
        file.seek((number - 1) * PAGE_SIZE)
        file.write(b"\xff" * PAGE_SIZE)


def lose_a_page(root: Path) -> None:
    """And with it the row of a large body, which nothing names then."""
    leaves = (page for page in pages.pages(root / "index.sqlite3") if page.kind == "leaf")
    overwrite(root, next(page.number for page in leaves if any(len(row) == OBJECT for row in page.rows)))
    (root / "blobs" / ABANDONED[:2]).mkdir(exist_ok=True)
    (root / "blobs" / ABANDONED[:2] / ABANDONED).write_bytes(LARGE)


def lose_the_first_page(root: Path) -> None:
    write_and_die(root)
    overwrite(root, 1)


def lose_the_log(root: Path) -> None:
    write_and_die(root)
    (root / "index.sqlite3-wal").unlink()


def write_and_die(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await write_more(backend)
            os._exit(CRASHED)

    code, _ = in_child(lambda _say: asyncio.run(run()))
    assert code == CRASHED
    assert (root / "index.sqlite3-wal").stat().st_size


def lose_a_page_beside_a_log(root: Path) -> None:
    """One that is not in the log, so that it is not mended by what is moved out of that."""
    write_and_die(root)
    lose_a_page(root)


DAMAGES = {"a page": lose_a_page, "the first page": lose_the_first_page, "the log": lose_the_log}


@dataclass(frozen=True)
class Left:
    """What there is after a repair."""

    contents: Contents
    bodies: dict[str, bytes]  # in DATA/lost
    damaged: list[tuple[bytes, bytes | None]]  # indexes in DATA/lost, and their logs
    told: set[str]


def left(root: Path, alias: str = "DATA") -> Left:
    """Of the store in `root`, which was in `alias` before."""
    found = asyncio.run(_open(root))
    assert_sound(root)
    assert list(root.glob("index.rebuilt*")) == []
    lost = {path.name: path.read_bytes() for path in (root / "lost").iterdir()}
    told = {line.replace(str(root), "DATA").replace(alias, "DATA") for line in lost.pop(REPORT).decode().splitlines()}
    names = sorted(name for name in lost if name.startswith("index-") and name.endswith(".sqlite3"))
    damaged = [(lost.pop(name), lost.pop(f"{name}-wal", None)) for name in names]
    return Left(found, lost, damaged, told)


def repair(root: Path, step: Callable[[str], None] = steps.no_step) -> None:
    assert list(check(root, repair=True, step=step)) != []
