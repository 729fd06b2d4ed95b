"""Bodies looked at one by one, in an index and files without the store: what is told of each, and of damage between."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from objectstore.backends.engine import schema, stored
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.stored import Bodies, Fault, Gap, Stored, digest_of

BODY = b"a body"
SHA256 = hashlib.sha256(BODY).digest()


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    schema.create(tmp_path / "index.sqlite3")
    return Directory(tmp_path)


@pytest.fixture
def database(directory: Directory) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection


@pytest.fixture
def bodies(directory: Directory, database: sqlite3.Connection) -> Bodies:
    return Bodies(directory, database)


def inline(database: sqlite3.Connection, key: str, seq: int, data: bytes | None = BODY, size: int = len(BODY)) -> None:
    values = (key, seq, size, SHA256)
    database.execute("INSERT INTO objects VALUES (?, ?, ?, 'e', 0, 0, ?, NULL, NULL, NULL)", values)
    if data is not None:
        database.execute("INSERT INTO bodies VALUES (?, ?)", (seq, data))


def part(database: sqlite3.Connection, upload: str, number: int, seq: int, blob: str | None = None) -> None:
    values = (upload, number, seq, len(BODY), SHA256, blob)
    database.execute("INSERT INTO parts VALUES (?, ?, ?, ?, 'e', 0, ?, NULL, ?)", values)


def test_objects_come_in_the_order_of_their_keys(
    database: sqlite3.Connection, bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_AT_ONCE", 2)
    for seq, key in enumerate(["c", "a", "a\0", "b", "a\0\0"], start=1):
        inline(database, key, seq)
    inline(database, "empty", 6, None, 0)
    inline(database, "gone", 7, None)
    database.execute("INSERT INTO objects VALUES ('large', 8, 9, 'e', 0, 0, ?, NULL, NULL, 'b1')", (SHA256,))
    found = list(bodies.objects())
    assert [one.name for one in found] == ["a", "a\0", "a\0\0", "b", "c", "empty", "gone", "large"]
    assert found[0] == Stored("a", len(BODY), SHA256, None, 2, len(BODY), readable=True, part=False)
    assert [one.inline_size for one in found[-3:]] == [None, None, None]
    assert found[-1] == Stored("large", 9, SHA256, "b1", 8, None)
    assert [one.name for one in bodies.objects("a")] == ["a\0", "a\0\0", "b", "c", "empty", "gone", "large"]
    assert [one.name for one in bodies.objects("aa")] == ["b", "c", "empty", "gone", "large"]
    assert list(bodies.objects("large")) == []
    assert [one.name for one in bodies.objects("")] == [one.name for one in found]
    assert bodies.gaps == []


def test_parts_come_upload_by_upload_in_the_order_of_their_numbers(
    database: sqlite3.Connection, bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_AT_ONCE", 2)
    named = [("u1", 1), ("u1", 2), ("u1", 10), ("u2", 1), ("u2", 3)]
    for seq, (upload, number) in enumerate(reversed(named)):
        part(database, upload, number, seq)
    database.execute("INSERT INTO bodies VALUES (4, ?)", (BODY,))
    part(database, "u3", 1, 9, "b2")
    found = list(bodies.parts())
    assert [one.name for one in found] == [*(f"{upload}/{number}" for upload, number in named), "u3/1"]
    assert found[0] == Stored("u1/1", len(BODY), SHA256, None, 4, len(BODY), readable=True, part=True)
    assert (found[1].inline_size, found[-1].blob) == (None, "b2")
    assert [one.name for one in bodies.parts("u1/2")] == ["u1/10", "u2/1", "u2/3", "u3/1"]
    assert list(bodies.parts("u3/1")) == []
    assert len(list(bodies.parts(""))) == 6


def test_each_body_in_the_index_is_compared_with_its_row(database: sqlite3.Connection, bodies: Bodies) -> None:
    inline(database, "sound", 1)
    inline(database, "empty", 2, None, 0)
    inline(database, "gone", 3, None)
    inline(database, "short", 4, BODY[:-1])
    inline(database, "other", 5, BODY.upper())
    found = {one.name: one for one in bodies.objects()}
    empty = replace(found["empty"], sha256=hashlib.sha256(b"").digest())
    missing = Fault("missing", "the body is missing")
    short = Fault("wrong-size", "the body has 5 bytes, not 6")
    for deep in (False, True):
        assert bodies.look(found["sound"], deep=deep) is None
        assert bodies.look(empty, deep=deep) is None
        assert bodies.look(found["gone"], deep=deep) == bodies.fault(found["gone"], deep=deep) == missing
        assert bodies.look(found["short"], deep=deep) == bodies.fault(found["short"], deep=deep) == short
    other = Fault("wrong-digest", "the body is not what was written")
    assert bodies.fault(found["other"], deep=True) == other
    assert bodies.fault(found["other"], deep=False) is None
    assert bodies.fault(found["empty"], deep=True) == other
    unreadable = Fault("unreadable", "the body is in a damaged part of the index")
    assert bodies.fault(replace(found["sound"], readable=False), deep=False) == unreadable


def test_what_has_changed_since_its_row_was_read_is_no_fault(database: sqlite3.Connection, bodies: Bodies) -> None:
    inline(database, "key", 1, None)
    part(database, "u", 10, 2)
    found = [*bodies.objects(), *bodies.parts()]
    for one in found:
        fault = bodies.fault(one, deep=True)
        assert fault == bodies.look(one, deep=True)
        assert fault is not None
        assert bodies.stays(one)
    database.execute("UPDATE objects SET seq = 3")
    database.execute("UPDATE parts SET seq = 4")
    for one in found:
        assert not bodies.stays(one)
        assert bodies.fault(one, deep=True) is None
        assert bodies.look(one, deep=True) is not None
    assert not bodies.stays(replace(found[0], name="another", seq=3))
    assert not bodies.stays(replace(found[0], seq=4)), "a part of that number is no object"


def test_each_file_is_compared_with_its_row(directory: Directory, bodies: Bodies) -> None:
    path = Path(directory.blob("abc"))
    path.parent.mkdir(parents=True)
    body = Stored("key", len(BODY), SHA256, "abc", 1)
    assert bodies.look(body, deep=False) == bodies.look(body, deep=True) == Fault("missing", "the body is missing")
    path.write_bytes(BODY)
    read: list[int] = []
    assert bodies.look(body, deep=False, reading=read.append) is None
    assert read == []
    assert bodies.look(body, deep=True, reading=read.append) is None
    assert bodies.fault(body, deep=True, reading=read.append) is None
    assert read == [len(BODY)] * 2
    path.write_bytes(BODY.upper())
    assert bodies.look(body, deep=False) is None
    assert bodies.look(body, deep=True) == Fault("wrong-digest", "the body is not what was written")
    path.write_bytes(BODY * 2)
    read.clear()
    for deep in (False, True):
        found = bodies.look(body, deep=deep, reading=read.append)
        assert found == Fault("wrong-size", "the body has 12 bytes, not 6")
    assert read == [], "what has another size is not read"
    path.unlink()
    path.mkdir()
    body = replace(body, size=path.stat().st_size)
    assert bodies.look(body, deep=True) == Fault("unreadable", "the body cannot be read: Is a directory")


def test_an_error_without_a_text_of_the_system_is_told_as_it_is(
    bodies: Bodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: str) -> None:
        raise OSError("the mount is gone")

    monkeypatch.setattr(os, "stat", fail)
    fault = bodies.look(Stored("key", 1, SHA256, "abc", 1), deep=False)
    assert fault == Fault("unreadable", "the body cannot be read: the mount is gone")


def test_a_file_is_read_block_by_block_and_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(250)))
    monkeypatch.setattr(stored, "BLOCK", 100)
    let_go: list[tuple[int, int]] = []

    def advise(fd: int, at: int, size: int, advice: int) -> None:
        assert Path(f"/proc/self/fd/{fd}").readlink() == path
        assert advice == os.POSIX_FADV_DONTNEED
        let_go.append((at, size))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    read: list[int] = []
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths
    assert digest_of(str(path), read.append) == hashlib.sha256(bytes(range(250))).digest()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  as above
    assert read == [100, 100, 50]
    assert let_go == [(0, 100), (100, 100), (200, 50)]


# Damage


def test_a_gap_is_told_by_the_keys_beside_it() -> None:
    assert str(Gap("", None)) == "keys from the first on cannot be listed"
    assert str(Gap("a", None)) == "keys after 'a' cannot be listed"
    assert str(Gap("a", "b")) == "keys after 'a' and before 'b' cannot be listed"
    assert str(Gap("", "b")) == "keys from the first on and before 'b' cannot be listed"


KEYS = [f"{number:03}{'-' * 200}" for number in range(100)]  # on several pages


def closed(directory: Directory, database: sqlite3.Connection) -> bytearray:
    """All pages of the index."""
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return bytearray(directory.index.read_bytes())


def damaged(directory: Directory, database: sqlite3.Connection, *held: bytes) -> list[str]:
    """Break the first page that holds each of these; the keys that were on those."""
    pages = closed(directory, database)
    lost: list[str] = []
    for one in held:
        at = pages.index(one) // 4096 * 4096
        lost += [key for key in KEYS if key.encode() in pages[at : at + 4096]]
        pages[at : at + 8] = b"\xff" * 8
    directory.index.write_bytes(pages)
    return lost


@pytest.mark.parametrize("broken", [[0], [99], [40], [20, 70]])
def test_damage_among_the_rows_is_stepped_over(
    directory: Directory, database: sqlite3.Connection, broken: list[int]
) -> None:
    for seq, key in enumerate(KEYS):
        inline(database, key, seq)
    database.execute("VACUUM")  # by their order, none twice
    lost = damaged(directory, database, *(KEYS[number].encode() for number in broken))
    with closing(schema.open_for_reading(directory.index)) as connection:
        bodies = Bodies(directory, connection)
        found = [one.name for one in bodies.objects()]
        assert {one.inline_size for one in bodies.objects()} == {len(BODY)}
    gap = bodies.gaps[0]
    assert bodies.gaps == [gap, gap], "once each time it is listed"
    assert (gap.after, gap.before is None) == ("" if broken == [0] else KEYS[KEYS.index(lost[0]) - 1], broken == [99])
    assert found == [key for key in KEYS if key <= gap.after or (gap.before is not None and key >= gap.before)]
    # What stands on an upper page right beside the damage is not lost with it.
    assert sorted(set(KEYS) - set(found)) == KEYS[KEYS.index(lost[0]) : KEYS.index(lost[-1]) + 1]


def test_what_is_read_of_damaged_bodies_says_which_can_be(directory: Directory, database: sqlite3.Connection) -> None:
    large = bytes(range(250)) * 12
    digest = hashlib.sha256(large).digest()
    for seq in range(1, 40):
        inline(database, f"{seq:02}", seq, large + bytes([seq]), len(large) + 1)
    inline(database, "50", 50, None)
    inline(database, "60", 60, None, 0)
    database.execute("INSERT INTO objects VALUES ('70', 70, 9, 'e', 0, 0, ?, NULL, NULL, 'b1')", (digest,))
    damaged(directory, database, large + bytes([20]))
    with closing(schema.open_for_reading(directory.index)) as connection:
        bodies = Bodies(directory, connection)
        found = {one.name: one for one in bodies.objects()}
    assert bodies.gaps == []
    unreadable = [one.name for one in found.values() if not one.readable]
    assert "20" in unreadable
    assert len(unreadable) < 3
    assert found["01"] == Stored("01", len(large) + 1, SHA256, None, 1, len(large) + 1)
    assert found["20"] == Stored("20", len(large) + 1, SHA256, None, 20, readable=False)
    assert (found["50"].inline_size, found["50"].readable) == (None, True)
    assert (found["60"].inline_size, found["70"].blob) == (None, "b1")


def test_a_body_that_breaks_when_it_is_read_is_unreadable(directory: Directory, database: sqlite3.Connection) -> None:
    large = hashlib.shake_256(b"").digest(20_000)
    inline(database, "key", 1, large, len(large))
    pages = closed(directory, database)
    at = pages.index(large[9_000:9_100]) // 4096 * 4096
    pages[at : at + 4] = b"\xff" * 4  # where the number of the next page stands
    directory.index.write_bytes(pages)
    with closing(schema.open_for_reading(directory.index)) as connection:
        bodies = Bodies(directory, connection)
        (found,) = bodies.objects()
        assert bodies.look(found, deep=False) is None
        fault = bodies.look(found, deep=True)
        assert fault == Fault("unreadable", "the body cannot be read: database disk image is malformed")


def test_what_is_no_damage_is_raised(database: sqlite3.Connection, bodies: Bodies) -> None:
    inline(database, "key", 1)
    (found,) = bodies.objects()
    database.close()
    with pytest.raises(sqlite3.ProgrammingError):
        bodies.look(found, deep=True)
    with pytest.raises(sqlite3.ProgrammingError):
        list(bodies.objects())
