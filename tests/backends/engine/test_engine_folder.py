"""The folder of a store without the store: whose it is, how full its disk is, and what dead processes left in it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from objectstore.backends.engine import directory as module
from objectstore.backends.engine import recovery, schema, steps
from objectstore.backends.engine.blobs import BATCH_SUFFIX, names_of
from objectstore.backends.engine.directory import (
    FORMAT_NAME,
    FORMAT_VERSION,
    RESERVE,
    Directory,
    make_folder,
    nearly_full,
    sync_folder,
    try_lock,
)
from objectstore.backends.engine.index import Index
from objectstore.errors import ConfigurationError


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


def test_a_blob_is_in_the_folder_of_its_first_two_letters(directory: Directory) -> None:
    assert directory.blob("abcdef") == f"{directory.root}/blobs/ab/abcdef"


def test_every_part_has_its_name_which_later_releases_look_for(directory: Directory) -> None:
    parts = {name: path.name for name, path in vars(directory).items() if name != "root"}
    assert parts == {
        "format": "FORMAT",
        "index": "index.sqlite3",
        "log": "index.sqlite3-wal",
        "changes": "changes",
        "highwater": "highwater",
        "blobs": "blobs",
        "staging": "staging",
        "lost": "lost",
    }
    assert {path.parent for name, path in vars(directory).items() if name != "root"} == {directory.root}


def test_a_folder_is_to_be_filled_until_its_last_part_is_there(directory: Directory) -> None:
    (directory.root / ".FORMAT-leftover").write_text("of a crash")
    (directory.root / "tokens.json").write_text("of the server")
    assert directory.claim()
    assert json.loads(directory.format.read_text()) == {"format": FORMAT_NAME, "version": FORMAT_VERSION}
    assert sorted(path.name for path in directory.root.iterdir()) == ["FORMAT", "tokens.json"]
    assert directory.format.stat().st_mode & 0o777 == 0o600
    assert directory.claim()
    schema.create(directory.index)
    assert directory.claim()
    directory.blobs.mkdir()
    assert not directory.claim()
    directory.index.unlink()
    with pytest.raises(ConfigurationError, match=r"index\.sqlite3 is missing, so nothing in .* can be found; restore"):
        directory.claim()


def test_what_is_not_ours_is_named_and_left_alone(directory: Directory) -> None:
    (directory.root / "thesis.tex").write_text("x")
    (directory.root / "zoo").mkdir()
    with pytest.raises(ConfigurationError) as told:
        directory.claim()
    assert told.value.message == (
        f"{directory.root} is not a data directory of this store and not empty (it holds 'thesis.tex'); "
        "name an empty or a new folder"
    )
    assert not directory.format.exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "another engine", "version": 1}', '{"format": "objectstore engine", "version": "1"}'],
)
def test_another_format_is_refused(directory: Directory, text: str) -> None:
    directory.format.write_text(text)
    with pytest.raises(ConfigurationError, match="is not the FORMAT file of this store; name another data directory"):
        directory.check_format()


def test_a_newer_format_names_the_release_to_use(directory: Directory) -> None:
    for version in (0, FORMAT_VERSION):
        directory.format.write_text(json.dumps({"format": FORMAT_NAME, "version": version}))
        directory.check_format()
    directory.format.write_text(json.dumps({"format": FORMAT_NAME, "version": FORMAT_VERSION + 1}))
    with pytest.raises(ConfigurationError) as told:
        directory.check_format()
    assert told.value.message == (
        f"{directory.root} has format version {FORMAT_VERSION + 1}; this release reads up to {FORMAT_VERSION}: "
        "use the release that wrote it, or a newer one"
    )
    directory.format.unlink()
    with pytest.raises(ConfigurationError, match="is not a data directory of this store"):
        directory.check_format()


@pytest.mark.parametrize(
    ("blocks", "files", "free", "full"),
    [
        (RESERVE // 4096, 100, 50, False),
        (RESERVE // 4096 - 1, 100, 50, True),
        (RESERVE, 100, 1, False),
        (RESERVE, 100, 0, True),
        (RESERVE, 1, 0, True),
        (RESERVE, 0, 0, False),  # a file system without a limit of files
        (0, 0, 0, True),
    ],
)
def test_a_disk_is_nearly_full_by_bytes_or_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blocks: int, files: int, free: int, full: bool
) -> None:
    found = SimpleNamespace(f_bavail=blocks, f_frsize=4096, f_files=files, f_favail=free)
    monkeypatch.setattr(module, "os", SimpleNamespace(statvfs=lambda _path: found))
    assert nearly_full(tmp_path) == full


def test_folders_are_private_and_made_with_those_above_when_that_is_asked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_folder(tmp_path / "a/b")
    make_folder(tmp_path / "a/b", parents=True)
    make_folder(tmp_path / "x/y/z", parents=True)
    make_folder(tmp_path / "a/b/c")
    make_folder(tmp_path / "a/b/c")
    assert [(tmp_path / path).stat().st_mode & 0o777 for path in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_only_a_folder_is_synced_as_one(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


# What dead processes left


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES)
        yield connection


def blob_file(directory: Directory, blob: str) -> Path:
    path = Path(directory.blob(blob))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def test_what_no_row_names_goes_and_who_lives_keeps_all(
    directory: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of("dead")
    kept, lost = names[10], [names[3], names[200]]
    database.execute("INSERT INTO garbage VALUES (1, ?)", (kept,))
    files = {name: blob_file(directory, name) for name in (kept, *lost)}
    alive = blob_file(directory, names_of("alive")[0])
    for process, batch in (("a", "dead"), ("c", "alive"), ("d", "other"), ("e", "another")):
        (directory.staging / process).mkdir(parents=True)
        (directory.staging / process / f"{batch}{BATCH_SUFFIX}").touch()
    (directory.staging / "b").write_text("not ours")
    synced: list[str] = []
    monkeypatch.setattr(recovery, "sync_folder", lambda path: synced.append(str(path)))
    passed: list[str] = []
    fd = os.open(directory.staging / "c", os.O_RDONLY)
    try:
        assert try_lock(fd)
        assert recovery.sweep(directory, Index(database), passed.append) == 3
    finally:
        os.close(fd)
    assert sorted(path.name for path in directory.staging.iterdir()) == ["b", "c"]
    assert {name: path.exists() for name, path in files.items()} == {kept: True} | dict.fromkeys(lost, False)
    assert alive.exists()
    assert synced == [str(files[name].parent) for name in lost]
    assert passed == [steps.AFTER_SWEEP_BLOBS, steps.AFTER_SWEEP] * 3
    assert recovery.sweep(directory, Index(database), passed.append) == 1, "it has died since"
    assert not alive.exists()
    assert recovery.sweep(directory, Index(database), passed.append) == 0


def test_a_process_may_end_while_it_is_looked_at(directory: Directory, database: sqlite3.Connection) -> None:
    directory.staging.mkdir(exist_ok=True)
    gone = directory.staging / "gone"
    gone.symlink_to("nowhere")  # listed, and not to be opened
    ending = directory.staging / "late"
    ending.mkdir()

    def end(step: str) -> None:
        if step == steps.AFTER_SWEEP_BLOBS:
            ending.rmdir()

    assert list(directory.processes()) == [(ending, True)]
    assert recovery.sweep(directory, Index(database), end) == 1
    assert list(directory.staging.iterdir()) == [gone]


def test_there_may_be_nothing_to_sweep(directory: Directory, database: sqlite3.Connection) -> None:
    assert recovery.sweep(directory, Index(database), steps.no_step) == 0
    assert directory.staging.is_dir()


def test_who_opens_while_another_does_waits_for_it(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as another:
        another.enter_context(directory.opening())
        # While it waits, the other comes to its end.
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: another.close()))
        with directory.opening():
            pass
