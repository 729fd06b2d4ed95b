"""A data directory made of a backup: all of it, verified, and none before it is whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.engine.still import Still, Syncs, mode, still, syncs
from objectstore.backends.engine import backup, restore, steps
from objectstore.backends.engine.backup import take
from objectstore.backends.engine.backupset import BackupSet, Manifest
from objectstore.backends.engine.check import Finding
from objectstore.backends.engine.directory import FORMAT_NAME, Directory
from objectstore.backends.engine.restore import Restored
from objectstore.errors import ConfigurationError, Corrupted, Unavailable

__all__ = ["syncs"]  # a fixture
pytestmark = pytest.mark.usefixtures("syncs")

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Still]:
    for module in (backup, restore):
        # To ask for those of all 256 takes most of the time.
        monkeypatch.setattr(module, "FOLDERS", ("00", "01", "aa", "ff"))
    with still(tmp_path / "data") as made:
        made.object("small", b"123")
        made.object("large", b"12345", "00a")
        made.object("larger", b"1234567", "00b")
        made.part("upload", 1, b"part", "ffc")
        yield made


@pytest.fixture
def kept(store: Still, tmp_path: Path) -> BackupSet:
    take(store.directory.root, tmp_path / "backup", now=NOW, share=False)
    return BackupSet(tmp_path / "backup")


@pytest.fixture
def again(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "a" / "again")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_what_was_backed_up_and_nothing_else(store: Still, kept: BackupSet, again: Directory) -> None:
    (store.directory.root / "tokens.json").write_text("secret")
    (store.directory.root / "links.key").write_text("key")
    take(store.directory.root, kept.root, now=NOW)
    manifest = kept.read()
    told: list[tuple[int, int]] = []
    old = os.umask(0)
    try:
        found = restore.restore(kept.root, again.root, deep=True, tell=lambda *one: told.append(one))
    finally:
        os.umask(old)
    assert found == Restored(manifest=manifest, findings=())
    assert told == [(5, 16), (12, 16), (16, 16)]
    assert {name for name in names(again.root) if not name.startswith("index.sqlite3-")} == {
        "FORMAT",
        "blobs",
        "index.sqlite3",
        "links.key",
        "staging",
        "tokens.json",
    }
    for name in ("FORMAT", "tokens.json", "links.key"):
        assert (again.root / name).read_bytes() == (store.directory.root / name).read_bytes()
    assert again.index.read_bytes() == kept.index(manifest.state).read_bytes()
    bodies = {path.name: path.read_bytes() for path in again.blobs.glob("*/*")}
    assert bodies == {"00a": b"12345", "00b": b"1234567", "ffc": b"part"}
    assert names(again.blobs) == ["00", "ff"]
    everything = [again.root, *again.root.rglob("*")]
    assert {mode(path) for path in everything if path.is_dir()} == {0o700}
    assert {mode(path) for path in everything if path.is_file()} == {0o600}
    with kept.changing():
        pass


def test_it_becomes_a_data_directory_when_all_is_on_disk(
    store: Still, kept: BackupSet, again: Directory, syncs: Syncs
) -> None:
    (store.directory.root / "tokens.json").write_text("secret")
    take(store.directory.root, kept.root, now=NOW)
    reached: list[str] = []

    def step(name: str) -> None:
        reached.append(name)
        assert not again.format.exists()
        assert (again.root / "RESTORING").read_bytes() == b""
        assert all(map(syncs.survives, again.blobs.glob("*/*")))
        for path in (again.root / "RESTORING", again.root / "tokens.json", again.index):
            assert syncs.survives(path)
        for path in (again.root.parent, again.root, again.blobs, *again.blobs.iterdir()):
            assert syncs.is_named(path)
        with pytest.raises(ConfigurationError, match="another backup or a restore is under way"), kept.changing():
            raise AssertionError

    restore.restore(kept.root, again.root, step=step)
    assert reached == [steps.BEFORE_FORMAT]
    assert syncs.survives(again.format)
    assert "RESTORING" not in set(syncs.found[again.root])


def test_it_says_on_disk_that_it_is_a_restore_before_anything_is_in_it(
    kept: BackupSet, again: Directory, syncs: Syncs
) -> None:
    kept.index(kept.read().state).unlink()
    with pytest.raises(Corrupted):
        restore.restore(kept.root, again.root)
    assert names(again.root) == ["RESTORING"]
    assert syncs.survives(again.root / "RESTORING")


def test_only_a_whole_backup_is_restored(kept: BackupSet, again: Directory, tmp_path: Path) -> None:
    manifest = kept.read()
    kept.write(Manifest())
    with pytest.raises(ConfigurationError) as told:
        restore.restore(kept.root, again.root)
    assert told.value.message == f"there is no whole backup in {kept.root}: the first one was cut short"
    kept.write(manifest)
    (kept.states / manifest.state / "FORMAT").write_text(f'{{"format": "{FORMAT_NAME}", "version": 99}}')
    with pytest.raises(ConfigurationError, match="has format version 99"):
        restore.restore(kept.root, again.root)
    with pytest.raises(ConfigurationError, match="there is no backup"):
        restore.restore(tmp_path / "nothing", again.root)
    with kept.changing(), pytest.raises(ConfigurationError, match="a backup is under way"):
        restore.restore(kept.root, again.root)
    assert not again.root.exists()


def test_what_is_not_empty_is_refused_and_not_touched(kept: BackupSet, again: Directory) -> None:
    again.root.mkdir(parents=True)
    for name in ("b", "a", "c"):
        (again.root / name).touch()
    with pytest.raises(ConfigurationError) as told:
        restore.restore(kept.root, again.root)
    assert told.value.message == (f"{again.root} is not empty (it holds 'a'); restore into an empty or a new folder")
    assert names(again.root) == ["a", "b", "c"]
    (again.root / "RESTORING").touch()
    with pytest.raises(ConfigurationError) as told:
        restore.restore(kept.root, again.root)
    assert told.value.message == (
        f"{again.root} holds what a restore that was cut short has left; delete it, then restore again"
    )
    assert names(again.root) == ["RESTORING", "a", "b", "c"]


@pytest.mark.parametrize("change", ["size", "digest"])
def test_an_index_that_is_not_what_was_backed_up_is_restored_only_when_told_so(
    kept: BackupSet, again: Directory, tmp_path: Path, change: str
) -> None:
    manifest = kept.read()
    other = replace(manifest, index_size=1) if change == "size" else replace(manifest, index_sha256="00" * 32)
    kept.write(other)
    with pytest.raises(Corrupted) as told:
        restore.restore(kept.root, again.root)
    assert told.value.message == (
        f"the index in {kept.root} is not what was backed up; --salvage restores what can be read"
    )
    assert not again.format.exists()
    found = restore.restore(kept.root, tmp_path / "salvaged", salvage=True)
    assert found == Restored(manifest=other)
    Directory(tmp_path / "salvaged").check_format()


def test_an_index_that_is_missing_or_none_is_told(kept: BackupSet, again: Directory, tmp_path: Path) -> None:
    index = kept.index(kept.read().state)
    index.write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupted) as none:
        restore.restore(kept.root, again.root, salvage=True)
    assert isinstance(none.value.__cause__, sqlite3.Error)
    assert str(none.value.__cause__) in none.value.message
    index.unlink()
    with pytest.raises(Corrupted) as told:
        restore.restore(kept.root, tmp_path / "another", salvage=True)
    assert told.value.message == f"the index of the backup, {index}, is missing"


def test_what_the_disk_complains_of_is_told_as_an_error_of_ours(kept: BackupSet, again: Directory) -> None:
    path = kept.blobs / "00" / "00a"
    path.unlink()
    path.mkdir()
    with pytest.raises(Unavailable) as told:
        restore.restore(kept.root, again.root)
    assert isinstance(told.value.__cause__, IsADirectoryError)
    assert not again.format.exists()


def test_what_is_lost_is_told_and_restored_without_it_only_when_told_so(
    kept: BackupSet, again: Directory, tmp_path: Path
) -> None:
    (kept.blobs / "00" / "00a").unlink()
    (kept.blobs / "00" / "00b").write_bytes(b"other")
    with pytest.raises(Corrupted) as told:
        restore.restore(kept.root, again.root)
    assert told.value.message == (
        f"the backup in {kept.root} is damaged; --salvage restores what can be read:\n"
        "missing: large: the body is missing\n"
        "wrong-size: larger: the body has 5 bytes, not 7"
    )
    assert not again.format.exists()
    sizes: list[tuple[int, int]] = []
    found = restore.restore(kept.root, tmp_path / "salvaged", salvage=True, tell=lambda *one: sizes.append(one))
    assert [(one.kind, one.name) for one in found.findings] == [("missing", "large"), ("wrong-size", "larger")]
    assert sizes[-1] == (16, 16)
    Directory(tmp_path / "salvaged").check_format()


def test_digests_are_compared_when_told_so(kept: BackupSet, again: Directory, tmp_path: Path) -> None:
    (kept.blobs / "00" / "00a").write_bytes(b"54321")
    assert restore.restore(kept.root, again.root).findings == ()
    with pytest.raises(Corrupted, match=r"\nwrong-digest: large: the body is not what was written$"):
        restore.restore(kept.root, tmp_path / "deep", deep=True)


@pytest.mark.parametrize("more", [0, 1, 5])
def test_of_very_much_that_is_lost_ten_are_named(store: Still, kept: BackupSet, again: Directory, more: int) -> None:
    for number in range(10 + more):
        store.object(f"key {number:02}", b"body", f"aa{number}")
    take(store.directory.root, kept.root, now=NOW)
    for path in (kept.blobs / "aa").iterdir():
        path.unlink()
    with pytest.raises(Corrupted) as told:
        restore.restore(kept.root, again.root)
    _, *lines = told.value.message.split("\n")
    expected = [f"missing: key {number:02}: the body is missing" for number in range(10)]
    assert lines == expected + ([f"and {more} more"] if more else [])


def test_what_is_too_much_is_told_and_no_reason_to_refuse(store: Still, kept: BackupSet, again: Directory) -> None:
    store.database.execute("INSERT INTO bodies VALUES (100, x'00')")
    take(store.directory.root, kept.root, now=NOW)
    found = restore.restore(kept.root, again.root)
    message = "no row refers to this body in the index"
    assert found.findings == (Finding(kind="orphan-body", name="100", message=message),)
    again.check_format()
