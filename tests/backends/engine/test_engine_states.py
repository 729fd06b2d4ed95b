"""A backup of a data directory made by hand: what it holds, what it is told of, and when each part is on disk."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from backends.engine.still import Still, Syncs, mode, still, syncs
from objectstore.backends.engine import backup, steps, transcript
from objectstore.backends.engine.backup import Report, no_telling, take
from objectstore.backends.engine.backupset import BackupSet, Manifest
from objectstore.backends.engine.directory import FORMAT_NAME
from objectstore.backends.engine.hold import collecting
from objectstore.errors import ConfigurationError, Corrupted, Unavailable

__all__ = ["syncs"]  # a fixture
pytestmark = pytest.mark.usefixtures("syncs")

NOW = datetime(2026, 1, 2, 13, 4, 5, 600_000, tzinfo=timezone(timedelta(hours=-8)))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Still]:
    # To ask for those of all 256 takes most of the time.
    monkeypatch.setattr(backup, "FOLDERS", ("00", "0f", "aa", "ab", "ff"))
    with still(tmp_path / "data") as made:
        yield made


@pytest.fixture
def kept(tmp_path: Path) -> BackupSet:
    return BackupSet(tmp_path / "backup")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time of the machine is not UTC."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "FAR-9")
        time.tzset()
        yield
    time.tzset()


def fill(store: Still) -> None:
    store.object("small", b"123")
    store.object("large", b"12345", "00a")
    store.object("large/copy", b"12345", "00a")
    store.object("larger", b"1234567", "0fb")
    store.part("upload", 1, b"part", "ffc")
    store.part("upload", 2, b"small part")


def back_up(
    store: Still,
    kept: BackupSet,
    *,
    share: bool = True,
    replace: bool = False,
    tell: Callable[[int, int], None] = no_telling,
    step: Callable[[str], None] = steps.no_step,
) -> Report:
    return take(store.directory.root, kept.root, now=NOW, share=share, replace=replace, tell=tell, step=step)


def files(kept: BackupSet) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in kept.blobs.glob("*/*")}


def keys(index: Path) -> list[str]:
    with closing(sqlite3.connect(index)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM objects ORDER BY key")]


def at(step: str, act: Callable[[], object]) -> Callable[[str], None]:
    def reached(name: str) -> None:
        if name == step:
            act()

    return reached


@pytest.mark.usefixtures("elsewhere")
def test_it_says_what_it_holds_and_what_that_took(store: Still, kept: BackupSet) -> None:
    fill(store)
    old = os.umask(0)
    try:
        report = back_up(store, kept)
    finally:
        os.umask(old)
    state = report.manifest.state
    index = kept.index(state)
    manifest = Manifest(
        state=state,
        taken="2026-01-02T21:04:05Z",
        sequence=6,
        objects=4,
        size=20,
        blobs=3,
        blobs_size=16,
        index_size=index.stat().st_size,
        index_sha256=hashlib.sha256(index.read_bytes()).hexdigest(),
    )
    assert report == Report(manifest=manifest, linked=3, copied=0, copied_size=0, removed=0)
    assert kept.read() == manifest
    assert files(kept) == {"00a": b"12345", "0fb": b"1234567", "ffc": b"part"}
    assert keys(index) == ["large", "large/copy", "larger", "small"]
    everything = [kept.root, *kept.root.rglob("*")]
    assert {mode(path) for path in everything if path.is_dir()} == {0o700}
    assert {mode(path) for path in everything if path.is_file() and path.parent.parent != kept.blobs} == {0o600}
    assert sorted(os.listdir(kept.root)) == ["BACKUP", "blobs", "states"]  # noqa: PTH208  names, not paths
    assert sorted(os.listdir(index.parent)) == ["FORMAT", "index.sqlite3"]  # noqa: PTH208  as above


def test_what_lies_beside_the_data_is_kept_with_it(store: Still, kept: BackupSet) -> None:
    root = store.directory.root
    for name in ("tokens.json", "links.key", "tokens.json.lock", "highwater"):
        (root / name).write_text(f"the {name}")
    folder = kept.states / back_up(store, kept).manifest.state
    assert {path.name for path in folder.iterdir()} == {"FORMAT", "index.sqlite3", "tokens.json", "links.key"}
    for name in ("FORMAT", "tokens.json", "links.key"):
        assert (folder / name).read_bytes() == (root / name).read_bytes()


@pytest.mark.parametrize("share", [True, False])
def test_at_each_step_what_came_before_is_on_disk(store: Still, kept: BackupSet, syncs: Syncs, share: bool) -> None:
    reached: list[str] = []

    def step(name: str) -> None:
        reached.append(name)
        match name:
            case steps.AFTER_MARK:
                assert syncs.survives(kept.manifest)
                assert syncs.is_named(kept.root)
            case steps.AFTER_SNAPSHOT:
                for state in kept.states.iterdir():
                    assert syncs.is_named(state)
                    assert all(map(syncs.survives, state.iterdir()))
                assert syncs.is_named(kept.states)
                assert syncs.is_named(kept.blobs)
            case steps.AFTER_NEW_BLOB:
                assert len(files(kept)) == was + reached.count(name)
            case steps.AFTER_BLOBS:
                assert all(map(syncs.survives, kept.blobs.glob("*/*")))
                assert all(map(syncs.is_named, kept.blobs.iterdir()))
                assert kept.read() == before
            case steps.AFTER_MANIFEST:
                assert syncs.survives(kept.manifest)
                assert kept.read().sequence == before.sequence + changes
                assert len(list(kept.states.iterdir())) == (2 if was else 1)
            case steps.AFTER_OLD_STATES:
                assert [state.name for state in kept.states.iterdir()] == [kept.read().state]
                assert len(files(kept)) == was + reached.count(steps.AFTER_NEW_BLOB)
            case _:
                assert set(files(kept)) == wanted

    before, changes, was, wanted = Manifest(), 6, 0, {"00a", "0fb", "ffc"}
    fill(store)
    back_up(store, kept, share=share, step=step)
    end = [steps.AFTER_BLOBS, steps.AFTER_MANIFEST, steps.AFTER_OLD_STATES, steps.AFTER_OLD_BLOBS]
    assert reached == [steps.AFTER_MARK, steps.AFTER_SNAPSHOT, *[steps.AFTER_NEW_BLOB] * 3, *end]
    store.remove("larger")
    store.object("new", b"new", "aad")
    reached.clear()
    before, changes, was, wanted = kept.read(), 2, 3, {"00a", "aad", "ffc"}
    back_up(store, kept, share=share, step=step)
    assert reached == [steps.AFTER_SNAPSHOT, steps.AFTER_NEW_BLOB, *end]


def test_it_is_one_moment_whoever_writes_meanwhile(
    store: Still, kept: BackupSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_PAGES", 2)
    fill(store)
    store.remove("larger")
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        if not told:
            store.object("late", b"late", "abd")
        told.append((done, total))

    report = back_up(store, kept, tell=tell)
    assert (report.manifest.sequence, report.manifest.objects) == (7, 3)
    index = kept.index(report.manifest.state)
    assert keys(index) == ["large", "large/copy", "small"]
    assert sorted(files(kept)) == ["00a", "ffc"], "garbage is not wanted"
    with closing(sqlite3.connect(index)) as connection:
        assert connection.execute("SELECT count(*) FROM garbage").fetchone() == (0,)
    size = report.manifest.index_size
    assert told[:-2] == [(done, size) for done in range(2 * 4096, size, 2 * 4096)] + [(size, size)]
    assert told[-2:] == [(5, 9), (9, 9)]
    assert len(told) > 4


def test_garbage_is_held_back_until_all_is_there_and_nobody_else_works_on_the_backup(
    store: Still, kept: BackupSet
) -> None:
    fill(store)
    free: list[bool] = []

    def step(_name: str) -> None:
        with collecting(store.directory) as ours:
            free.append(ours)
        with pytest.raises(ConfigurationError, match="a backup is under way"), kept.reading():
            raise AssertionError

    back_up(store, kept, step=step)
    assert free == [True, *[False] * 5, *[True] * 3]
    with kept.reading():
        pass


def test_only_what_is_new_is_moved_and_what_nothing_needs_goes(store: Still, kept: BackupSet) -> None:
    fill(store)
    back_up(store, kept, share=False)
    before = {path: path.stat().st_ino for path in kept.blobs.glob("*/*")}
    store.remove("large")
    store.remove("large/copy")
    store.remove("larger")
    store.object("new", b"123456789", "00d")
    store.object("newer", b"1", "00e")
    (kept.blobs / "00" / f"00f{transcript.UNFINISHED}").write_text("cut short")
    for name in ("a", "b"):
        (kept.states / name).mkdir()
        (kept.states / name / "index.sqlite3").touch()
    told: list[tuple[int, int]] = []
    report = back_up(store, kept, share=False, tell=lambda *one: told.append(one))
    assert (report.linked, report.copied, report.copied_size, report.removed) == (0, 2, 10, 2)
    assert told[-2:] == [(9, 10), (10, 10)]
    assert files(kept) == {"00d": b"123456789", "00e": b"1", "ffc": b"part"}
    assert (kept.blobs / "ff" / "ffc").stat().st_ino == before[kept.blobs / "ff" / "ffc"]
    assert [path.name for path in kept.states.iterdir()] == [report.manifest.state]
    again = back_up(store, kept, share=False)
    assert (again.linked, again.copied, again.copied_size, again.removed) == (0, 0, 0, 0)


@pytest.mark.parametrize("share", [True, False])
def test_a_blob_is_a_link_or_a_copy(store: Still, kept: BackupSet, share: bool) -> None:
    fill(store)
    back_up(store, kept, share=share)
    for name in ("00a", "0fb", "ffc"):
        path = kept.blobs / name[:2] / name
        assert path.samefile(store.blob(name)) == share
        assert mode(path) == (mode(store.blob(name)) if share else 0o600)


@pytest.mark.parametrize("share", [True, False])
def test_what_is_there_in_another_size_or_as_a_symbolic_link_is_replaced(
    store: Still, kept: BackupSet, share: bool
) -> None:
    store.object("a", b"12345", "00a")
    store.object("b", b"1234567", "00b")
    folder = kept.blobs / "00"
    back_up(store, kept)
    for path, change in ((folder / "00a", b"1234"), (folder / "00b", None)):
        path.unlink()
        if change is None:
            path.symlink_to(store.blob("00b"))
        else:
            path.write_bytes(change)
    report = back_up(store, kept, share=share)
    assert (report.linked, report.copied, report.removed) == ((2, 0, 0) if share else (0, 2, 0))
    assert files(kept) == {"00a": b"12345", "00b": b"1234567"}
    assert not (folder / "00b").is_symlink()


@pytest.mark.parametrize("body", [b"123456", b"12346", b""])
def test_a_damaged_file_is_told_and_not_kept(store: Still, kept: BackupSet, body: bytes) -> None:
    back_up(store, kept)
    before = kept.read()
    store.object("a", b"12345", "00a")
    store.blob("00a").write_bytes(body)
    with pytest.raises(Corrupted) as told:
        back_up(store, kept, share=False)
    root = store.directory.root
    assert told.value.message == f"the file {store.blob('00a')} is damaged; run `objectstore check --deep {root}`"
    assert files(kept) == {}
    assert kept.read() == before


@pytest.mark.parametrize("share", [True, False])
def test_a_missing_file_is_told(store: Still, kept: BackupSet, share: bool) -> None:
    store.object("a", b"12345", "00a")
    store.blob("00a").unlink()
    with pytest.raises(Corrupted) as told:
        back_up(store, kept, share=share)
    root = store.directory.root
    assert told.value.message == f"the file {store.blob('00a')} is missing; run `objectstore check {root}`"


def test_a_row_that_tells_another_size_is_no_reason_to_believe_the_digest(store: Still, kept: BackupSet) -> None:
    store.object("a", b"12345", "00a")
    store.database.execute("UPDATE objects SET size = 6")
    with pytest.raises(Corrupted, match="is damaged"):
        back_up(store, kept, share=False)


@pytest.mark.parametrize(("times", "share"), [(1, True), (2, False), (3, True)])
def test_files_that_vanish_with_their_rows_cost_another_attempt_or_two(
    store: Still, kept: BackupSet, times: int, share: bool
) -> None:
    for number in range(4):
        store.object(f"{number}", b"12345", f"00{number}")
    attempts: list[int] = []

    def unlink() -> None:
        number = len(attempts)
        attempts.append(number)
        if number < times:
            store.remove(f"{number}")
            store.blob(f"00{number}").unlink()

    step = at(steps.AFTER_SNAPSHOT, unlink)
    if times < 3:
        report = back_up(store, kept, share=share, step=step)
        assert (report.manifest.objects, report.linked, report.copied) == (4 - times, *((3, 0) if share else (0, 2)))
        assert sorted(files(kept)) == [f"00{number}" for number in range(times, 4)]
        assert len(attempts) == times + 1
    else:
        with pytest.raises(Unavailable) as told:
            back_up(store, kept, share=share, step=step)
        assert told.value.message == (
            "files are removed while they are backed up; restart the servers of earlier releases, then try again"
        )
        assert kept.read() == Manifest()
        assert len(attempts) == 3


def test_an_earlier_state_is_in_the_place_of_a_later_one_only_when_told_so(store: Still, kept: BackupSet) -> None:
    for _ in range(3):
        store.object("key", b"x")
    back_up(store, kept)
    assert back_up(store, kept).manifest.sequence == 3, "the same is no earlier one"
    store.database.execute("UPDATE sequence SET last = 2")
    before = kept.read()
    with pytest.raises(ConfigurationError) as told:
        take(store.directory.root, kept.root, now=NOW)
    assert told.value.message == (
        f"{kept.root} holds a later state (change 3) than {store.directory.root} (change 2): "
        "is it another store, or is its disk not mounted? --replace backs it up anyway"
    )
    assert kept.read() == before
    assert back_up(store, kept, replace=True).manifest.sequence == 2


def test_a_backup_and_its_data_are_not_one_inside_the_other(store: Still, tmp_path: Path) -> None:
    root = store.directory.root
    (tmp_path / "link").symlink_to(root / "blobs")
    for target in (root, root / "backup", tmp_path, tmp_path / "link" / "backup", root / ".." / "data"):
        with pytest.raises(ConfigurationError) as told:
            take(root, target, now=NOW)
        assert told.value.message == f"a backup of {root} cannot be kept in {target}: one is inside the other"
    store.object("large", b"12345", "00a")
    assert take(root, tmp_path / "data of backups", now=NOW).linked == 1, "which is what is done by itself"


def test_a_backup_of_a_newer_format_is_left_alone(store: Still, kept: BackupSet) -> None:
    back_up(store, kept)
    (kept.states / kept.read().state / "FORMAT").write_text(f'{{"format": "{FORMAT_NAME}", "version": 99}}')
    with pytest.raises(ConfigurationError, match="has format version 99"):
        back_up(store, kept)
    with pytest.raises(ConfigurationError, match="is not a data directory"):
        take(kept.root / "nothing", kept.root.parent / "nowhere", now=datetime.now(UTC))
    assert not (kept.root.parent / "nowhere").exists()


def test_what_the_disk_and_sqlite_complain_of_is_told_as_errors_of_ours(store: Still, kept: BackupSet) -> None:
    file = store.directory.root.parent / "file"
    file.touch()
    with pytest.raises(Unavailable) as told:
        take(store.directory.root, file / "backup", now=NOW)
    assert isinstance(told.value.__cause__, OSError)
    store.database.close()
    store.directory.index.write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupted) as damaged:
        back_up(store, kept)
    assert isinstance(damaged.value.__cause__, sqlite3.Error)
    assert str(damaged.value.__cause__) in damaged.value.message
