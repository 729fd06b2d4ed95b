"""What scrubbing remembers, in its own folder: who scrubs, how far it is, and what it has seen."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from objectstore.backends.engine import backupset
from objectstore.backends.engine.directory import sync_folder
from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State, under_way
from objectstore.errors import Corrupted

NOW = Pass(began=2.5, bodies=3, size=4, damaged=1, part=True, after="u/1", report_size=5)
LAST = Pass(began=1.0, ended=2.0, bodies=7, size=8, damaged=2)
STATE = State(now=NOW, last=LAST, bodies=9, size=10, trouble="of some kind")


@pytest.fixture
def folder(tmp_path: Path) -> ScrubFolder:
    return ScrubFolder(tmp_path)


def test_every_file_has_its_name_which_later_releases_look_for(folder: ScrubFolder, tmp_path: Path) -> None:
    with folder.scrubbing(), folder.asking():
        folder.write(STATE)
    assert sorted(path.name for path in folder.root.iterdir()) == ["state.json", "turn"]
    assert folder.root == tmp_path / "scrub"
    assert (folder.report.name, folder.unfinished.name) == ("report.jsonl.gz", "unfinished.jsonl.gz")
    assert {folder.report.parent, folder.unfinished.parent} == {folder.root}
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.root.iterdir()} == {0o600}


def test_one_scrubs_and_one_asks_for_it(folder: ScrubFolder) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths
    assert not folder.is_asked_for()
    with folder.scrubbing() as ours, folder.scrubbing() as theirs:
        assert (ours, theirs) == (True, False)
        assert not folder.is_asked_for()
        with folder.asking() as first, folder.asking() as second:
            assert (first, second) == (True, False)
            assert folder.is_asked_for()
    with folder.scrubbing() as ours:
        assert ours
    assert not folder.is_asked_for()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  as above


def test_who_asks_first_needs_no_scrub_before(folder: ScrubFolder) -> None:
    with folder.asking() as ours:
        assert ours
        assert folder.is_asked_for()


def test_what_is_remembered_is_on_disk_before_it_counts(folder: ScrubFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.root.mkdir()
    assert folder.read() == State()
    state = folder.root / "state.json"
    state.with_suffix(".new").write_text("of a crash")
    synced: list[tuple[Path, list[str]]] = []

    def watched(path: Path) -> None:
        synced.append((path, os.listdir(path)))  # noqa: PTH208  names
        sync_folder(path)

    monkeypatch.setattr(backupset, "sync_folder", watched)
    folder.write(STATE)
    assert synced == [(folder.root, ["state.json"])]
    assert folder.read() == STATE
    assert json.loads(state.read_text())["version"] == 1
    folder.write(State(last=LAST))
    assert folder.read() == State(last=LAST)
    folder.write(State(now=NOW))
    assert folder.read() == State(now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "now": null, "last": null}',
        '{"version": 1}',
        '{"version": 1, "now": null}',
        '{"version": 1, "now": {"unknown": 1}, "last": null}',
        '{"version": 1, "now": null, "last": null, "unknown": 1}',
    ],
)
def test_what_cannot_be_read_is_told_with_the_way_out(folder: ScrubFolder, text: str) -> None:
    folder.root.mkdir()
    state = folder.root / "state.json"
    state.write_text(text)
    with pytest.raises(Corrupted) as told:
        folder.read()
    assert told.value.message == f"{state} is damaged, or of a newer release; delete it to scrub from the start"


@pytest.mark.parametrize("reported", [False, True])
def test_a_pass_that_is_through_is_the_last_one(folder: ScrubFolder, reported: bool) -> None:
    folder.root.mkdir()
    folder.report.write_text("old")
    if reported:
        folder.unfinished.write_text("new")
    ended = folder.finish(STATE)
    assert ended == folder.read() == State(last=NOW, bodies=9, size=10, trouble="of some kind")
    assert folder.report.read_text() == ("new" if reported else "old")
    assert not folder.unfinished.exists()
    with pytest.raises(ValueError, match="no pass is under way"):
        folder.finish(ended)


def test_damage_is_known_until_a_whole_pass_has_found_it_mended() -> None:
    assert State().damaged == 0
    assert State(now=NOW).damaged == 1
    assert State(now=NOW, last=LAST).damaged == 2
    assert State(now=LAST, last=NOW).damaged == 2
    assert under_way(STATE) == NOW
