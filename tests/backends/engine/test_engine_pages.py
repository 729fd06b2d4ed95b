"""An SQLite file, read page by page: everything that stands on sound pages, and nothing besides."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from objectstore.backends.engine.pages import Value, pages
from objectstore.backends.engine.schema import PAGE_SIZE

FREE = 32  # where the number of the first page that lists free ones stands
LONG = "x" * 3 * PAGE_SIZE  # goes on in other pages
INTEGERS = [0, 1, -1, 2**7, -(2**15), 2**23 - 1, -(2**31), 2**47 - 1, -(2**63)]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "index", isolation_level=None)) as opened:
        opened.execute("PRAGMA synchronous = OFF")
        opened.execute("PRAGMA journal_mode = MEMORY")
        opened.execute("CREATE TABLE tree (key TEXT NOT NULL PRIMARY KEY, value) WITHOUT ROWID")
        opened.execute("CREATE TABLE bodies (seq INTEGER PRIMARY KEY, data)")
        yield opened


@pytest.fixture
def path(tmp_path: Path, connection: sqlite3.Connection) -> Path:
    assert connection.execute("PRAGMA page_size").fetchone() == (PAGE_SIZE,)
    return tmp_path / "index"


def _pairs(path: Path) -> list[tuple[Value, ...]]:
    """The rows of `tree`."""
    return [row for page in pages(path) if page.kind != "rows" for row in page.rows]


def _bodies(path: Path) -> dict[int, Value]:
    """The rows of `bodies`; those of the schema have more columns."""
    found = [page for page in pages(path) if page.kind == "rows"]
    return {n: row[1] for page in found for n, row in zip(page.row_ids, page.rows, strict=True) if len(row) == 2}


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def _number(path: Path, at: int) -> int:
    return int.from_bytes(path.read_bytes()[at : at + 4], "big")


def _root(connection: sqlite3.Connection) -> int:
    """Where the first page of `tree` begins."""
    ((number,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'tree'").fetchall()
    return (int(number) - 1) * PAGE_SIZE


def test_every_kind_of_value_is_read(path: Path, connection: sqlite3.Connection) -> None:
    values = [*INTEGERS, None, "", "text ä", b"", b"bytes", LONG, LONG.encode()]
    connection.executemany("INSERT INTO tree VALUES (?, ?)", [(f"{n:02}", value) for n, value in enumerate(values)])
    assert sorted(_pairs(path), key=str) == [(f"{n:02}", value) for n, value in enumerate(values)]


def test_row_ids_of_every_length_are_read(path: Path, connection: sqlite3.Connection) -> None:
    ids = [1, 127, 128, 2**40, 2**62]  # as numbers of one byte to nine
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(n, str(n)) for n in ids])
    assert _bodies(path) == {n: str(n) for n in ids}


def test_what_is_not_ours_is_passed_over_and_its_neighbours_are_not(path: Path, connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO tree VALUES (?, ?)", [("a", 1), ("b", 1.5), ("c", 3)])
    assert _pairs(path) == [("a", 1), ("c", 3)]


def test_pages_that_are_free_are_passed_over(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA secure_delete = OFF")
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(n, b"x" * 1000) for n in range(1, 21)])
    connection.execute("DELETE FROM bodies WHERE seq > 2")
    assert connection.execute("PRAGMA freelist_count").fetchone()[0] > 2
    assert _bodies(path) == {1: b"x" * 1000, 2: b"x" * 1000}
    # Better to find what was deleted than to lose what was not.
    _overwrite(path, FREE, bytes(4))
    assert len(_bodies(path)) > 2


@pytest.mark.parametrize("damage", ["more than fit", "itself", "a page that is not there"])
def test_a_list_of_free_pages_that_is_damaged_is_read_as_far_as_it_goes(
    damage: str, path: Path, connection: sqlite3.Connection
) -> None:
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(n, b"x" * 1000) for n in range(1, 21)])
    connection.execute("DELETE FROM bodies WHERE seq > 2")
    trunk = _number(path, FREE)
    assert trunk
    at = (trunk - 1) * PAGE_SIZE
    if damage == "more than fit":
        _overwrite(path, at + 4, b"\xff" * 4)
    elif damage == "itself":
        _overwrite(path, at, trunk.to_bytes(4, "big"))
    else:
        _overwrite(path, at, b"\xff" * 4)
    assert {1, 2} <= _bodies(path).keys()


@pytest.mark.parametrize("value", [LONG, LONG.encode()])
def test_a_row_whose_other_pages_are_lost_is_lost_alone(
    value: Value, path: Path, connection: sqlite3.Connection
) -> None:
    connection.executemany("INSERT INTO tree VALUES (?, ?)", [("a", 1), ("b", value), ("c", 3)])
    whole = path.read_bytes()
    begin = whole.index(b"x" * 100, _root(connection))
    # Behind the bytes that are on this page stands the number of the next.
    end = begin + len(whole[begin:]) - len(whole[begin:].lstrip(b"x"))
    assert end < _root(connection) + PAGE_SIZE
    for number in (0, 2**31):
        _overwrite(path, end, number.to_bytes(4, "big"))
        assert _pairs(path) == [("a", 1), ("c", 3)]
    _overwrite(path, 0, whole)
    assert len(_pairs(path)) == 3


def test_a_size_that_no_row_can_have_is_no_reason_to_read_on(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO tree VALUES ('a', ?)", (b"x" * 100_000,))
    found = path.read_bytes()
    size = found.index(b"\x86\x8d")
    assert _pairs(path) == [("a", b"x" * 100_000)]
    _overwrite(path, size, b"\xff\xff\x7f")
    assert _pairs(path) == []


def test_rubbish_on_a_page_costs_only_what_was_there(path: Path, connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO tree VALUES (?, ?)", [(f"{n:04}", b"y" * 50) for n in range(400)])
    whole = path.read_bytes()
    kept = set(_pairs(path))
    assert len(kept) == 400
    for page in range(1, len(whole) // PAGE_SIZE):
        for rubbish in (b"\xff" * PAGE_SIZE, bytes(PAGE_SIZE), b"\x0a\0\0\0\xff" + b"\x80" * (PAGE_SIZE - 5)):
            at = page * PAGE_SIZE
            _overwrite(path, at, rubbish)
            left = set(_pairs(path))
            assert left <= kept
            assert len(kept - left) <= whole[at : at + PAGE_SIZE].count(b"y" * 50)
            _overwrite(path, at, whole[at : at + PAGE_SIZE])


def test_cells_that_point_beyond_the_page_are_passed_over(path: Path, connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO tree VALUES (?, ?)", [("a", 1), ("b", 2), ("c", 3)])
    for wrong in (PAGE_SIZE - 1, PAGE_SIZE, 2**16 - 1):
        _overwrite(path, _root(connection) + 8, wrong.to_bytes(2, "big"))
        assert _pairs(path)[-2:] == [("b", 2), ("c", 3)]


def test_a_file_that_is_cut_or_empty_gives_what_is_left(path: Path, connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(n, b"x" * 1000) for n in range(1, 21)])
    whole = len(_bodies(path))
    os.truncate(path, path.stat().st_size - PAGE_SIZE - 1)
    assert 0 < len(_bodies(path)) < whole
    os.truncate(path, 0)
    assert list(pages(path)) == []


def test_pages_that_the_disk_cannot_read_are_passed_over(
    path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(n, b"x" * 1000) for n in range(1, 21)])
    whole = _bodies(path)
    pread = os.pread
    bad = path.stat().st_size - PAGE_SIZE

    def failing(fd: int, size: int, at: int) -> bytes:
        if at == bad:
            raise OSError(5, "Input/output error")
        return pread(fd, size, at)

    monkeypatch.setattr(os, "pread", failing)
    left = _bodies(path)
    assert 0 < len(left) < len(whole)
    assert left.items() <= whole.items()
