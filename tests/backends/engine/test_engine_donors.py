"""Single bodies brought back from a backup: which one is taken, and how it gets into its place."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backends.engine.bare import laid_out
from objectstore.backends.engine import mending, schema, transcript
from objectstore.backends.engine.backupset import BackupSet, Manifest
from objectstore.backends.engine.board import Board
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.hold import collecting
from objectstore.backends.engine.mending import Donor, donor, mend
from objectstore.backends.engine.stored import Gap, Stored
from objectstore.backends.engine.turns import Turns
from objectstore.errors import ConfigurationError, Unavailable

BODY = b"a body"
SHA256 = hashlib.sha256(BODY).digest()
WANTED = Stored("key", len(BODY), SHA256, None, 5)
IN_FILE = replace(WANTED, blob="aa1")


def put(database: sqlite3.Connection, key: str, seq: int, body: bytes | Path | None) -> None:
    """A row that says BODY, whatever is there."""
    blob = body.name if isinstance(body, Path) else None
    values = (key, seq, len(BODY), SHA256, blob)
    database.execute("INSERT INTO objects VALUES (?, ?, ?, 'e', 0, 0, ?, NULL, NULL, ?)", values)
    if isinstance(body, bytes):
        database.execute("INSERT INTO bodies VALUES (?, ?)", (seq, body))


def blob(folder: Path, name: str, body: bytes = BODY) -> Path:
    path = folder / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> BackupSet:
    return BackupSet(tmp_path / "kept")


@pytest.fixture
def old() -> Iterator[sqlite3.Connection]:
    """The index of the backup."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES)
        yield connection


@pytest.fixture
def source(kept: BackupSet, old: sqlite3.Connection) -> Donor:
    return Donor(kept, old)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return laid_out(tmp_path / "data")


@pytest.fixture
def database(directory: Directory) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


# What the backup has


def test_the_body_of_the_same_key_is_taken_first(kept: BackupSet, old: sqlite3.Connection, source: Donor) -> None:
    put(old, "another", 1, blob(kept.blobs, "bb1"))
    put(old, "key", 2, blob(kept.blobs, "bb2"))
    assert source.find(WANTED) == kept.blobs / "bb" / "bb2"
    # A part has no key, though it may have the name of one.
    assert source.find(replace(WANTED, part=True)) == kept.blobs / "bb" / "bb1"
    (kept.blobs / "bb" / "bb2").unlink()
    assert source.find(WANTED) == kept.blobs / "bb" / "bb1"


@pytest.mark.parametrize("wrong", [b"A BODY", b"", None])
def test_what_is_not_sound_is_passed_over(
    kept: BackupSet, old: sqlite3.Connection, source: Donor, wrong: bytes | None
) -> None:
    put(old, "key", 1, wrong)
    path = blob(kept.blobs, "aa2", wrong or b"")
    if wrong is None:
        path.unlink()
    put(old, "a", 2, path)
    assert source.find(WANTED) is None
    put(old, "z", 3, BODY)
    assert source.find(WANTED) == BODY
    assert source.find(replace(WANTED, size=7)) is None
    assert source.find(replace(WANTED, sha256=bytes(32))) is None


def test_a_sound_file_comes_after_one_that_cannot_be_read(
    kept: BackupSet, old: sqlite3.Connection, source: Donor
) -> None:
    for name in ("aa1", "aa2", "aa3"):
        put(old, name, 1, blob(kept.blobs, name))
    (kept.blobs / "aa" / "aa1").unlink()
    (kept.blobs / "aa" / "aa2").unlink()
    (kept.blobs / "aa" / "aa2").mkdir()
    assert source.find(IN_FILE) == kept.blobs / "aa" / "aa3"


def test_what_was_a_part_then_is_taken(kept: BackupSet, old: sqlite3.Connection, source: Donor) -> None:
    insert = "INSERT INTO parts VALUES ('u', ?, ?, ?, 'e', 0, ?, NULL, ?)"
    old.execute(insert, (1, 1, 7, SHA256, blob(kept.blobs, "aa1").name))
    assert source.find(WANTED) is None, "of another size"
    old.execute(insert, (2, 2, 6, SHA256, None))
    assert source.find(WANTED) is None, "it has no body"
    old.execute("INSERT INTO bodies VALUES (2, ?)", (BODY,))
    assert source.find(WANTED) == BODY


def test_an_empty_body_needs_none_in_the_index(old: sqlite3.Connection, source: Donor) -> None:
    digest = hashlib.sha256(b"").digest()
    old.execute("INSERT INTO objects VALUES ('key', 1, 0, 'e', 0, 0, ?, NULL, NULL, NULL)", (digest,))
    assert source.find(Stored("key", 0, digest, "aa1", 2)) == b""


def test_rows_are_told_of_the_keys_between(old: sqlite3.Connection, source: Donor) -> None:
    for key in "abcdef":
        put(old, key, ord(key), None)
    assert [row.key for row in source.rows([Gap("a", "c"), Gap("d", None)])] == ["b", "e", "f"]
    (row,) = source.rows([Gap("", "b")])
    assert row == ("a", 97, 6, "e", 0, 0, SHA256, None, None, None)
    assert list(source.rows([])) == []


def taken(kept: BackupSet, state: str = "s1") -> Path:
    """The index of a backup, sound, with the body in it."""
    root = laid_out(kept.root.parent / "taken")
    with closing(sqlite3.connect(root.index, isolation_level=None)) as connection:
        put(connection, "key", 1, BODY)
    kept.states.mkdir(parents=True)
    root.root.rename(kept.states / state)
    kept.write(Manifest(state=state))
    return kept.index(state)


def test_a_backup_is_read_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The name would mean something else in a URI.
    kept = BackupSet(tmp_path / "100%25 of #1?mode=rwc")
    index = taken(kept)
    monkeypatch.chdir(tmp_path)
    with donor(Path(kept.root.name)) as source, ThreadPoolExecutor(1) as thread:
        assert thread.submit(source.find, WANTED).result() == BODY
        with pytest.raises(ConfigurationError, match="in use"), kept.changing():
            raise AssertionError
        assert sorted(path.name for path in index.parent.glob("index*")) == ["index.sqlite3"]
    with kept.changing():
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        source.find(WANTED)


def test_a_backup_that_cannot_be_used_is_told_by_name(kept: BackupSet) -> None:
    with pytest.raises(ConfigurationError, match="there is no such folder"), donor(kept.root):
        raise AssertionError
    kept.root.mkdir()
    kept.write(Manifest())
    with pytest.raises(ConfigurationError) as told, donor(kept.root):
        raise AssertionError
    assert told.value.message == f"there is no whole backup in {kept.root}: the first one was cut short"
    index = taken(kept)
    index.with_name("FORMAT").write_text('{"format": "objectstore engine", "version": 999}')
    with pytest.raises(ConfigurationError, match="format version 999"), donor(kept.root):
        raise AssertionError
    index.with_name("FORMAT").unlink()
    shutil.move(index, index.with_name("elsewhere"))
    with pytest.raises(sqlite3.OperationalError), donor(kept.root):
        raise AssertionError
    assert not index.exists()


# Into its place


@pytest.mark.parametrize("body", ["a file", "in the index"])
def test_a_file_takes_its_place_whole_private_and_on_disk(
    directory: Directory,
    database: sqlite3.Connection,
    kept: BackupSet,
    old: sqlite3.Connection,
    source: Donor,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
) -> None:
    target = blob(directory.blobs, "aa1", b"A BODY")
    put(database, "key", 5, target)
    put(old, "key", 1, blob(kept.blobs, "bb1") if body == "a file" else BODY)
    passed: list[object] = []

    def synced(fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        passed.append((str(path), path.read_bytes(), target.read_bytes()))
        with collecting(directory) as allowed:
            assert not allowed, "the name that it gets must stay one that is known"

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(mending, "sync_folder", lambda path: passed.append((path, target.read_bytes())))
    assert mend(directory, IN_FILE, source) is True
    assert passed[-2:] == [(f"{target}.mended", BODY, b"A BODY"), (target.parent, BODY)]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["aa1"]
    with collecting(directory) as allowed:
        assert allowed


def test_a_file_is_mended_whose_folder_is_gone(
    directory: Directory, database: sqlite3.Connection, old: sqlite3.Connection, source: Donor
) -> None:
    put(database, "key", 5, Path("aa1"))
    put(old, "key", 1, BODY)
    assert mend(directory, IN_FILE, source) is True
    assert Path(directory.blob("aa1")).read_bytes() == BODY


def test_a_file_that_changes_while_it_is_copied_is_not_taken(
    directory: Directory,
    database: sqlite3.Connection,
    kept: BackupSet,
    old: sqlite3.Connection,
    source: Donor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = blob(directory.blobs, "aa1", b"A BODY")
    put(database, "key", 5, target)
    put(old, "key", 1, blob(kept.blobs, "bb1"))
    copy = transcript.copy

    def late(source: str, target: str) -> tuple[int, bytes]:
        Path(source).write_bytes(b"b body")
        return copy(source, target)

    monkeypatch.setattr(transcript, "copy", late)
    assert mend(directory, IN_FILE, source) is False
    assert target.read_bytes() == b"A BODY"
    assert [path.name for path in target.parent.iterdir()] == ["aa1"]


@pytest.mark.parametrize("damaged", [b"A BODY", None])
@pytest.mark.parametrize("body", ["a file", "in the index"])
def test_a_body_in_the_index_is_exchanged_and_no_reader_keeps_the_damaged_one(
    directory: Directory,
    database: sqlite3.Connection,
    kept: BackupSet,
    old: sqlite3.Connection,
    source: Donor,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    damaged: bytes | None,
) -> None:
    put(database, "key", 5, damaged)
    put(database, "another", 6, b"other")
    put(old, "key", 1, blob(kept.blobs, "bb1") if body == "a file" else BODY)
    seen: dict[str, tuple[int, bool]] = {}
    open_for_writing = schema.open_for_writing

    with closing(Board(directory.changes)) as board:

        def watched(path: Path, durability: schema.Durability) -> sqlite3.Connection:
            connection = open_for_writing(path, durability)
            connection.set_trace_callback(lambda text: seen.update({text.split()[0]: (board.count("key"), free())}))
            return connection

        def free() -> bool:
            with closing(Turns(directory, 0)) as turns:
                try:
                    turns.take()
                except Unavailable:
                    return False
                return True

        monkeypatch.setattr(schema, "open_for_writing", watched)
        assert mend(directory, WANTED, source) is True
        assert (board.count("key"), free()) == (2, True)
    assert seen == dict.fromkeys(("BEGIN", "SELECT", "INSERT"), (0, False)) | {"COMMIT": (1, False)}
    assert database.execute("SELECT seq, data FROM bodies ORDER BY seq").fetchall() == [(5, BODY), (6, b"other")]


def test_who_waits_for_a_turn_for_too_long_is_told(
    directory: Directory,
    database: sqlite3.Connection,
    old: sqlite3.Connection,
    source: Donor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(database, "key", 5, None)
    put(old, "key", 1, BODY)
    monkeypatch.setattr(mending, "_TURN_TIMEOUT", 0.0)
    with closing(Turns(directory, 0)) as turns:
        turns.take()
        with pytest.raises(Unavailable, match="another process has been writing"):
            mend(directory, WANTED, source)
    assert database.execute("SELECT * FROM bodies").fetchall() == []


def test_readers_ask_again_also_after_a_commit_that_failed(
    directory: Directory,
    database: sqlite3.Connection,
    old: sqlite3.Connection,
    source: Donor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(database, "key", 5, None)
    put(old, "key", 1, BODY)
    open_for_writing = schema.open_for_writing

    def refusing(path: Path, durability: schema.Durability) -> sqlite3.Connection:
        connection = open_for_writing(path, durability)
        connection.set_authorizer(
            lambda action, what, *_: (
                sqlite3.SQLITE_DENY if (action, what) == (sqlite3.SQLITE_TRANSACTION, "COMMIT") else sqlite3.SQLITE_OK
            )
        )
        return connection

    monkeypatch.setattr(schema, "open_for_writing", refusing)
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        mend(directory, WANTED, source)
    with closing(Board(directory.changes)) as board:
        assert board.count("key") == 2
    assert database.execute("SELECT * FROM bodies").fetchall() == []


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("part", [True, False])
def test_what_was_overwritten_meanwhile_is_left_alone_and_counts_as_mended(
    directory: Directory,
    database: sqlite3.Connection,
    old: sqlite3.Connection,
    source: Donor,
    inline: bool,
    part: bool,
) -> None:
    put(old, "key", 1, BODY)
    put(database, "key", 5, b"newer" if inline else blob(directory.blobs, "aa1", b"newer"))
    gone = replace(WANTED if inline else IN_FILE, part=part, seq=5 if part else 4)
    assert mend(directory, gone, source) is True
    assert database.execute("SELECT data FROM bodies").fetchall() == ([(b"newer",)] if inline else [])
    assert [path.read_bytes() for path in directory.blobs.glob("*/*")] == ([] if inline else [b"newer"])
    with closing(Turns(directory, 0)) as turns:
        turns.take()


def test_without_a_sound_body_nothing_changes(
    directory: Directory, database: sqlite3.Connection, source: Donor
) -> None:
    put(database, "key", 5, b"A BODY")
    assert mend(directory, WANTED, source) is False
    assert database.execute("SELECT data FROM bodies").fetchall() == [(b"A BODY",)]
