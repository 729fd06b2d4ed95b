"""What a rebuilt index has: each row of a small damaged one, page by page, and what files and a backup know besides."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from objectstore.backends.engine import highwater, rebuilding, rescue, schema, steps
from objectstore.backends.engine.backupset import BackupSet
from objectstore.backends.engine.check import examine
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.mending import Donor
from objectstore.backends.engine.pages import Value, pages
from objectstore.backends.engine.rebuilding import (
    Rebuilt,
    _gaps,
    _log_is_left,
    _object_of,
    _Span,
    _table_of,
    put_in_place,
    rebuild,
)
from objectstore.backends.engine.rescue import Nameless
from objectstore.backends.engine.rows import PartRow, Row, UploadRow
from objectstore.backends.engine.schema import PAGE_SIZE
from objectstore.backends.engine.stored import Gap

ROW = Row("key", 7, 3, "etag", 1, 2, hashlib.sha256(b"abc").digest(), None, None, None)
PART = PartRow("u", 1, 8, 2, "etag", 3, hashlib.sha256(b"de").digest(), None, None)
UPLOAD = UploadRow("u", "key", 4, None, None, None, None, None, None, None)
TABLES = ("objects", "bodies", "parts", "uploads", "garbage")
SURE = Gap("", None)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("empty") / "index"
    schema.create(path)
    return path.read_bytes()


@pytest.fixture
def directory(tmp_path: Path, empty: bytes) -> Directory:
    directory = Directory(tmp_path)
    directory.index.write_bytes(empty)
    directory.blobs.mkdir()
    return directory


def write(directory: Directory, **rows: Sequence[tuple[object, ...]]) -> None:
    """Put rows into the tables of these names."""
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        insert(connection, **rows)


def insert(connection: sqlite3.Connection, **rows: Sequence[tuple[object, ...]]) -> None:
    connection.execute("BEGIN")
    for table, found in rows.items():
        for row in found:
            connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608  ours
    connection.execute("COMMIT")


def make_blob(directory: Directory, name: str, data: bytes) -> Path:
    path = Path(directory.blob(name))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def lose_objects(directory: Directory) -> None:
    """Overwrite the page of all rows of objects."""
    with closing(sqlite3.connect(directory.index)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'objects'").fetchall()
    overwrite(directory, (page - 1) * PAGE_SIZE, b"\xff" * PAGE_SIZE)


def overwrite(directory: Directory, at: int, data: bytes) -> None:
    with directory.index.open("r+b") as file:
        file.seek(at)
        file.write(data)


def page_of(directory: Directory, table: str) -> bytes:
    with closing(sqlite3.connect(directory.index)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        ((page,),) = connection.execute(query, (table,)).fetchall()
    return directory.index.read_bytes()[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]


def page_with_entry(blob: str, key: str) -> bytes:
    """A page of the index of blobs."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE entries (blob TEXT, key TEXT, PRIMARY KEY (blob, key)) WITHOUT ROWID")
        connection.execute("INSERT INTO entries VALUES (?, ?)", (blob, key))
        connection.commit()
        return connection.serialize()[-PAGE_SIZE:]


def remade(directory: Directory, table: str) -> list[tuple[object, ...]]:
    """The rows of a table in the index beside the damaged one, in its file alone."""
    aside = directory.root / "index.rebuilt"
    assert not list(directory.root.glob("index.rebuilt-*"))
    with closing(sqlite3.connect(f"{aside.as_uri()}?immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  ours


def last(directory: Directory) -> object:
    """The number of the latest change, as the index beside the damaged one has it."""
    ((_, found),) = remade(directory, "sequence")
    return found


def redo(directory: Directory, source: Donor | None = None) -> Rebuilt:
    return rebuild(directory, source, steps.no_step)


# Where keys are missing


def leaf(first: str, last: str) -> _Span:
    return _Span(first, last, inner=False)


def above(key: str) -> _Span:
    return _Span(key, key, inner=True)


@pytest.mark.parametrize(
    ("spans", "gaps"),
    [
        ([], [("", None)]),
        ([leaf("a", "c")], []),
        ([leaf("a", "c"), above("d"), leaf("e", "g")], []),
        ([leaf("a", "c"), leaf("e", "g")], [("c", "e")]),
        ([leaf("a", "c"), above("d")], [("d", None)]),
        ([above("d"), leaf("e", "g")], [("", "d")]),
        ([above("d"), above("h")], [("", "d"), ("d", "h"), ("h", None)]),
        ([leaf("e", "g"), leaf("z", "\U0001f600"), above("d"), leaf("a", "c")], [("g", "z")]),
        ([leaf("\U0001f600", "\U0001f600"), leaf("a", "c"), above("\uffff")], []),
    ],
    ids=range(9),
)
def test_a_leaf_is_on_both_sides_of_each_row_above_them(spans: list[_Span], gaps: list[tuple[str, str | None]]) -> None:
    assert list(_gaps(spans)) == [Gap(*gap) for gap in gaps]


# What a row is of


def test_what_has_the_form_of_an_object_is_one() -> None:
    whole = ROW._replace(digests="{}", attributes="{}", blob="aa1")
    assert _object_of(ROW) == ROW
    assert _object_of(whole) == whole
    assert isinstance(_object_of(tuple(ROW)), Row)
    for strange in (b"bytes", 1.5):
        for at in range(len(ROW)):
            assert at == 6 or _object_of((*whole[:at], strange, *whole[at + 1 :])) is None
    for digest in (bytes(31), bytes(33), "text", None):
        assert _object_of((*ROW[:6], digest, *ROW[7:])) is None
    assert _object_of(ROW[:-1]) is None
    assert _object_of((*ROW, None)) is None


@pytest.mark.parametrize(
    ("row", "table"),
    [
        (PART, "parts"),
        (PART._replace(digests="{}", blob="aa1"), "parts"),
        (PART._replace(sha256=bytes(31)), None),
        (PART[:-1], None),
        ((*PART, None), None),
        (UPLOAD, "uploads"),
        (UPLOAD._replace(size=1, completed="{}"), "uploads"),
        (UPLOAD[:-1], None),
        ((None, *UPLOAD[1:]), None),
        ((1, "aa1"), "garbage"),
        (("aa1", 1), None),
        (("aa1", "key"), None),
        ((1, "aa1", None), None),
        ((), None),
    ],
    ids=range(14),
)
def test_what_has_the_form_of_another_row_goes_to_its_table(row: tuple[Value, ...], table: str | None) -> None:
    assert _table_of(tuple(row)) == table


# The rows


def test_every_row_is_there_as_it_was(directory: Directory) -> None:
    rows: dict[str, list[tuple[object, ...]]] = {
        "objects": [ROW, ROW._replace(key="large", seq=9, size=10**6, blob="aa1"), ROW._replace(key="nothing", size=0)],
        "bodies": [(7, b"abc"), (8, b"de")],
        "parts": [PART, PART._replace(number=2, blob="aa2")],
        "uploads": [UPLOAD, UPLOAD._replace(id="v", size=5, completed="{}")],
        "garbage": [(11, "bb1"), (11, "bb2")],
    }
    write(directory, **rows)
    before = directory.index.read_bytes()
    told = redo(directory)
    assert {name: remade(directory, name) for name in TABLES} == rows
    assert told == Rebuilt(nameless=[])
    assert last(directory) == 9
    assert directory.index.read_bytes() == before
    assert remade(directory, "usage") == []


def test_what_is_in_the_log_comes_along_and_so_on_step_by_step(directory: Directory) -> None:
    reached: list[str] = []

    def step(name: str) -> None:
        reached.append(name)
        if name == steps.AFTER_OLD_LOG:
            assert directory.log.stat().st_size == 0
            assert (directory.root / "index.rebuilt").read_bytes() == b"of a repair that was cut short"
        elif name == steps.AFTER_EMPTY_INDEX:
            assert remade(directory, "objects") == []
        else:
            assert remade(directory, "objects") == [ROW]

    for suffix in ("", "-wal", "-shm", "-journal"):
        (directory.root / f"index.rebuilt{suffix}").write_bytes(b"of a repair that was cut short")
    with closing(sqlite3.connect(directory.index, isolation_level=None)) as connection:
        insert(connection, objects=[ROW], bodies=[(7, b"abc")])
        assert directory.log.stat().st_size > 0
        told = rebuild(directory, None, step)
        connection.execute("PRAGMA query_only = ON")
    assert reached == [steps.AFTER_OLD_LOG, steps.AFTER_EMPTY_INDEX, steps.AFTER_ROWS]
    assert told.gaps == []


@pytest.mark.parametrize("newer_is_behind", [True, False])
def test_of_two_rows_with_one_key_the_newer_counts(directory: Directory, newer_is_behind: bool) -> None:
    new, new_part = ROW._replace(size=0), PART._replace(size=0)
    old = Row("key", 6, 5, "old", 8, 9, bytes(32), "{}", "{}", "aa1")
    old_part = PartRow("u", 1, 5, 5, "old", 9, bytes(32), "{}", "aa2")
    order = [(new, new_part), (old, old_part)]
    written = []
    for row, part in order if newer_is_behind else reversed(order):
        write(directory, objects=[row], parts=[part])
        written.append(page_of(directory, "objects") + page_of(directory, "parts"))
    # Pages that are free, and nobody knows it.
    with directory.index.open("ab") as file:
        file.write(written[0])
    redo(directory)
    assert remade(directory, "objects") == [new]
    assert remade(directory, "parts") == [new_part]


def test_what_a_row_names_is_no_garbage(directory: Directory) -> None:
    """As when what was deleted is there again, for want of a list of free pages."""
    write(
        directory,
        objects=[ROW._replace(blob="aa1")],
        parts=[PART._replace(blob="aa2")],
        garbage=[(11, "aa0"), (11, "aa1"), (12, "aa2"), (12, "aa3")],
    )
    make_blob(directory, "aa3", b"body")
    with directory.index.open("ab") as file:
        file.write(page_with_entry("aa3", "again"))
    assert redo(directory).from_files == ["again"]
    assert remade(directory, "garbage") == [(11, "aa0")]


def test_changes_are_numbered_after_the_last_that_is_known(directory: Directory) -> None:
    for rows, expected in (
        ({"objects": [ROW]}, 7),
        ({"bodies": [(12, b"abc")]}, 12),
        ({"objects": [ROW._replace(key="later", seq=20)]}, 20),
        ({"parts": [PART._replace(seq=30, blob="aa1")]}, 30),
    ):
        write(directory, **rows)
        redo(directory)
        assert last(directory) == expected
    # It was the last of what is there no more.
    write(directory, sequence=[(1, 40)], usage_sequence=[(1, 50)])
    for mark, missing in ((39, None), (40, None), (41, (41, 41)), (45, (41, 45))):
        highwater.accept(directory.highwater, mark)
        assert redo(directory).missing == missing
        assert last(directory) == max(40, mark)


def lose_sequence(directory: Directory) -> None:
    found = page_of(directory, "sequence")
    assert directory.index.read_bytes()[PAGE_SIZE : 2 * PAGE_SIZE] == found
    overwrite(directory, PAGE_SIZE, b"\xff" * PAGE_SIZE)


def test_changes_are_numbered_after_the_mark_when_the_index_does_not_tell(directory: Directory) -> None:
    write(directory, objects=[ROW._replace(size=0)], usage_sequence=[(1, 50)])
    highwater.accept(directory.highwater, 8)
    lose_sequence(directory)
    redo(directory)
    assert last(directory) == 8
    highwater.accept(directory.highwater, 6)
    redo(directory)
    assert last(directory) == 7


def test_changes_that_a_damaged_index_had_lost_before_are_told(directory: Directory) -> None:
    """As when its log was removed after a crash."""
    write(
        directory, objects=[ROW, ROW._replace(key="large", seq=8, blob="aa1")], bodies=[(7, b"abc")], sequence=[(1, 8)]
    )
    make_blob(directory, "aa1", b"abc")
    highwater.accept(directory.highwater, 9)
    lose_objects(directory)
    directory.staging.mkdir()
    told = [(one.kind, one.message.partition(" and are not")[0]) for one in examine(directory, repair=True)]
    assert ("lost-changes", "the changes 9 to 9 were acknowledged") in told
    assert ("damaged-index", "its row is made anew of its file: etag, times and attributes are lost") in told
    assert list(examine(directory, repair=True)) == []


def test_changes_are_missing_when_they_are_in_a_log_that_did_not_come_along(directory: Directory) -> None:
    write(directory, objects=[ROW._replace(size=0)])
    highwater.accept(directory.highwater, 100)
    lose_sequence(directory)
    # A repair that was cut short has moved it.
    directory.lost.mkdir()
    (directory.lost / "index-0.sqlite3").write_bytes(b"of an earlier repair")
    (directory.lost / "index-0.sqlite3-wal").write_bytes(b"?")
    (directory.lost / "index-1.sqlite3").hardlink_to(directory.index)
    log = directory.lost / "index-1.sqlite3-wal"
    log.write_bytes(b"?")
    assert redo(directory).missing == (8, 100)
    assert last(directory) == 100
    log.unlink()
    assert redo(directory).missing is None, "nobody knows"
    assert last(directory) == 100


def test_a_log_is_left_when_something_is_in_it(directory: Directory) -> None:
    assert not _log_is_left(directory)
    directory.log.touch()
    assert not _log_is_left(directory)
    directory.log.write_bytes(b"?")
    assert _log_is_left(directory)


def test_keys_are_missing_between_the_neighbours_of_a_lost_page(directory: Directory) -> None:
    keys = [f"{n:03}{'long' * 200}" for n in range(100)]  # a tree of three levels
    write(directory, objects=[ROW._replace(key=key, size=0) for key in keys])
    found = {page.kind: page for page in pages(directory.index) if any(len(row) == len(ROW) for row in page.rows)}
    between = [str(row[0]) for row in found["inner"].rows]
    assert len(between) > 1
    assert redo(directory).gaps == []
    whole = directory.index.read_bytes()
    overwrite(directory, (found["inner"].number - 1) * PAGE_SIZE, b"\xff" * PAGE_SIZE)
    numbers = [keys.index(key) for key in between]
    assert redo(directory).gaps == [Gap(keys[n - 1], keys[n + 1]) for n in numbers]
    directory.index.write_bytes(whole)
    overwrite(directory, (found["leaf"].number - 1) * PAGE_SIZE, b"\xff" * PAGE_SIZE)
    lost = {str(row[0]) for row in found["leaf"].rows}
    (gap,) = redo(directory).gaps
    assert {key for key in keys if gap.after < key and (gap.before is None or key < gap.before)} == lost
    assert {row[0] for row in remade(directory, "objects")} == {*keys} - lost


# What is known from elsewhere


@pytest.fixture
def backup() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES)
        yield connection


def test_rows_of_the_backup_are_taken_where_none_is_known(directory: Directory, backup: sqlite3.Connection) -> None:
    make_blob(directory, "aa1", b"abc")
    make_blob(directory, "aa2", b"another")
    same, other = ROW._replace(key="same", blob="aa1"), ROW._replace(key="other", blob="aa2", size=7)
    write(directory, objects=[same, other], bodies=[(40, b"x")], parts=[PART._replace(seq=40, size=1)])
    lose_objects(directory)
    attributes = '{"content_type": "text/plain"}'
    in_it = [ROW._replace(attributes=attributes, etag="kept"), same, other._replace(blob="aa0")]
    insert(backup, objects=in_it)
    told = redo(directory, Donor(BackupSet(directory.root / "backup"), backup))
    assert told.gaps == [SURE]
    assert told.from_backup == ["key", "same"]
    assert told.from_files == ["other"]
    found = {row[0]: Row._make(row) for row in map(Row._make, remade(directory, "objects"))}
    assert found["key"] == in_it[0]._replace(seq=41)
    assert found["same"] == same._replace(seq=42)
    assert found["other"].seq == 43
    assert found["other"].blob == "aa2"
    assert last(directory) == 43


def test_rows_of_the_backup_outside_of_the_gaps_stay_there(directory: Directory, backup: sqlite3.Connection) -> None:
    write(directory, objects=[ROW._replace(size=0)])
    insert(backup, objects=[ROW._replace(key="another"), ROW._replace(etag="old")])
    told = redo(directory, Donor(BackupSet(directory.root / "backup"), backup))
    assert told == Rebuilt(nameless=[])
    assert remade(directory, "objects") == [ROW._replace(size=0)]


def test_a_row_is_made_anew_of_the_file_that_has_a_key(directory: Directory) -> None:
    paths = {name: make_blob(directory, name, name.encode()) for name in ("aa3", "aa2", "aa1")}
    for n, path in enumerate(paths.values()):
        os.utime(path, ns=(1, 1_000_000_000_000_001_999 + n * 1000))
    write(directory, objects=[ROW._replace(key=f"key of {name}", size=3, blob=name) for name in (*paths, "aa0")])
    lose_objects(directory)
    told = redo(directory)
    assert told.from_files == ["key of aa1", "key of aa2", "key of aa3"]
    assert told.gaps == [SURE]
    assert told.nameless == []
    found = [Row._make(row) for row in remade(directory, "objects")]
    assert len({row.etag for row in found}) == 3
    assert found == [
        Row(f"key of {name}", seq, 3, row.etag, at, at, hashlib.sha256(name.encode()).digest(), None, None, name)
        for seq, name, at, row in zip(
            (1, 2, 3),
            ("aa1", "aa2", "aa3"),
            (1_000_000_000_000_003, 1_000_000_000_000_002, 1_000_000_000_000_001),
            found,
            strict=True,
        )
    ]


def test_a_row_that_is_known_is_not_made_anew(directory: Directory) -> None:
    make_blob(directory, "aa1", b"abc")
    row = ROW._replace(blob="aa1")
    write(directory, objects=[row])
    assert redo(directory).from_files == []
    assert remade(directory, "objects") == [row]


def test_what_no_row_names_is_kept(directory: Directory) -> None:
    make_blob(directory, "aa1", b"of nobody")
    make_blob(directory, "aa2", b"named")
    write(
        directory,
        objects=[ROW, ROW._replace(key="large", blob="aa2", seq=9)],
        bodies=[(7, b"abc"), (8, b"de"), (10, b"first"), (11, b"second")],
        parts=[PART],
    )
    told = redo(directory)
    digests = [hashlib.sha256(data).hexdigest() for data in (b"first", b"second", b"of nobody")]
    assert told.kept == [f"10.body: 5 bytes, SHA-256 {digests[0]}", f"11.body: 6 bytes, SHA-256 {digests[1]}"]
    assert {path.name: path.read_bytes() for path in directory.lost.iterdir()} == {
        "10.body": b"first",
        "11.body": b"second",
    }
    assert remade(directory, "bodies") == [(7, b"abc"), (8, b"de")]
    assert told.nameless == [Nameless(Path(directory.blob("aa1")), 9, bytes.fromhex(digests[2]))]


# The exchange


@pytest.fixture
def damaged(directory: Directory) -> Directory:
    """With an index beside the damaged one, whose log is left."""
    directory.index.write_bytes(b"damaged")
    directory.log.write_bytes(b"log")
    (directory.root / "index.sqlite3-shm").write_bytes(b"shared")
    (directory.root / "index.rebuilt").write_bytes(b"sound")
    return directory


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir())


IN_LOST = ["aa1", "index-0.sqlite3", "index-0.sqlite3-wal"]


def test_the_sound_index_takes_the_place_of_the_damaged_one(
    damaged: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = Nameless(make_blob(damaged, "aa1", b"of nobody"), 9, b"")
    happened: list[object] = []
    for module in (rebuilding, rescue):
        monkeypatch.setattr(module, "sync_folder", lambda path: happened.append(names(path)))
    put_in_place(damaged, Rebuilt(nameless=[body]), happened.append)
    after = ["blobs", "index.rebuilt", "index.sqlite3", "lost"]
    assert happened == [
        ["aa1"],
        steps.AFTER_KEEP,
        IN_LOST,
        steps.AFTER_ASIDE,
        after,
        steps.AFTER_UNLOG,
        [name for name in after if name != "index.rebuilt"],
        steps.AFTER_EXCHANGE,
    ]
    assert damaged.index.read_bytes() == b"sound"
    lost = {path.name: path.read_bytes() for path in damaged.lost.iterdir()}
    assert lost == dict(zip(IN_LOST, (b"of nobody", b"damaged", b"log"), strict=True))
    assert not body.path.exists()


@pytest.mark.parametrize("cut", [steps.AFTER_KEEP, steps.AFTER_ASIDE, steps.AFTER_UNLOG, steps.AFTER_EXCHANGE])
def test_an_exchange_that_is_cut_short_is_done_again(damaged: Directory, cut: str) -> None:
    body = Nameless(make_blob(damaged, "aa1", b"of nobody"), 9, b"")

    def step(name: str) -> None:
        if name == cut:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        put_in_place(damaged, Rebuilt(nameless=[body]), step)
    assert body.path.exists(), "not before the index that does not name it counts"
    if cut == steps.AFTER_EXCHANGE:
        assert damaged.index.read_bytes() == b"sound"
    else:
        assert damaged.index.read_bytes() == b"damaged"
        put_in_place(damaged, Rebuilt(nameless=[body]), steps.no_step)
        assert not body.path.exists()
    assert names(damaged.lost) == IN_LOST
    assert names(damaged.root) == ["blobs", "index.sqlite3", "lost"]


def test_what_earlier_repairs_have_kept_stays(damaged: Directory) -> None:
    damaged.lost.mkdir()
    for number in (0, 1):
        (damaged.lost / f"index-{number}.sqlite3").write_bytes(b"earlier")
    damaged.log.unlink()
    put_in_place(damaged, Rebuilt(), steps.no_step)
    assert names(damaged.lost) == [f"index-{number}.sqlite3" for number in range(3)]
    assert (damaged.lost / "index-2.sqlite3").read_bytes() == b"damaged"
    assert (damaged.lost / "index-1.sqlite3").read_bytes() == b"earlier"
