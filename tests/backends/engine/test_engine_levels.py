"""What a data directory holds, counted in an index and files without the store."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from objectstore.backends.engine import census, schema
from objectstore.backends.engine import survey as module
from objectstore.backends.engine.backupset import WantedBlob, wanted
from objectstore.backends.engine.census import Census
from objectstore.backends.engine.directory import FORMAT_NAME, FORMAT_VERSION, Directory
from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State
from objectstore.backends.engine.survey import Survey
from objectstore.core.grouping import Share
from objectstore.errors import ConfigurationError, Corrupted, Unavailable

SHA256 = bytes(32)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path)
    directory.format.write_text(f'{{"format": "{FORMAT_NAME}", "version": {FORMAT_VERSION}}}')
    schema.create(directory.index)
    return directory


@pytest.fixture
def database(directory: Directory) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


def stored(database: sqlite3.Connection, key: str, size: int, blob: str | None = None) -> None:
    values = (key, len(key), size, SHA256, blob)
    database.execute("INSERT INTO objects VALUES (?, ?, ?, 'e', 0, 0, ?, NULL, NULL, ?)", values)


def begun(database: sqlite3.Connection, upload: str, completed: str | None = None) -> None:
    database.execute("INSERT INTO uploads (id, key, begun, completed) VALUES (?, 'k', 0, ?)", (upload, completed))


def part(database: sqlite3.Connection, number: int, size: int, blob: str | None = None) -> None:
    values = (number, size, SHA256, blob)
    database.execute("INSERT INTO parts VALUES ('u', ?, 9, ?, 'e', 0, ?, NULL, ?)", values)


def waiting(directory: Directory, database: sqlite3.Connection, blob: str, size: int | None) -> None:
    database.execute("INSERT INTO garbage VALUES (1, ?)", (blob,))
    if size is not None:
        path = Path(directory.blob(blob))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))


@pytest.fixture
def filled(directory: Directory, database: sqlite3.Connection) -> Directory:
    for key, size, blob in (
        ("a/b/1", 10, None),
        ("a/2", 3, None),
        ("a/3", 100, "00aa"),
        ("b/copy", 100, "00aa"),
        ("c", 200, "ffbb"),
        ("empty", 0, None),
    ):
        stored(database, key, size, blob)
    begun(database, "u")
    begun(database, "v")
    begun(database, "w", "{}")
    part(database, 1, 5)
    part(database, 2, 50, "80cc")
    waiting(directory, database, "01dd", 1000)
    waiting(directory, database, "01ee", 500)
    waiting(directory, database, "01ff", None)
    database.execute("UPDATE sequence SET last = 42")
    return directory


def test_everything_is_counted_of_one_moment(filled: Directory) -> None:
    assert census.take(filled.root, depth=1, top=3) == Census(
        format_version=FORMAT_VERSION,
        sequence=42,
        objects=6,
        size=413,
        inline=3,
        inline_size=13,
        blobs=3,
        blobs_size=350,
        uploads=2,
        parts=2,
        parts_size=55,
        garbage=3,
        garbage_size=1500,
        index_size=filled.index.stat().st_size,
        log_size=filled.log.stat().st_size,
        largest=(Share("", 2, 200), Share("a/", 3, 113), Share("b/", 1, 100)),
    )
    assert filled.log.stat().st_size > 0
    assert census.take(filled.root, depth=2, top=1).largest == (Share("", 2, 200),)
    assert len(census.take(filled.root, depth=2).largest) == 4
    assert len(census.take(filled.root).largest) == 3


def test_ten_groups_are_told_of_unless_another_number_is_asked_for(
    directory: Directory, database: sqlite3.Connection
) -> None:
    for number in range(11):
        stored(database, f"{number}/x", 1)
    assert len(census.take(directory.root).largest) == 10


def test_nothing_is_counted_as_nothing(directory: Directory) -> None:
    found = census.take(directory.root)
    assert (found.objects, found.size, found.parts, found.parts_size, found.log_size) == (0, 0, 0, 0, 0)
    assert found.largest == ()


def test_the_census_reads_one_state_whatever_is_written_meanwhile(
    filled: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(connection: sqlite3.Connection, folder: str) -> list[WantedBlob]:
        database.execute("UPDATE sequence SET last = 43")
        return wanted(connection, folder)

    monkeypatch.setattr(census, "wanted", overtaken)
    assert census.take(filled.root).sequence == 42


def test_what_cannot_be_counted_is_told(directory: Directory, database: sqlite3.Connection) -> None:
    database.close()
    directory.index.write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupted):
        census.take(directory.root)
    directory.index.unlink()
    with pytest.raises(Unavailable):
        census.take(directory.root)
    directory.format.unlink()
    with pytest.raises(ConfigurationError):
        census.take(directory.root)


# What metrics tell


def levels(survey: Survey) -> dict[str, float]:
    return {level.name: level.value for level in survey.levels()}


def test_every_level_is_told_by_its_name(filled: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SimpleNamespace(f_bavail=3, f_bfree=4, f_blocks=5, f_frsize=1024, f_bsize=7)
    monkeypatch.setattr(os, "statvfs", {filled.root: disk}.__getitem__)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    os.utime(filled.format, (3000, 3000))
    assert levels(Survey(filled)) == {
        "objects": 6,
        "object_bytes": 413,
        "uploads_open": 2,
        "engine_garbage_files": 3,
        "engine_garbage_bytes": 1500,
        "engine_index_bytes": filled.index.stat().st_size,
        "engine_log_bytes": filled.log.stat().st_size,
        "disk_free_bytes": 3072,
        "disk_bytes": 5120,
        "scrub_verified_bodies": 0,
        "scrub_verified_bytes": 0,
        "scrub_damaged_bodies": 0,
        "scrub_running": False,
        "scrub_oldest_seconds": 2000,
        "scrub_last_pass_timestamp_seconds": 0,
    }


NEVER = {"bodies": 0, "bytes": 0, "damaged": 0, "running": False, "oldest": 2000, "last": 0}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), {}),
        (
            State(now=Pass(began=4000, damaged=3), bodies=9, size=10),
            {"bodies": 9, "bytes": 10, "damaged": 3, "running": True},
        ),
        (State(last=Pass(began=4000, ended=4100)), {"oldest": 1000, "last": 4100}),
        (State(last=Pass(began=4000)), {"oldest": 1000}),
        (State(last=Pass(began=6000, ended=6100)), {"oldest": 0, "last": 6100}),
        (None, {}),
    ],
    ids=["never", "the first is under way", "scrubbed", "ended unknown", "the clock went back", "damaged"],
)
def test_how_far_scrubbing_is(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, state: State | None, expected: dict[str, float]
) -> None:
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    os.utime(directory.format, (3000, 3000))
    folder = ScrubFolder(directory.root)
    folder.root.mkdir()
    if state is None:
        (folder.root / "state.json").write_text("{")
    else:
        folder.write(state)
    found = levels(Survey(directory))
    assert {
        "bodies": found["scrub_verified_bodies"],
        "bytes": found["scrub_verified_bytes"],
        "damaged": found["scrub_damaged_bodies"],
        "running": found["scrub_running"],
        "oldest": found["scrub_oldest_seconds"],
        "last": found["scrub_last_pass_timestamp_seconds"],
    } == NEVER | expected


def test_of_much_garbage_the_size_is_estimated_by_some(
    directory: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOKED_AT", 3)
    waiting(directory, database, "00", 10)
    waiting(directory, database, "01", 20)
    waiting(directory, database, "02", 34)
    assert levels(Survey(directory))["engine_garbage_bytes"] == 64
    waiting(directory, database, "03", 1000)
    waiting(directory, database, "04", 1000)
    found = levels(Survey(directory))
    assert (found["engine_garbage_files"], found["engine_garbage_bytes"]) == (5, 64 * 5 // 3)


def test_objects_are_counted_again_after_a_hundred_times_as_long_as_it_took(
    directory: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([50.0, 52.0, 251.5, 252.0, 252.5])
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock), time=time.time))
    survey = Survey(directory)
    stored(database, "a", 1)
    assert levels(survey)["objects"] == 1
    stored(database, "b", 2)
    assert levels(survey)["objects"] == 1, "at 251.5; it took 2 seconds until 52"
    found = levels(survey)
    assert (found["objects"], found["object_bytes"]) == (2, 3)


def test_who_asks_while_objects_are_counted_gets_the_old_answer(
    directory: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARE", -1e9)
    survey = Survey(directory)
    stored(database, "a", 1)
    assert levels(survey)["objects"] == 1
    stored(database, "b", 2)
    with closing(sqlite3.connect(directory.index)) as connection:
        meanwhile: list[tuple[int, int]] = []

        def ask() -> int:
            meanwhile.append(survey._objects(database))
            return 0  # go on

        connection.set_progress_handler(ask, 1)
        assert survey._objects(connection) == (2, 3)
    assert set(meanwhile) == {(1, 1)}


def test_a_count_that_failed_is_made_at_the_next_question(
    directory: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARE", 0)
    survey = Survey(directory)
    stored(database, "a", 1)
    database.execute("ALTER TABLE objects RENAME TO away")
    with pytest.raises(sqlite3.OperationalError):
        survey.levels()
    database.execute("ALTER TABLE away RENAME TO objects")
    assert levels(survey)["objects"] == 1
