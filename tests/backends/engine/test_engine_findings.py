"""What a check finds in a data directory that was made by hand, what it says of it, and what a repair does about it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from backends.engine.bare import laid_out
from objectstore.backends.engine import check as module
from objectstore.backends.engine import highwater, schema, steps
from objectstore.backends.engine.backupset import BackupSet, Manifest
from objectstore.backends.engine.blobs import BATCH_SUFFIX
from objectstore.backends.engine.check import Finding, check, examine
from objectstore.backends.engine.counters import count
from objectstore.backends.engine.directory import Directory, try_lock
from objectstore.backends.engine.failures import LOG_REMOVED
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.stored import Stored
from objectstore.backends.engine.turns import Turns
from objectstore.errors import ConfigurationError, Unavailable
from objectstore.values import Usage

BODY: Final = b"a body"
SHA256: Final = hashlib.sha256(BODY).digest()
TOLD: Final = f"6 bytes, SHA-256 {SHA256.hex()}"
MISSING: Final = "the body is missing"
BEHIND: Final = (
    "the changes 8 to 9 were acknowledged and are not in it: its log was removed, or it was "
    "replaced by an older one; what was written last is lost, and what was deleted last is there again"
)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return laid_out(tmp_path / "data")


@pytest.fixture
def database(directory: Directory) -> Iterator[sqlite3.Connection]:
    with opened(directory) as connection:
        yield connection


@contextmanager
def opened(directory: Directory) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


@contextmanager
def living(directory: Directory) -> Iterator[None]:
    """Another process that has the store open, for all that a check can see."""
    folder = directory.staging / "living"
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    try:
        assert try_lock(fd)
        yield
    finally:
        os.close(fd)


def inline(database: sqlite3.Connection, key: str, seq: int, body: bytes | None = BODY) -> None:
    """An object that should be BODY."""
    values = (key, seq, len(BODY), SHA256)
    database.execute("INSERT INTO objects VALUES (?, ?, ?, 'e', 0, 0, ?, NULL, NULL, NULL)", values)
    if body is not None:
        database.execute("INSERT INTO bodies VALUES (?, ?)", (seq, body))


def large(database: sqlite3.Connection, key: str, seq: int, path: Path) -> None:
    values = (key, seq, len(BODY), SHA256, path.name)
    database.execute("INSERT INTO objects VALUES (?, ?, ?, 'e', 0, 0, ?, NULL, NULL, ?)", values)


def part(database: sqlite3.Connection, number: int, seq: int, blob: str | None = None) -> None:
    values = (number, seq, len(BODY), SHA256, blob)
    database.execute("INSERT INTO parts VALUES ('u', ?, ?, ?, 'e', 0, ?, NULL, ?)", values)


def blob(directory: Directory, name: str, body: bytes = BODY) -> Path:
    path = Path(directory.blob(name))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(body)
    return path


def noise(directory: Directory) -> None:
    directory.index.write_bytes(b"no database " * 1000)


def files(directory: Directory) -> list[str]:
    return sorted(path.name for path in directory.blobs.glob("*/*"))


def seqs(database: sqlite3.Connection) -> list[int]:
    return [seq for (seq,) in database.execute("SELECT seq FROM bodies ORDER BY seq")]


# What is lost


def test_what_is_whole_has_no_findings(directory: Directory, database: sqlite3.Connection) -> None:
    inline(database, "inline", 1)
    large(database, "large", 2, blob(directory, "aa1"))
    part(database, 1, 3, blob(directory, "bb1").name)
    part(database, 2, 4)
    database.execute("INSERT INTO bodies VALUES (4, ?)", (BODY,))
    blob(directory, "cc1")
    database.execute("INSERT INTO garbage VALUES (0, 'cc1')")
    for deep in (False, True):
        for repair in (False, True):
            assert list(check(directory.root, deep=deep, repair=repair)) == []
    assert (files(directory), seqs(database)) == (["aa1", "bb1", "cc1"], [1, 4])


def test_each_lost_body_is_told_with_its_row(directory: Directory, database: sqlite3.Connection) -> None:
    inline(database, "gone", 1, None)
    inline(database, "other", 2, b"A BODY")
    large(database, "short", 3, blob(directory, "aa1", b"a bod"))
    part(database, 7, 4, "bb1")
    gone = Finding(kind="missing", name="gone", message=MISSING, body=Stored("gone", 6, SHA256, None, 1))
    short = Finding(
        kind="wrong-size",
        name="short",
        message="the body has 5 bytes, not 6",
        body=Stored("short", 6, SHA256, "aa1", 3),
    )
    parted = replace(gone, name="u/7", body=Stored("u/7", 6, SHA256, "bb1", 4, part=True))
    other = Finding(
        kind="wrong-digest",
        name="other",
        message="the body is not what was written",
        body=Stored("other", 6, SHA256, None, 2, 6),
    )
    assert list(check(directory.root)) == list(check(directory.root, repair=True)) == [gone, short, parted]
    assert list(check(directory.root, deep=True)) == [gone, other, short, parted]
    assert str(gone) == "missing: gone: the body is missing"
    assert all(finding.lost for finding in (gone, other, short, parted))
    assert not any(finding.repaired for finding in (gone, other, short, parted))


@pytest.fixture
def kept(tmp_path: Path) -> BackupSet:
    """A backup with one object in it."""
    kept = BackupSet(tmp_path / "kept")
    kept.states.mkdir(parents=True)
    made = laid_out(tmp_path / "made")
    with opened(made) as connection:
        inline(connection, "a", 1)
    made.root.rename(kept.states / "s1")
    kept.write(Manifest(state="s1"))
    return kept


def test_a_backup_brings_back_what_is_in_it(
    directory: Directory, database: sqlite3.Connection, kept: BackupSet
) -> None:
    other = hashlib.sha256(b"B BODY").digest()
    inline(database, "a", 1, None)
    inline(database, "b", 2, None)
    database.execute("UPDATE objects SET sha256 = ? WHERE key = 'b'", (other,))
    large(database, "c", 3, blob(directory, "cc1", b"short"))
    found = list(check(directory.root))
    assert [(one.name, one.message) for one in found] == [
        ("a", MISSING),
        ("b", MISSING),
        ("c", "the body has 5 bytes, not 6"),
    ]
    assert list(check(directory.root, backup=kept.root)) == found, "nothing is repaired unasked"
    a, b, c = check(directory.root, repair=True, backup=kept.root)
    assert (a, c) == (replace(found[0], repaired=True), replace(found[2], repaired=True))
    assert b == replace(found[1], message=f"{MISSING}; the backup has no sound body of it")
    assert [one.name for one in check(directory.root, deep=True)] == ["b"]


def test_one_that_cannot_be_put_in_its_place_does_not_keep_the_others_from_it(
    directory: Directory, database: sqlite3.Connection, kept: BackupSet
) -> None:
    large(database, "a", 1, Path("aa1"))
    (directory.blobs / "aa" / "aa1.mended").mkdir(parents=True)
    inline(database, "b", 2, None)
    found = list(check(directory.root, repair=True, backup=kept.root))[:2]
    assert [(one.name, one.repaired, one.message) for one in found] == [
        (
            "a",
            False,
            f"the body is missing; not repaired: [Errno 21] Is a directory: '{directory.blobs}/aa/aa1.mended'",
        ),
        ("b", True, MISSING),
    ]


def test_what_cannot_be_looked_at_is_told(tmp_path: Path, directory: Directory, kept: BackupSet) -> None:
    with pytest.raises(ConfigurationError, match="is not a data directory"):
        list(check(tmp_path))
    with pytest.raises(ConfigurationError, match="there is no backup"):
        list(check(directory.root, backup=tmp_path))
    kept.index("s1").unlink()
    with pytest.raises(Unavailable, match="unable to open"):
        list(check(directory.root, backup=kept.root))
    directory.index.unlink()
    with pytest.raises(Unavailable, match="unable to open"):
        list(check(directory.root))
    with pytest.raises(Unavailable, match="unable to open"):
        list(examine(directory))


# What is left over


def orphan(path: Path) -> Finding:
    return Finding(kind="orphan-file", name=str(path), message="no row refers to this file")


def test_files_that_nothing_refers_to_are_told_in_order_and_removed_by_a_repair(
    directory: Directory, database: sqlite3.Connection
) -> None:
    large(database, "large", 1, blob(directory, "aa2"))
    expected = [orphan(blob(directory, name)) for name in ("aa1", "aa3", "bb1")]
    assert list(check(directory.root)) == list(examine(directory)) == expected
    assert files(directory) == ["aa1", "aa2", "aa3", "bb1"]
    assert list(check(directory.root, repair=True)) == [replace(one, repaired=True) for one in expected]
    assert files(directory) == ["aa2"]
    assert list(check(directory.root)) == []
    assert not any(one.lost for one in expected)


def test_what_other_programs_leave_is_told_and_ends_no_repair(directory: Directory) -> None:
    stray = directory.blobs / "aa0"
    stray.touch()
    folder = blob(directory, "aa2").with_name("@eaDir")
    folder.mkdir()
    expected = [
        Finding(kind="orphan-file", name=str(folder), message="the store makes no folder here; look what it is for"),
        orphan(folder.with_name("aa2")),
        orphan(stray),
        orphan(blob(directory, "bb1")),
    ]
    assert list(check(directory.root)) == expected
    left, *removed = check(directory.root, repair=True)
    assert (left, removed) == (expected[0], [replace(one, repaired=True) for one in expected[1:]])
    assert list(check(directory.root, repair=True)) == [left]
    assert sorted(path.name for path in directory.blobs.rglob("*")) == ["@eaDir", "aa", "bb"]


def test_a_repair_removes_also_what_is_gone_by_then(directory: Directory) -> None:
    path = blob(directory, "aa1")
    expected = orphan(path)
    assert module._remove(directory, expected) is True
    assert module._remove(directory, expected) is True


@pytest.mark.usefixtures("database")
def test_a_blob_on_its_way_is_nothing_left_over(directory: Directory) -> None:
    blob(directory, "0abatch")
    another = blob(directory, "0aother")
    with living(directory):
        (directory.staging / "living" / f"batch{BATCH_SUFFIX}").touch()
        assert list(check(directory.root, repair=True)) == [replace(orphan(another), repaired=True)]
    assert files(directory) == ["0abatch"]
    # Its process is dead now: what it left is settled before anything is looked at.
    assert list(check(directory.root)) == []
    assert (files(directory), list(directory.staging.iterdir())) == ([], [])


def test_what_is_settled_while_it_is_looked_at_is_nothing_left_over(
    directory: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed, collected = blob(directory, "aa1"), blob(directory, "aa2")
    marked = module._Checker._marked
    known_among = Index.known_among

    def settled(checker: module._Checker) -> set[str]:
        large(database, "key", 1, committed)
        return marked(checker)

    def late(index: Index, blobs: list[str]) -> set[str]:
        collected.unlink()
        return known_among(index, blobs)

    monkeypatch.setattr(module._Checker, "_marked", settled)
    monkeypatch.setattr(Index, "known_among", late)
    assert list(check(directory.root)) == []


def test_a_process_may_end_while_its_marks_are_read(directory: Directory) -> None:
    orphan = blob(directory, "aa1")
    directory.staging.mkdir(exist_ok=True)
    (directory.staging / "gone").symlink_to("nowhere")  # listed, and not to be opened
    (directory.staging / "file").touch()
    assert [finding.name for finding in check(directory.root)] == [str(orphan)]


def test_bodies_that_no_row_names_are_told_and_removed_in_turn(
    directory: Directory, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline(database, "inline", 1)
    part(database, 1, 2)
    large(database, "large", 3, blob(directory, "aa1"))
    part(database, 2, 4, blob(directory, "bb1").name)
    for seq in (2, 3, 4, 5):
        database.execute("INSERT INTO bodies VALUES (?, ?)", (seq, BODY))
    found = list(check(directory.root))
    assert found == [
        Finding(kind="orphan-body", name=seq, message="no row refers to this body in the index") for seq in "345"
    ]
    assert seqs(database) == [1, 2, 3, 4, 5]
    monkeypatch.setattr(module, "_TURN_TIMEOUT", 0.0)
    with closing(Turns(directory, 0)) as turns:
        turns.take()
        with pytest.raises(Unavailable, match="another process has been writing"):
            list(check(directory.root, repair=True))
    assert seqs(database) == [1, 2, 3, 4, 5]
    assert list(check(directory.root, repair=True)) == [replace(one, repaired=True) for one in found]
    assert seqs(database) == [1, 2]


# What is counted


@pytest.fixture
def counted(database: sqlite3.Connection) -> sqlite3.Connection:
    """Three prefixes, two of them wrong."""
    inline(database, "a/1", 1)
    inline(database, "a/2", 2)
    inline(database, "b/1", 3)
    database.execute("INSERT INTO uploads (id, key, begun) VALUES ('u', 'a/3', 0)")
    part(database, 1, 4)
    database.execute("INSERT INTO bodies VALUES (4, ?)", (BODY,))
    database.execute("INSERT INTO usage VALUES ('', 3, 18, 6), ('a/', 3, 10, 4), ('c/', 1, 1, 1)")
    database.execute("UPDATE sequence SET last = 4")
    database.execute("INSERT INTO usage_sequence VALUES (1, 4)")
    return database


def test_what_is_counted_wrongly_is_told_and_counted_anew_after_a_repair(
    directory: Directory, counted: sqlite3.Connection
) -> None:
    a, c = check(directory.root)
    assert (a.kind, a.name, a.lost) == ("wrong-usage", "a/", False)
    assert a.message == ("3 objects, 10 bytes and 4 of parts are counted under this prefix, but there are 2, 12 and 6")
    assert (c.name, c.message) == (
        "c/",
        "1 objects, 1 bytes and 1 of parts are counted under this prefix, but there are 0, 0 and 0",
    )
    assert counted.execute("SELECT last FROM usage_sequence").fetchone() == (4,)
    assert list(check(directory.root, repair=True)) == [replace(a, repaired=True), replace(c, repaired=True)]
    assert counted.execute("SELECT last FROM usage_sequence").fetchone() == (-1,)
    assert counted.execute("SELECT count(*) FROM usage").fetchone() == (3,), "what is counted stays known"
    assert list(check(directory.root)) == [], "it will be counted anew"


def test_an_index_of_an_earlier_release_counts_nothing(directory: Directory, counted: sqlite3.Connection) -> None:
    counted.executescript("DROP TABLE usage; DROP TABLE usage_sequence")
    assert list(check(directory.root)) == []


def test_all_counters_are_compared_with_one_moment(
    directory: Directory, counted: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(connection: sqlite3.Connection, prefix: str) -> Usage:
        counted.execute("DELETE FROM objects")
        return count(connection, prefix)

    monkeypatch.setattr(module, "count", overtaken)
    assert [finding.name for finding in check(directory.root)] == ["a/", "c/"]


# A damaged index


def test_an_index_that_is_none_is_told_and_nothing_is_removed(directory: Directory) -> None:
    blob(directory, "aa1")
    noise(directory)
    expected = Finding(kind="damaged-index", name=str(directory.index), message="file is not a database")
    assert list(check(directory.root)) == [expected]
    assert expected.lost
    directory.log.touch()
    with living(directory):
        assert list(check(directory.root, repair=True)) == [
            replace(expected, message="file is not a database; not repaired: end the servers first, by SIGTERM")
        ]
    assert files(directory) == ["aa1"]
    assert not directory.lost.exists()


def test_a_log_that_is_gone_under_a_server_is_told_before_anything_is_touched(directory: Directory) -> None:
    blob(directory, "aa1")
    directory.log.unlink(missing_ok=True)
    with living(directory), pytest.raises(Unavailable) as told:
        list(check(directory.root, repair=True))
    assert told.value.message == LOG_REMOVED
    assert files(directory) == ["aa1"]


def test_an_entry_of_the_index_that_is_missing_is_found_when_looking_deep(directory: Directory) -> None:
    with opened(directory) as database:
        entry = database.execute("SELECT * FROM sqlite_schema WHERE name = 'objects_by_blob'").fetchone()
        database.execute("PRAGMA writable_schema = ON")
        database.execute("DELETE FROM sqlite_schema WHERE name = 'objects_by_blob'")
    with opened(directory) as database:
        large(database, "large", 1, blob(directory, "aa1", b"A BODY"))
        database.execute("PRAGMA writable_schema = ON")
        database.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", entry)
    assert not [one for one in check(directory.root) if one.kind == "damaged-index"]
    damaged, *others = check(directory.root, deep=True)
    assert (damaged.kind, damaged.repaired) == ("damaged-index", False)
    assert "objects_by_blob" in damaged.message
    (other,) = (one for one in others if one.kind != "damaged-index")
    assert (other.kind, other.name) == ("wrong-digest", "large"), "which is told as far as the index can be read"


ROWS: Final = 40
KEYS: Final = [f"k{number:02}" for number in range(ROWS)]


@pytest.fixture
def torn(directory: Directory) -> list[str]:
    """An index of several pages, of which one is overwritten; the keys that were on it.

    Every third object is a body in the index, a file, and empty.
    """
    with opened(directory) as database:
        for number, key in enumerate(KEYS):
            if number % 3 == 0:
                inline(database, key, number + 1)
            elif number % 3 == 1:
                large(database, key, number + 1, blob(directory, f"{number:02}{number:02}"))
            else:
                values = (key, number + 1, hashlib.sha256(b"").digest())
                database.execute("INSERT INTO objects VALUES (?, ?, 0, 'e', 0, 0, ?, NULL, NULL, NULL)", values)
        database.execute("UPDATE objects SET attributes = 'of ' || key || ' ' || hex(zeroblob(150))")
        database.execute("UPDATE sequence SET last = ?", (ROWS,))
        database.execute("VACUUM")
    data = bytearray(directory.index.read_bytes())
    at = next(at for at in range(0, len(data), 4096) if data[at] == 10 and b"of k20 " in data[at : at + 4096])
    lost = [key for key in KEYS if f"of {key} ".encode() in data[at : at + 4096]]
    assert 3 <= len(lost) < ROWS - 6
    data[at : at + 8] = b"\xff" * 8
    directory.index.write_bytes(data)
    return lost


def test_of_a_damaged_index_is_told_what_can_be_read(directory: Directory, torn: list[str]) -> None:
    first = Path(directory.blob("0101"))
    first.write_bytes(b"A BODY")
    number = next(number for number in range(40) if KEYS[number] not in torn and number % 3 == 1 and number > 1)
    Path(directory.blob(f"{number:02}{number:02}")).unlink()
    before, after = KEYS[KEYS.index(torn[0]) - 1], KEYS[KEYS.index(torn[-1]) + 1]
    index = str(directory.index)
    gap = Finding(
        kind="damaged-index", name=index, message=f"keys after {before!r} and before {after!r} cannot be listed"
    )
    shallow, deep = list(check(directory.root)), list(check(directory.root, deep=True))
    assert (shallow[0].kind, shallow[0].name, shallow[0].repaired) == ("damaged-index", index, False)
    assert [(one.kind, one.name) for one in shallow if one.kind != "damaged-index"] == [("missing", KEYS[number])]
    assert [one.name for one in deep if one.kind != "damaged-index"] == ["k01", KEYS[number]]
    assert (shallow[-1], deep[-1]) == (gap, gap)


def test_a_damaged_index_is_made_anew_and_every_loss_is_told_and_written_down(
    directory: Directory, torn: list[str], kept: BackupSet
) -> None:
    empty = [key for key in torn if KEYS.index(key) % 3 == 2]
    with closing(sqlite3.connect(kept.index("s1"))) as old, old:
        old.execute("DELETE FROM objects")
        digest = hashlib.sha256(b"").digest()
        for key in empty:
            old.execute("INSERT INTO objects VALUES (?, 1, 0, 'e', 0, 0, ?, NULL, NULL, NULL)", (key, digest))
    nameless = blob(directory, "ffff")
    before, after = KEYS[KEYS.index(torn[0]) - 1], KEYS[KEYS.index(torn[-1]) + 1]
    damage = [one for one in check(directory.root) if "cannot be listed" not in one.message]
    passed: list[str] = []
    found = list(check(directory.root, repair=True, backup=kept.root, step=passed.append))
    assert found[: len(damage)] == [replace(one, repaired=True) for one in damage]
    index = str(directory.index)
    from_files = [key for key in torn if KEYS.index(key) % 3 == 1]
    bodies = [KEYS.index(key) + 1 for key in torn if KEYS.index(key) % 3 == 0]
    told = [
        Finding(
            kind="damaged-index",
            name=index,
            message=f"keys after {before!r} and before {after!r} cannot be listed: what was there is lost",
        ),
        *(
            Finding(
                kind="damaged-index",
                name=key,
                message="its row is that of the backup; it may have changed since",
                repaired=True,
            )
            for key in empty
        ),
        *(
            Finding(
                kind="damaged-index",
                name=key,
                message="its row is made anew of its file: etag, times and attributes are lost",
            )
            for key in from_files
        ),
        *(Finding(kind="orphan-body", name=index, message=f"kept in lost: {seq}.body: {TOLD}") for seq in bodies),
        Finding(kind="orphan-file", name=str(nameless), message=f"kept in lost: {TOLD}"),
    ]
    assert found[len(damage) :] == told
    assert (directory.lost / "report.txt").read_text().splitlines() == [str(one) for one in told]
    assert passed == [
        steps.AFTER_OLD_LOG,
        steps.AFTER_EMPTY_INDEX,
        steps.AFTER_ROWS,
        steps.AFTER_RECORD,
        steps.AFTER_KEEP,
        steps.AFTER_ASIDE,
        steps.AFTER_UNLOG,
        steps.AFTER_EXCHANGE,
    ]
    assert (directory.lost / "ffff").read_bytes() == BODY
    assert not nameless.exists()
    assert list(check(directory.root, deep=True, repair=True)) == []
    with closing(schema.open_for_reading(directory.index)) as connection:
        keys = [key for (key,) in connection.execute("SELECT key FROM objects ORDER BY key")]
    assert keys == [key for key in KEYS if key not in torn or KEYS.index(key) % 3]


# An index that has gone back


@pytest.fixture
def behind(directory: Directory) -> Finding:
    with opened(directory) as database:
        database.execute("UPDATE sequence SET last = 7")
        inline(database, "gone", 1, None)
        inline(database, "other", 2, b"A BODY")
    for name in ("aa1", "bb1"):
        blob(directory, name)
    highwater.accept(directory.highwater, 9)
    return Finding(kind="lost-changes", name=str(directory.index), message=BEHIND)


def test_changes_that_are_lost_are_told_with_the_bodies_that_lost_their_rows(
    directory: Directory, behind: Finding
) -> None:
    found = [
        behind,
        *(
            Finding(
                kind="orphan-file",
                name=directory.blob(name),
                message=f"no row names this file any more: {TOLD}",
            )
            for name in ("aa1", "bb1")
        ),
    ]
    *shallow, gone = check(directory.root)
    assert (shallow, gone.name, behind.lost) == (found, "gone", True)
    assert [one.name for one in check(directory.root, deep=True)][3:] == ["gone", "other"]
    directory.log.touch()
    with living(directory):
        *told, gone = check(directory.root, repair=True)
    assert told == [replace(behind, message=f"{BEHIND}; not repaired: end the servers first, by SIGTERM")]
    assert (gone.name, files(directory)) == ("gone", ["aa1", "bb1"])
    assert not directory.lost.exists()
    assert highwater.mark(directory.highwater) == 9


def test_a_repair_accepts_the_loss_and_keeps_what_lost_its_row(
    directory: Directory, behind: Finding, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    accept = highwater.accept

    def accepting(path: Path, seq: int) -> None:
        assert files(directory) == ["aa1", "bb1"], "until then nothing is changed"
        accept(path, seq)

    monkeypatch.setattr(highwater, "accept", accepting)
    with opened(directory) as database:
        database.execute("INSERT INTO bodies VALUES (5, ?)", (BODY,))
    *told, gone, left_over = check(directory.root, repair=True, step=passed.append)
    assert (left_over.kind, left_over.repaired) == ("orphan-body", True), "all else is looked at, too"
    assert told == [
        replace(behind, message=f"{BEHIND}; accepted, so that the store can be opened"),
        *(
            Finding(kind="orphan-file", name=directory.blob(name), message=f"kept in lost: {TOLD}")
            for name in ("aa1", "bb1")
        ),
    ]
    assert (gone.name, gone.message) == ("gone", MISSING)
    assert (directory.lost / "report.txt").read_text().splitlines() == [str(one) for one in told]
    assert passed == [steps.AFTER_RECORD, steps.AFTER_KEEP, steps.AFTER_KEEP, steps.AFTER_ACCEPT]
    assert files(directory) == []
    assert [(directory.lost / name).read_bytes() for name in ("aa1", "bb1")] == [BODY, BODY]
    assert highwater.mark(directory.highwater) == 7
    assert [one.name for one in check(directory.root)] == ["gone"]


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("marked", [6, 7])
def test_an_index_that_is_as_far_as_its_mark_or_further_has_lost_nothing(directory: Directory, marked: int) -> None:
    highwater.accept(directory.highwater, marked)
    assert [one.kind for one in check(directory.root)] == ["missing", "orphan-file", "orphan-file"]


@pytest.mark.parametrize("look", [examine, lambda directory: check(directory.root)])
def test_nothing_is_repaired_or_read_unasked(
    directory: Directory, database: sqlite3.Connection, look: Callable[[Directory], Iterator[Finding]]
) -> None:
    inline(database, "other", 1, b"A BODY")
    blob(directory, "aa1")
    if look is examine:
        directory.format.unlink()
    assert [(one.kind, one.repaired) for one in look(directory)] == [("orphan-file", False)]
    assert files(directory) == ["aa1"]
    shutil.rmtree(directory.blobs)
    with pytest.raises(Unavailable, match="No such file"):
        list(look(directory))
