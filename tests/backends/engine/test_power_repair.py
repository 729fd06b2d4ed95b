"""The power goes in the repair of a damaged index: the next repair saves all that an undisturbed one would have."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.engine import damage
from backends.engine.damage import Left, left, repair
from backends.engine.power_commands import folder_of
from backends.engine.powerloss import Disk, lay_out
from backends.engine.powerplay import MARKED, Played, disks, play
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check

DAMAGES: dict[str, Callable[[Path], None]] = {
    **damage.DAMAGES,
    "a page beside a log": damage.lose_a_page_beside_a_log,
    "the header": lambda root: damage.overwrite(root, 1),
}


@dataclass(frozen=True)
class Repaired:
    """What was played, how each of the disks was before it, and what an undisturbed repair leaves."""

    played: Played
    before: Mapping[str, Disk]
    whole: Mapping[str, Left]


def repaired(tracer: Path, folder: Path, defect: str, *names: str) -> Repaired:
    async def fill() -> None:
        async with EngineBackend(folder / "filled", durability="relaxed") as backend:
            await damage.fill(backend)

    asyncio.run(fill())
    before, whole = {}, {}
    for name in names:
        root, undisturbed = folder_of(folder / "disk", name), folder / f"whole {name}"
        shutil.copytree(folder / "filled", root)
        DAMAGES[name](root)
        before[name] = Disk.of(root)
        shutil.copytree(root, undisturbed)
        repair(undisturbed)
        whole[name] = left(undisturbed)
    return Repaired(play(tracer, folder, "power_commands.py", [defect, *names]), before, whole)


@pytest.fixture(scope="module")
def all_repaired(tracer: Path, tmp_path_factory: pytest.TempPathFactory) -> Repaired:
    """All of them, by the repair as it is."""
    return repaired(tracer, tmp_path_factory.mktemp("repaired"), "none", *DAMAGES)


def wrongs(done: Repaired, memory: Path, name: str, since: Sequence[str] = MARKED) -> Iterator[str]:
    """For each state in which the disk may be found since one of these marks: what is wrong after the next repair."""
    root, target = folder_of(done.played.disk, name), memory / "found"
    chance = random.Random(name)  # noqa: S311  to be repeated
    for mark, where, found in disks(done.played, root, name, chance, deepcopy(done.before[name]), since=since):
        lay_out(found, root, target)
        try:
            lost = [finding.message for finding in check(target, repair=True) if finding.lost]
            result = left(target, str(root))
        except Exception as error:  # noqa: BLE001  that it cannot be repaired is what is looked for
            yield f"{where}: {error!r}"
            continue
        if mark == "done" and lost:
            yield f"{where}: what was repaired is damaged: {lost}"
        elif result != done.whole[name]:
            yield f"{where}: {difference(result, done.whole[name])}"


def difference(result: Left, whole: Left) -> str:
    parts = [name for name in ("contents", "bodies", "damaged") if getattr(result, name) != getattr(whole, name)]
    return f"{parts}, not told {sorted(whole.told - result.told)}, told besides {sorted(result.told - whole.told)}"


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_a_power_cut_in_a_repair_loses_nothing(name: str, all_repaired: Repaired, memory: Path) -> None:
    assert list(wrongs(all_repaired, memory, name)) == []


@pytest.mark.parametrize(
    ("defect", "since"),
    [
        ("rows never synced", "done"),
        ("files never synced", "done"),
        ("names never synced", "done"),
        ("exchanged before the report", "begin"),
    ],
)
def test_what_is_synced_too_late_is_found(defect: str, since: str, tracer: Path, tmp_path: Path, memory: Path) -> None:
    assert any(wrongs(repaired(tracer, tmp_path, defect, "a page"), memory, "a page", [since]))
