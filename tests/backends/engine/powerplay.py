"""Has a process play something, writes down all that it does to the disk, and goes through it moment by moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.engine.powerloss import MARKS, Disk, Found, Op, parse

HERE = Path(__file__).parent
TRIED = int(os.environ.get("POWER_OUTCOMES", "1"))  # outcomes by chance at each moment, beside the extremes

MARKED = ("begin", "done")


@dataclass(frozen=True)
class Played:
    """What was played, and all that was done to the disk."""

    disk: Path
    ops: Sequence[Op]


def play(tracer: Path, folder: Path, script: str, words: Iterable[str]) -> Played:
    """Run the script of this folder with `folder/disk` and the words, and write down what it does below that."""
    disk = folder / "disk"
    disk.mkdir(parents=True, exist_ok=True)
    environment = {
        "LD_PRELOAD": str(tracer),
        "POWER_ROOT": str(disk),
        "POWER_TRACE": str(folder / "trace"),
        "PYTHONPATH": str(HERE.parents[1]),
    }
    command = [sys.executable, str(HERE / script), str(disk), *words]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=200)
    return Played(disk, list(parse((folder / "trace").read_bytes())))


def moments(ops: Iterable[Op], root: Path, name: str, before: Disk | None = None) -> Iterator[tuple[str, Disk]]:
    """The disk before each sync and at each mark, with the mark before; of what is under way most is left then."""
    disk = before or Disk()
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


def state_of(mark: str, found: Found) -> frozenset[tuple[str, object]]:
    """Equal for those that are the same to whoever looks."""
    return frozenset({(mark, None), *found.items()})


def disks(
    played: Played,
    root: Path,
    name: str,
    chance: random.Random,
    before: Disk | None = None,
    *,
    since: Collection[str] | None = None,
) -> Iterator[tuple[str, str, Found]]:
    """Each state in which the disk of this name may be found, once: the mark before it, what to call it, and the disk.

    `since`: only of moments after these marks; else of all after the first.
    """
    seen: set[frozenset[tuple[str, object]]] = set()
    for mark, disk in moments(played.ops, root, name, before):
        if not (mark if since is None else mark in since):
            continue
        for number, found in enumerate(disk.outcomes(chance, TRIED)):
            state = state_of(mark, found)
            if state not in seen:
                seen.add(state)
                yield mark, f"{mark}: outcome {number}", found
    assert seen
