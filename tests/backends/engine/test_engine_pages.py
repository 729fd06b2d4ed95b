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


def test_a_row_may_have_many_columns(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE wide (a, b, c, d, e, f, PRIMARY KEY (a)) WITHOUT ROWID")
    row = (1000, 2**40, None, "text", -5, b"bytes")
    connection.execute("INSERT INTO wide VALUES (?, ?, ?, ?, ?, ?)", row)
    assert _pairs(path) == [row]


@pytest.mark.parametrize("table", ["tree", "bodies"])
def test_rows_of_every_size_are_read(table: str, path: Path, connection: sqlite3.Connection) -> None:
    """Around those at which one more byte of them stays on the page, or goes to another."""
    turns = [least_or_most + PAGE_SIZE * more for least_or_most in (489, 1002, 4061) for more in range(3)]
    sizes = [size for turn in turns for size in range(turn - 40, turn + 6)]
    bodies = {size: (b"%05d" % size * size)[:size] for size in sizes}
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", bodies.items())  # noqa: S608  ours
    connection.execute("COMMIT")
    found = _bodies(path) if table == "bodies" else {int(str(key)): value for key, value in _pairs(path)}
    assert found == bodies


def test_row_ids_of_every_length_are_read(path: Path, connection: sqlite3.Connection) -> None:
    ids = [1, 127, 128, 2**40, 2**62 + 5]  # as numbers of one byte to nine
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(n, str(n)) for n in ids])
    assert _bodies(path) == {n: str(n) for n in ids}
    connection.execute("INSERT INTO tree VALUES ('a', 1)")
    assert [page.row_ids for page in pages(path) if page.kind == "leaf"] == [[0]]


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
    whole = [page for page in pages(path) if page.kind == "rows"]
    size = whole[-1].number * PAGE_SIZE
    assert size == path.stat().st_size
    os.truncate(path, size - 1)
    assert [page for page in pages(path) if page.kind == "rows"] == whole[:-1]
    os.truncate(path, 0)
    assert list(pages(path)) == []


def test_pages_that_the_disk_cannot_read_are_passed_over(
    path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(n, b"x" * 1000) for n in range(1, 21)])
    connection.execute("INSERT INTO tree VALUES ('a', 1)")
    connection.execute("INSERT INTO tree VALUES ('b', ?)", (LONG,))
    connection.execute("INSERT INTO tree VALUES ('c', 3)")
    whole = _bodies(path)
    pread = os.pread
    bad = 0

    def failing(fd: int, size: int, at: int) -> bytes:
        if at == (bad - 1) * PAGE_SIZE:
            raise OSError(5, "Input/output error")
        return pread(fd, size, at)

    monkeypatch.setattr(os, "pread", failing)
    bad = next(page.number for page in pages(path) if page.kind == "rows" and len(page.rows) > 2)
    left = _bodies(path)
    assert 0 < len(left) < len(whole)
    assert left.items() <= whole.items()
    bad = path.stat().st_size // PAGE_SIZE  # the last that the long row goes on in
    assert _pairs(path) == [("a", 1), ("c", 3)]
    bad = 1
    assert _bodies(path) == whole


# Pages that are put together here


def _file(path: Path, *made: bytes) -> Path:
    """A file of these pages, behind a first one; what they hold begins at their head."""
    path.write_bytes(b"".join(page.ljust(PAGE_SIZE, b"\0") for page in (bytes(FREE), *made)))
    return path


def _page(cells: dict[int, bytes], kind: int = 0x0A, count: int | None = None) -> bytes:
    """A page with cells at these places."""
    count = len(cells) if count is None else count
    raw = bytearray(PAGE_SIZE)
    raw[0], raw[3:5] = kind, count.to_bytes(2, "big")
    first = 12 if kind == 0x02 else 8
    pointers = b"".join(at.to_bytes(2, "big") for at in cells)
    raw[first : first + len(pointers)] = pointers
    for at, cell in cells.items():
        raw[at : at + len(cell)] = cell
    return bytes(raw)


def _cell(number: int) -> bytes:
    """Of a row with one small number."""
    return bytes([3, 2, 1, number])


def _numbers(path: Path) -> list[Value]:
    return [row[0] for page in pages(path) for row in page.rows]


def _list(follows: int, *free: int, count: int | None = None) -> bytes:
    """A page that lists free ones."""
    numbers = (follows, len(free) if count is None else count, *free)
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def _begin_free(path: Path, trunk: int) -> None:
    _overwrite(path, FREE, trunk.to_bytes(4, "big"))


def test_only_what_the_head_of_a_page_points_to_is_a_row(tmp_path: Path) -> None:
    # Between the two pointers stands, a byte off, one to the third cell.
    cells = {0x080A: _cell(1), 0x0B00: _cell(2)}
    page = bytearray(_page(cells))
    page[0x0A0B : 0x0A0B + 4] = _cell(3)
    assert _numbers(_file(tmp_path / "file", bytes(page))) == [1, 2]
    stale = _page({0x800: _cell(1), 0x900: _cell(2), 0xA00: _cell(3)}, count=2)
    assert _numbers(_file(tmp_path / "file", stale)) == [1, 2]
    inner = _page({0x080A: bytes(4) + _cell(1)}, kind=0x02)
    assert _numbers(_file(tmp_path / "file", inner)) == [1]


@pytest.mark.parametrize(
    "wrong",
    [_page({0x800: _cell(1)}, kind=0x05), _page({0x800: _cell(1)}, count=0xFFFF), _page({0x800: _cell(1)}, count=2045)],
    ids=["its kind", "its count", "its count by one"],
)
def test_a_page_whose_head_cannot_be_true_is_passed_over(wrong: bytes, tmp_path: Path) -> None:
    path = _file(tmp_path / "file", wrong, _page({0x800: _cell(2)}))
    assert [page.number for page in pages(path)] == [3]


@pytest.mark.parametrize(
    "record",
    [
        bytes([3, 2, 1]),  # its value is missing
        bytes([4, 2, 1, 5, 0]),  # a byte too many
        bytes([4, 2, 0x81, 0x00, 5]),  # the second byte of a type is behind the types
        bytes([3, 2, 10, 0]),  # a type of SQLite's own
        bytes([3, 2, 15, 0xFF]),  # a text that is none
        bytes([0]),
    ],
    ids=range(6),
)
def test_what_is_no_whole_record_is_no_row(record: bytes, tmp_path: Path) -> None:
    # At the end of the page, so that nothing follows.
    path = _file(tmp_path / "file", _page({PAGE_SIZE - len(record): record, 0x800: _cell(2)}))
    assert _numbers(path) == [2]


def test_free_pages_are_listed_on_one_page_after_another(tmp_path: Path) -> None:
    made = [_page({0x800: _cell(number)}) for number in range(2, 10)]
    made[3 - 2] = _list(9, 4, 6, 7, count=2)  # what is behind them was one once
    made[9 - 2] = _list(0, 2)  # the last of the file
    path = _file(tmp_path / "file", *made)
    _begin_free(path, 3)
    assert _numbers(path) == [5, 7, 8]
    # Two bytes of one number and two of the next are none.
    path = _file(tmp_path / "file", *[_page({0x800: _cell(1)})] * 511)
    _overwrite(path, 2 * PAGE_SIZE, _list(0, 2, 4).ljust(PAGE_SIZE, b"\0"))
    _begin_free(path, 3)
    assert {page.number for page in pages(path)} == {*range(5, 513)}


@pytest.mark.parametrize(
    ("trunk", "left"),
    [
        (_list(0, *[4] * 1022), [2, 5]),
        (_list(0, *[4] * 1022, count=1023), [2, 4, 5]),
        (_list(5, 4, count=0x01000000), [2, 4, 5]),
        (_list(3, 4), [2, 5]),
        (_list(1000, 4), [2, 5]),
    ],
    ids=range(5),
)
def test_no_more_is_free_than_a_page_can_list(trunk: bytes, left: list[int], tmp_path: Path) -> None:
    cells = [_page({0x800: _cell(number)}) for number in (2, 4, 5)]
    path = _file(tmp_path / "file", cells[0], trunk, *cells[1:])
    _begin_free(path, 3)
    assert _numbers(path) == left


def test_a_row_goes_on_on_the_pages_that_it_names(tmp_path: Path) -> None:
    size = 489 + 2 * (PAGE_SIZE - 4)  # 489 bytes on the first page, and two pages full
    kind = 2 * (size - 4) + 12  # of bytes
    types = bytes([4, 0x80 | kind >> 14, 0x80 | kind >> 7 & 0x7F, kind & 0x7F])
    head = bytes([0x80 | size >> 7, size & 0x7F])
    data = bytes(n % 251 for n in range(size - 4))
    rest = data[489 - 4 :]
    first, second = rest[: PAGE_SIZE - 4], rest[PAGE_SIZE - 4 :]
    leaf = _page({0x800: head + types + data[: 489 - 4] + (2).to_bytes(4, "big")})
    path = _file(tmp_path / "file", (4).to_bytes(4, "big") + first, leaf, bytes(4) + second)
    assert _numbers(path) == [data]
    for wrong in (0, 3, 5, 2**32 - 1):
        _overwrite(path, PAGE_SIZE, wrong.to_bytes(4, "big"))
        assert data not in _numbers(path)
