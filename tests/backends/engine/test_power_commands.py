"""The power goes in what operators do to a data directory: a backup, its restore, a mending, a scrub, an upgrade."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backends.engine.power_commands import ACTS, NOW, back_up, bring_back, folder_of, mend, scrub
from backends.engine.powerloss import Disk, lay_out
from backends.engine.powerplay import MARKED, Played, disks, play
from backends.engine.scenes import LARGE, SMALL, Act, Contents, assert_sound, blob_files, seen
from objectstore.auth.linksecret import FILE_NAME, LinkSecret
from objectstore.auth.store import TokenFile
from objectstore.backends.engine import fixity
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.scrubstate import ScrubFolder
from objectstore.errors import ConfigurationError
from tools import golden

OLDEST = golden.GOLDEN / "1"


def do(root: Path, act: Act) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await act(backend)

    asyncio.run(run())


async def first(backend: EngineBackend) -> None:
    await backend.put("small", SMALL)
    await backend.put("large", LARGE)
    await backend.put("goes", LARGE[1:])


async def then(backend: EngineBackend) -> None:
    await backend.delete("goes")
    await backend.put("small", LARGE[2:])
    await backend.put("new", SMALL)


async def more(backend: EngineBackend) -> None:
    await backend.put("zz/more", SMALL)  # after where any pass may be


def fill(root: Path) -> None:
    do(root / "data", first)
    (root / "data" / "tokens.json").write_text("of somebody")


def fill_and_back_up(root: Path) -> None:
    fill(root)
    back_up(root)


def fill_back_up_and_go_on(root: Path, *, share: bool = False) -> None:
    fill(root)
    back_up(root, share=share)
    do(root / "data", then)


def fill_and_back_up_by_links(root: Path) -> None:
    fill_back_up_and_go_on(root, share=True)


def fill_and_scrub(root: Path) -> None:
    do(root, first)
    scrub(root)
    do(root, then)


def add_a_token(root: Path) -> None:
    root.mkdir()
    TokenFile(root / "tokens.json").add("old", scopes=["read"], now=NOW, ttl=None)


def fill_back_up_and_lose(root: Path) -> None:
    fill_and_back_up(root)
    for path in (root / "data" / "blobs").glob("*/*"):
        path.write_bytes(LARGE[:1000])


def restored(root: Path) -> Contents | None:
    """What the backup holds; None when it is told that it holds none."""
    shutil.rmtree(root / "again", ignore_errors=True)
    try:
        bring_back(root)
    except ConfigurationError:
        return None
    assert (root / "again" / "tokens.json").read_text() == "of somebody"
    return seen(root / "again")


def judge_backup(root: Path, mark: str, before: Contents | None) -> None:
    """It holds the old state or the new one, and then the next backup is taken."""
    new = seen(root / "data")
    found = restored(root)
    assert found == new or (mark == "begin" and found == before)
    back_up(root)
    assert restored(root) == new
    assert {path.name for path in (root / "backup" / "blobs").glob("*/*")} == blob_files(root / "again")
    assert list(check(root / "data", deep=True)) == []


def judge_restore(root: Path, mark: str, before: Contents | None) -> None:
    """It is refused, or whole."""
    data = root / "again"
    if (data / "FORMAT").exists():
        assert seen(data) == before
        assert (data / "tokens.json").read_text() == "of somebody"
        assert_sound(data)
        return
    assert mark == "begin"
    if data.exists() and list(data.iterdir()):
        with pytest.raises(ConfigurationError):
            seen(data)
        with pytest.raises(ConfigurationError):
            bring_back(root)
    assert restored(root) == before


def judge_mended(root: Path, mark: str, before: Contents | None) -> None:
    if mark == "done":
        assert not [finding for finding in check(root / "data", deep=True) if finding.lost]
    mend(root)
    assert seen(root / "data") == before
    assert_sound(root / "data")


def judge_scrub(root: Path, mark: str, _before: Contents | None) -> None:
    """It is gone on with, and what was verified last is still told."""
    folder = ScrubFolder(root)
    state = folder.read()
    if mark == "done":
        assert state.now is None
    if state.last is not None:
        assert {one.key for one in fixity.read(folder.report)} >= {"large", "small"}
    if state.now is not None and folder.unfinished.exists():
        assert len(list(fixity.read(folder.unfinished, state.now.report_size))) == state.now.bodies
    do(root, more)
    scrub(root)
    if state.now is not None and state.now.ended is not None:
        scrub(root)  # the first has brought to its end what was through
    assert {one.key for one in fixity.read(folder.report)} >= seen(root).objects.keys()


def judge_upgrade(root: Path, _mark: str, _before: Contents | None) -> None:
    assert list(check(root, deep=True)) == []

    async def look() -> dict[str, Any]:
        async with EngineBackend(root) as backend:
            return await golden.described(backend)

    told = golden.of(OLDEST)
    assert asyncio.run(look()) == {"objects": told["objects"], "uploads": told["uploads"]}
    assert_sound(root)


def judge_tokens(root: Path, mark: str, _before: Contents | None) -> None:
    names = [record.name for record in TokenFile(root / "tokens.json").read().records]
    assert names in (["old"], ["old", "new"])
    assert mark == "begin" or "new" in names
    assert len(LinkSecret(root / FILE_NAME).needed()) > 16


@dataclass(frozen=True)
class Scene:
    prepare: Callable[[Path], object]
    judge: Callable[[Path, str, Contents | None], None]  # raises what is wrong; told the mark, and what was there
    look: Callable[[Path], Contents | None] = lambda _root: None  # before it


SCENES: dict[str, Scene] = {
    "backup": Scene(fill, judge_backup),
    "backup again": Scene(fill_back_up_and_go_on, judge_backup, restored),
    "backup by links": Scene(fill_and_back_up_by_links, judge_backup, restored),
    "restore": Scene(fill_and_back_up, judge_restore, lambda root: seen(root / "data")),
    "mend": Scene(fill_back_up_and_lose, judge_mended, restored),
    "scrub": Scene(fill_and_scrub, judge_scrub),
    "upgrade": Scene(lambda root: shutil.copytree(OLDEST / "data", root), judge_upgrade),
    "token": Scene(add_a_token, judge_tokens),
}


@dataclass(frozen=True)
class Done:
    """What was played, how each of the disks was before it, and what was in it."""

    played: Played
    before: Mapping[str, Disk]
    contents: Mapping[str, Contents | None]


def done(tracer: Path, folder: Path, defect: str, *names: str) -> Done:
    before, there = {}, {}
    for name in names:
        root, copy = folder_of(folder / "disk", name), folder / f"copy of {name}"
        root.parent.mkdir(exist_ok=True)
        SCENES[name].prepare(root)
        before[name] = Disk.of(root)
        shutil.copytree(root, copy)
        there[name] = SCENES[name].look(copy)
    return Done(play(tracer, folder, "power_commands.py", [defect, *names]), before, there)


def wrongs(all_done: Done, memory: Path, name: str, since: Sequence[str] = MARKED) -> Iterator[str]:
    """For each state in which the disk may be found since one of these marks: what is wrong with it."""
    root, target = folder_of(all_done.played.disk, name), memory / "found"
    chance = random.Random(name)  # noqa: S311  to be repeated
    before = deepcopy(all_done.before[name])
    for mark, where, found in disks(all_done.played, root, name, chance, before, since=since):
        lay_out(found, root, target)
        try:
            SCENES[name].judge(target, mark, all_done.contents[name])
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  whatever it is, it is wrong
            yield f"{where}: {error!r}"


@pytest.fixture(scope="module")
def all_done(tracer: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """All of them, as they are."""
    return done(tracer, tmp_path_factory.mktemp("commands"), "none", *SCENES)


def test_every_command_is_tried() -> None:
    assert SCENES.keys() == ACTS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_a_power_cut_in_a_command_leaves_what_the_next_one_goes_on_with(
    name: str, all_done: Done, memory: Path
) -> None:
    assert list(wrongs(all_done, memory, name)) == []


@pytest.mark.parametrize(
    ("defect", "name"),
    [
        ("copies never synced", "backup"),
        ("copies never synced", "restore"),
        ("places never synced", "backup again"),
        ("places never synced", "restore"),
    ],
)
def test_what_is_not_synced_is_found(defect: str, name: str, tracer: Path, tmp_path: Path, memory: Path) -> None:
    assert any(wrongs(done(tracer, tmp_path, defect, name), memory, name, ["done"]))
