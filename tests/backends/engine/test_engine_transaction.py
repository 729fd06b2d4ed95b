"""Operations on an index in memory: what each reads, changes, counts and leaves to be collected."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from objectstore.backends.engine import operations, rows, schema
from objectstore.backends.engine.counters import Counters, count, usage_of
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.index import Index, ReadIndex
from objectstore.backends.engine.operations import Body, Copy, Count, Delete, DeleteMany, ForgetGarbage, Probe, Put
from objectstore.backends.engine.rows import PartRow, Row, UploadRow
from objectstore.backends.engine.transaction import Transaction
from objectstore.errors import (
    AlreadyExists,
    ConfigurationError,
    Corrupted,
    NotFound,
    ObjectStoreError,
    PreconditionFailed,
    QuotaExceeded,
)
from objectstore.values import (
    NO_ATTRIBUTES,
    ONLY_IF_ABSENT,
    UNCONDITIONAL,
    Attributes,
    Conditions,
    CopyOptions,
    Quota,
    Usage,
)

SHA256 = bytes(32)
TEXT = Attributes(content_type="text/plain")
Rows = list[tuple[object, ...]]


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES + schema.USAGE_TABLES)
        yield connection


def inline(data: bytes) -> Body:
    return Body(len(data), {"sha-256": SHA256}, data=data)


def blob(name: str, size: int) -> Body:
    return Body(size, {"sha-256": SHA256, "md5": bytes(16)}, blob=name)


def put(key: str, body: Body, conditions: Conditions = UNCONDITIONAL, quota: Quota | None = None) -> Put:
    return Put(key, body, NO_ATTRIBUTES, conditions, f"e-{key}", quota)


def apply(database: sqlite3.Connection, *done: operations.Operation[object], now: int = 10) -> list[object]:
    """The outcomes of operations in one transaction, which is written down; errors of ours among them."""
    transaction = Transaction(database, now)
    transaction.prefetch([key for one in done for key in one.keys])
    outcomes: list[object] = []
    for one in done:
        try:
            outcomes.append(one.apply(transaction))
        except ObjectStoreError as error:
            outcomes.append(error)
    transaction.flush()
    return outcomes


def all_of(database: sqlite3.Connection, table: str) -> Rows:
    return database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608  our tables


def keys(database: sqlite3.Connection) -> list[str]:
    return [str(row[0]) for row in all_of(database, "objects")]


# Objects


def test_a_small_body_is_in_the_index_and_a_large_one_named(database: sqlite3.Connection) -> None:
    small, large, empty = apply(
        database, put("small", inline(b"abc")), put("large", blob("b", 1000)), put("empty", inline(b""))
    )
    assert small == Row("small", 1, 3, "e-small", 10, 10, SHA256, None, None, None)
    assert large == Row("large", 2, 1000, "e-large", 10, 10, SHA256, '{"md5": "AAAAAAAAAAAAAAAAAAAAAA=="}', None, "b")
    assert all_of(database, "objects") == [empty, large, small]
    assert all_of(database, "bodies") == [(1, b"abc")]
    assert all_of(database, "sequence") == [(1, 3)]
    index = Index(database)
    assert index.row_and_body("small") == (small, b"abc")
    assert index.row_and_body("large") == (large, None)
    assert index.row_and_body("none") is None
    assert (index.row("small"), index.row("none")) == (small, None)
    assert (index.body(1), index.body(2)) == (b"abc", None)
    assert index.last_seq() == 3


def test_what_is_overwritten_goes_with_the_same_commit(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"1")), put("b", blob("b1", 5)), put("c", inline(b"3")))
    (row,) = apply(database, put("a", blob("a2", 6)), now=20)[:1]
    assert isinstance(row, Row)
    assert (row.created, row.modified, row.seq) == (10, 20, 4)
    apply(database, put("b", inline(b"2")), now=30)
    assert all_of(database, "bodies") == [(3, b"3"), (5, b"2")]
    assert all_of(database, "garbage") == [(30, "b1")]
    assert apply(database, Delete("a", UNCONDITIONAL), Delete("c", UNCONDITIONAL), now=40) == [None, None]
    assert keys(database) == ["b"]
    assert all_of(database, "bodies") == [(5, b"2")]
    assert all_of(database, "garbage") == [(30, "b1"), (40, "a2")]
    assert all_of(database, "sequence") == [(1, 7)]


def test_within_a_transaction_the_last_one_counts(database: sqlite3.Connection) -> None:
    apply(
        database,
        put("a", inline(b"1")),
        put("a", blob("b1", 5)),
        put("a", inline(b"22")),
        put("b", inline(b"x")),
        Delete("b", UNCONDITIONAL),
        put("c", inline(b"x")),
        put("c", inline(b"y")),
    )
    assert [row[:3] for row in all_of(database, "objects")] == [("a", 3, 2), ("c", 7, 1)]
    assert all_of(database, "bodies") == [(3, b"22"), (7, b"y")]
    assert all_of(database, "garbage") == [(10, "b1")]


def test_a_blob_is_garbage_when_nothing_refers_to_it(database: sqlite3.Connection) -> None:
    apply(database, put("a", blob("b", 5)), Copy("a", "c", CopyOptions(), "e2"))
    apply(database, Delete("a", UNCONDITIONAL))
    assert all_of(database, "garbage") == []
    assert Index(database).refers_to("b")
    apply(database, Delete("c", UNCONDITIONAL), now=99)
    assert all_of(database, "garbage") == [(99, "b")]
    assert not Index(database).refers_to("b")


def test_conditions_are_checked_before_anything_is_changed(database: sqlite3.Connection) -> None:
    other = Conditions(if_match=("other",))
    outcomes = apply(
        database,
        put("a", inline(b"1"), ONLY_IF_ABSENT),
        put("a", inline(b"2"), ONLY_IF_ABSENT),
        put("a", inline(b"3"), other),
        Delete("a", other),
        Delete("none", UNCONDITIONAL),
        put("a", inline(b"4"), Conditions(if_match=("e-a",))),
        put("none", inline(b"5"), other),
    )
    kinds = [type(one) for one in outcomes]
    assert kinds == [Row, AlreadyExists, PreconditionFailed, PreconditionFailed, NotFound, Row, PreconditionFailed]
    assert [one.key for one in outcomes if isinstance(one, NotFound | PreconditionFailed)] == ["a"] * 3 + ["none"] * 2
    assert all_of(database, "bodies") == [(2, b"4")]
    assert all_of(database, "sequence") == [(1, 2)], "what was refused has no number"


def test_what_is_asked_for_is_deleted(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"1")))
    assert apply(database, Delete("a", Conditions(if_match=("e-a",)))) == [None]
    assert keys(database) == []


def test_of_many_some_are_there(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"1")), put("c", inline(b"3")))
    (outcomes,) = apply(database, DeleteMany(["a", "b", "c", "a"]))
    assert isinstance(outcomes, list)
    assert [type(one) for one in outcomes] == [type(None), NotFound, type(None), NotFound]
    assert [one.key for one in outcomes if isinstance(one, NotFound)] == ["b", "a"]
    assert keys(database) == []
    assert all_of(database, "sequence") == [(1, 4)]


def test_a_copy_has_the_body_and_what_it_was_told(database: sqlite3.Connection) -> None:
    apply(database, Put("a", inline(b"1"), TEXT, UNCONDITIONAL, "ea"), put("b", blob("b", 5)), put("t", inline(b"t")))
    copied, blobbed, other = apply(
        database,
        Copy("a", "t", CopyOptions(), "e1"),
        Copy("b", "u", CopyOptions(), "e2"),
        Copy("a", "v", CopyOptions(attributes=Attributes(content_type="x/y")), "e3"),
        now=20,
    )
    assert copied == Row("t", 4, 1, "e1", 10, 20, SHA256, None, '{"content_type": "text/plain"}', None)
    assert blobbed == Row("u", 5, 5, "e2", 20, 20, SHA256, '{"md5": "AAAAAAAAAAAAAAAAAAAAAA=="}', None, "b")
    assert other == Row("v", 6, 1, "e3", 20, 20, SHA256, None, '{"content_type": "x/y"}', None)
    assert all_of(database, "bodies") == [(1, b"1"), (4, b"1"), (6, b"1")]
    (again,) = apply(database, Copy("a", "a", CopyOptions(attributes=NO_ATTRIBUTES), "e4"))
    assert isinstance(again, Row)
    assert again.attributes is None
    assert Index(database).row_and_body("a") == (again, b"1")


def test_a_copy_of_what_was_written_just_before(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"1")), Copy("a", "b", CopyOptions(), "e"))
    assert all_of(database, "bodies") == [(1, b"1"), (2, b"1")]


def test_a_copy_that_may_not_be_is_none(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"1")), put("b", inline(b"2")))
    quota = Quota(prefix="", size=2)
    outcomes = apply(
        database,
        Copy("none", "t", CopyOptions(), "e"),
        Copy("a", "t", CopyOptions(source=Conditions(if_match=("other",))), "e"),
        Copy("a", "b", CopyOptions(conditions=ONLY_IF_ABSENT), "e"),
        Copy("a", "t", CopyOptions(quota=quota), "e"),
        Copy("a", "b", CopyOptions(quota=quota), "e"),
    )
    assert [type(one) for one in outcomes] == [NotFound, PreconditionFailed, AlreadyExists, QuotaExceeded, Row]
    assert [one.key for one in outcomes if isinstance(one, NotFound | PreconditionFailed)] == ["none", "a", "b"]
    database.execute("DELETE FROM bodies")
    (lost,) = apply(database, Copy("a", "t", CopyOptions(), "e"))
    assert isinstance(lost, Corrupted)
    assert lost.message == "the body of 'a' is missing from the index"


def test_an_operation_tells_its_keys_weight_and_whether_it_grows() -> None:
    found = [
        (one.keys, one.weight, one.grows)
        for one in (
            put("a", inline(b"123")),
            put("a", blob("b", 9)),
            Delete("a", UNCONDITIONAL),
            DeleteMany(["a", "b"]),
            Copy("a", "b", CopyOptions(), "e"),
            Count(["a"]),
            Probe(),
            ForgetGarbage([(1, "b")]),
        )
    ]
    assert found == [
        (("a",), 3, True),
        (("a",), 0, True),
        (("a",), 0, False),
        (["a", "b"], 0, False),
        (("a", "b"), 0, True),
        ((), 0, False),
        ((), 0, True),
        ((), 0, False),
    ]


# The transaction


def test_many_rows_of_all_numbers_are_written(database: sqlite3.Connection) -> None:
    for number in (1, 2, 3, 31, 32, 33, 65, 100):
        database.executescript("DELETE FROM objects; DELETE FROM bodies; DELETE FROM garbage")
        before = Index(database).last_seq()
        wanted = [f"k{at:03}" for at in range(number)]
        apply(database, *[put(key, inline(b"x")) for key in reversed(wanted)])
        assert keys(database) == wanted
        assert len(all_of(database, "bodies")) == number
        assert Index(database).last_seq() == before + number
        apply(database, *[Delete(key, UNCONDITIONAL) for key in wanted])
        assert all_of(database, "objects") + all_of(database, "bodies") == []


def test_rows_are_written_in_powers_of_two(database: sqlite3.Connection) -> None:
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    apply(database, *[put(f"k{at:03}", blob(f"b{at}", 1)) for at in range(45)])
    lengths = [one.count("'e-k") for one in statements if one.startswith("INSERT OR REPLACE INTO objects")]
    assert lengths == [32, 8, 4, 1]


def test_rows_are_read_once(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"1")), put("b", inline(b"2")))
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    transaction = Transaction(database, 20)
    transaction.prefetch(["a", "c"])
    assert [transaction.row("a") is None, transaction.row("c"), transaction.row("c")] == [False, None, None]
    assert sum("json_each" in one for one in statements) == 1
    assert sum("WHERE key = " in one for one in statements) == 0
    transaction.prefetch(["b"])
    assert sum("json_each" in one for one in statements) == 1, "one is found as fast when it is asked for"
    assert transaction.row("b") == transaction.row("b") == Index(database).row("b")
    assert sum("WHERE key = 'b'" in one for one in statements) == 2


def test_there_is_something_to_commit_when_something_changed(database: sqlite3.Connection) -> None:
    transaction = Transaction(database, 1)
    assert not transaction.changed
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    transaction.flush()
    assert statements == []
    for operation in (Probe(), ForgetGarbage([]), put("a", inline(b"1")), Count([""])):
        transaction = Transaction(database, 1)
        operation.apply(transaction)
        assert transaction.changed, operation
        assert transaction.changed_keys == ({"a"} if isinstance(operation, Put) else set())
    assert all_of(database, "sequence") == [(1, 0)], "not flushed"


def test_garbage_is_struck_out_by_time_and_name(database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO garbage VALUES (1, 'a'), (1, 'b'), (2, 'a'), (3, 'c')")
    index = Index(database)
    assert index.garbage_since(2, 10) == [(1, "a"), (1, "b"), (2, "a")]
    assert index.garbage_since(2, 2) == [(1, "a"), (1, "b")]
    assert index.garbage_after(1, 10) == [(2, "a"), (3, "c")]
    assert index.garbage_after(1, 1) == [(2, "a")]
    apply(database, ForgetGarbage([(1, "a"), (3, "x")]))
    assert all_of(database, "garbage") == [(1, "b"), (2, "a"), (3, "c")]


# Uploads


def begun(upload_id: str, key: str, at: int = 5) -> UploadRow:
    return UploadRow(upload_id, key, at, None, None, None, None, None, None, None)


def part(number: int, seq: int, size: int, blob: str | None = None, upload: str = "u") -> PartRow:
    return PartRow(upload, number, seq, size, f"p{number}", 6, SHA256, None, blob)


def test_parts_come_go_and_are_replaced(database: sqlite3.Connection) -> None:
    transaction = Transaction(database, 10)
    transaction.put_upload(begun("u", "k"))
    transaction.put_upload(begun("v", "k"))
    transaction.put_part("k", part(2, transaction.next_seq(), 3), b"two")
    transaction.put_part("k", part(1, transaction.next_seq(), 9, "b1"))
    transaction.put_part("k", part(3, transaction.next_seq(), 0), b"")
    transaction.put_part("k", part(1, transaction.next_seq(), 3, upload="v"), b"vvv")
    transaction.flush()
    index = Index(database)
    assert index.last_seq() == 6
    assert [one.number for one in index.parts("u")] == [1, 2, 3]
    assert index.part("u", 2) == part(2, 3, 3)
    assert index.part("u", 9) is None
    assert all_of(database, "bodies") == [(3, b"two"), (6, b"vvv")]
    assert index.refers_to("b1")
    assert index.known_among(["b1", "b2"]) == {"b1"}

    transaction = Transaction(database, 20)
    transaction.put_part("k", part(2, transaction.next_seq(), 4, "b2"))
    transaction.put_part("k", part(1, transaction.next_seq(), 3), b"one")
    transaction.flush()
    assert all_of(database, "bodies") == [(6, b"vvv"), (8, b"one")]
    assert all_of(database, "garbage") == [(20, "b1")]
    assert index.known_among(["b1", "b2", "b3"]) == {"b1", "b2"}

    transaction = Transaction(database, 30)
    record = rows.encode_row(Row("k", 9, 7, "e", 30, 30, SHA256, None, None, "b"))
    transaction.complete_upload("u", record)
    transaction.next_seq()
    transaction.flush()
    assert index.parts("u") == []
    assert all_of(database, "bodies") == [(6, b"vvv")]
    assert all_of(database, "garbage") == [(20, "b1"), (30, "b2")]
    assert index.upload("u") == begun("u", "k")._replace(completed=record)
    assert index.unfinished("", 10) == [begun("v", "k")]

    transaction = Transaction(database, 40)
    transaction.remove_upload("v")
    transaction.flush()
    assert index.upload("v") is None
    assert all_of(database, "parts") + all_of(database, "bodies") == []
    assert index.last_seq() == 10


def test_uploads_are_listed_and_expire(database: sqlite3.Connection) -> None:
    transaction = Transaction(database, 10)
    for number in range(4):
        transaction.put_upload(begun(f"u{number}", "k", at=number))
    transaction.complete_upload("u0", rows.encode_row(Row("k", 9, 7, "e", 1, 50, SHA256, None, None, None)))
    transaction.flush()
    index = Index(database)
    assert [one.id for one in index.unfinished("", 2)] == ["u1", "u2"]
    assert [one.id for one in index.unfinished("u2", 9)] == ["u2", "u3"]
    assert sorted(index.begun_before(3, 9)) == ["u1", "u2"]
    assert sorted(index.begun_before(51, 9)) == ["u0", "u1", "u2", "u3"]
    assert len(index.begun_before(51, 2)) == 2


# Usage


def usage(prefix: str, objects: int, size: int, parts_size: int = 0) -> Usage:
    return Usage(prefix=prefix, objects=objects, size=size, parts_size=parts_size)


def test_what_is_counted_follows_every_change(database: sqlite3.Connection) -> None:
    apply(database, put("a/1", inline(b"12")), put("b/1", inline(b"1")))
    assert Index(database).sequences() == (2, None)
    prefixes = ["", "a/", "a/b", "c"]
    assert apply(database, put("a/2", inline(b"123")), Count(prefixes)) == [
        Row("a/2", 3, 3, "e-a/2", 10, 10, SHA256, None, None, None),
        [usage("", 3, 6), usage("a/", 2, 5), usage("a/b", 0, 0), usage("c", 0, 0)],
    ]
    transaction = Transaction(database, 20)
    transaction.put_upload(begun("u", "a/b"))
    transaction.put_part("a/b", part(1, transaction.next_seq(), 7, "b1"))
    transaction.put_part("a/b", part(1, transaction.next_seq(), 9, "b2"))
    transaction.put_part("a/b", part(2, transaction.next_seq(), 1), b"1")
    transaction.flush()
    index = Index(database)
    assert index.usage(prefixes) == {
        "": usage("", 3, 6, 10),
        "a/": usage("a/", 2, 5, 10),
        "a/b": usage("a/b", 0, 0, 10),
        "c": usage("c", 0, 0),
    }
    apply(
        database,
        put("a/1", inline(b"1")),
        Delete("b/1", UNCONDITIONAL),
        Copy("a/2", "c", CopyOptions(), "e"),
        put("a/ba", inline(b"1")),
        put("a0", inline(b"1")),
    )
    transaction = Transaction(database, 20)
    transaction.remove_upload("u")
    transaction.flush()
    assert index.usage([*prefixes, "not counted"]) == {
        "": usage("", 5, 9),
        "a/": usage("a/", 3, 5),
        "a/b": usage("a/b", 1, 1),
        "c": usage("c", 1, 3),
    }
    assert {prefix: count(database, prefix) for prefix in prefixes} == index.usage(prefixes)
    assert index.sequences() == (13, 13)


def test_what_others_wrote_uncounted_is_counted_anew(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"12")), Count([""]))
    database.execute("UPDATE objects SET size = 5")
    assert Index(database).usage([""]) == {"": usage("", 1, 2)}
    database.execute("UPDATE sequence SET last = 9")
    assert Index(database).usage([""]) == {}
    apply(database, Count([]))
    assert Index(database).usage([""]) == {"": usage("", 1, 5)}
    assert all_of(database, "usage_sequence") == [(1, 9)]


def test_a_prefix_begins_with_what_this_transaction_did(database: sqlite3.Connection) -> None:
    apply(database, put("a/1", inline(b"1")), put("a/2", inline(b"22")), put("b", inline(b"1")))
    outcomes = apply(
        database,
        put("a/1", inline(b"1111")),
        Delete("a/2", UNCONDITIONAL),
        put("a/3", inline(b"3")),
        put("b", inline(b"123")),
        Count(["a/"]),
        put("a/4", inline(b"4")),
        Count(["a/", "a/"]),
    )
    assert outcomes[4] == [usage("a/", 2, 5)]
    assert outcomes[6] == [usage("a/", 3, 6)] * 2
    assert Index(database).usage(["a/"]) == {"a/": usage("a/", 3, 6)}


def test_counters_are_found_by_the_key_whatever_is_beside_them(database: sqlite3.Connection) -> None:
    prefixes = ["", "a", "a/", "a/b/", "a/b/c", "a/bb", "a0", "b", "é"]
    apply(database, Count(prefixes))
    for key in ("a/b/c/d", "a/b/d", "a/bc", "a", "é/1", "zz", "a/b/ca"):
        apply(database, put(key, inline(b"x")))
    found = Index(database).usage(prefixes)
    assert {prefix: one.objects for prefix, one in found.items()} == {
        prefix: sum(key.startswith(prefix) for key in keys(database)) for prefix in prefixes
    }


def test_only_what_changed_is_written(database: sqlite3.Connection) -> None:
    apply(database, Count(["a", "b"]))
    counters = Counters(database, current=True)
    assert counters.find("none") is None
    assert (counters.find("a"), counters.find("b")) == (usage("a", 0, 0), usage("b", 0, 0))
    assert not counters.changed
    counters.change("a", objects=1)
    counters.change("a/x", size=2)
    counters.change("ab", parts_size=3)
    counters.change("b")
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    counters.write(7)
    assert [one for one in statements if "INTO usage " in one] == ["INSERT OR REPLACE INTO usage VALUES ('a', 1, 2, 3)"]
    assert all_of(database, "usage_sequence") == [(1, 7)]
    assert counters.find("a") == usage("a", 1, 2, 3)


def test_usage_is_told_beside_a_server_whether_it_is_counted_or_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    directory = Directory(folder)
    with directory.opening():
        directory.claim()
        schema.create(directory.index)
    with closing(schema.open_for_writing(directory.index, "full")) as connection:
        apply(connection, put("a/1", inline(b"12")), put("b", inline(b"1")), Count(["a/"]))
        connection.execute("UPDATE objects SET size = 5 WHERE key = 'a/1'")  # to tell a counter from a scan
    assert usage_of(folder, ["a/", ""]) == {"a/": usage("a/", 1, 2), "": usage("", 2, 6)}
    with closing(schema.open_for_writing(directory.index, "full")) as connection:
        connection.executescript("DROP TABLE usage_sequence; DROP TABLE usage")
    assert usage_of(folder, ["a/"]) == {"a/": usage("a/", 1, 5)}
    with closing(schema.open_for_writing(directory.index, "full")) as connection:
        connection.execute("DROP TABLE objects")
    with pytest.raises(ObjectStoreError) as told:
        usage_of(folder, ["a/"])
    assert isinstance(told.value.__cause__, sqlite3.Error)
    with pytest.raises(ConfigurationError):
        usage_of(tmp_path, ["a/"])


def test_growth_is_what_a_write_adds(database: sqlite3.Connection) -> None:
    apply(database, put("a/1", inline(b"12345")))
    quota = Quota(prefix="a/", size=6, objects=1)
    outcomes = apply(
        database,
        put("a/1", inline(b"123456"), quota=quota),
        put("a/1", inline(b"1234567"), quota=quota),
        put("a/2", inline(b""), quota=quota),
        put("a/1", inline(b"1"), quota=quota),
    )
    assert [type(one) for one in outcomes] == [Row, QuotaExceeded, QuotaExceeded, Row]
    transaction = Transaction(database, 20)
    current = transaction.row("a/1")
    operations.check_growth(transaction, replace(quota, objects=None), None, 7, freed=2)
    with pytest.raises(QuotaExceeded):
        operations.check_growth(transaction, replace(quota, objects=None), None, 7, freed=1)
    operations.check_growth(transaction, quota, current, 6)


# Reading


def test_rows_and_keys_come_in_their_order_from_a_start(database: sqlite3.Connection) -> None:
    apply(database, *[put(key, inline(b"x")) for key in ("b", "é", "a", "c")])
    index = Index(database)
    assert index.keys_from("b", 2) == ["b", "c"]
    assert index.keys_from("", 10) == ["a", "b", "c", "é"]
    assert [row.key for row in index.rows_from("bb", 2)] == ["c", "é"]
    assert sorted(row.key for row in index.rows(iter(["é", "a", "none"]))) == ["a", "é"]


def test_a_reader_hears_of_trouble_in_our_words(database: sqlite3.Connection) -> None:
    apply(database, put("a", inline(b"x")))
    index = ReadIndex(database)
    assert index.row("a") == Index(database).row("a")
    database.execute("DROP TABLE objects")
    with pytest.raises(ObjectStoreError) as told:
        index.row("a")
    assert isinstance(told.value.__cause__, sqlite3.Error)
