"""What the writer does to uploads, on an index in memory: what each checks first, what it leaves, what it counts."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from backends.engine.test_engine_transaction import SHA256, all_of, apply, blob, database, inline, put
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.operations import Body
from objectstore.backends.engine.rows import PartRow, Row, UploadRow, decode_row
from objectstore.backends.engine.upload_operations import Abort, Begin, Complete, Completed, Expire, PutPart, gone
from objectstore.errors import AlreadyExists, InvalidPart, PreconditionFailed, QuotaExceeded, UploadNotFound
from objectstore.values import ONLY_IF_ABSENT, Attributes, Conditions, PutOptions, Quota

__all__ = ["database"]  # a fixture

LIMITED = Quota(prefix="", size=100, objects=2)


def begun(database: sqlite3.Connection, key: str = "key", options: PutOptions | None = None) -> UploadRow:
    (upload,) = apply(database, Begin(key, options or PutOptions()))
    assert isinstance(upload, UploadRow), upload
    return upload


def sent(database: sqlite3.Connection, upload: UploadRow, number: int, body: Body, etag: str = "p") -> PartRow:
    (part,) = apply(database, PutPart(upload.id, number, body, etag, None), now=20)
    assert isinstance(part, PartRow), part
    return part


def refused(database: sqlite3.Connection, operation: Begin | PutPart | Complete | Abort) -> Exception:
    """Its error; nothing was changed by it."""
    tables = ("sequence", "objects", "bodies", "garbage", "uploads", "parts")
    before = [all_of(database, table) for table in tables]
    (error,) = apply(database, operation)
    assert isinstance(error, Exception)
    assert [all_of(database, table) for table in tables] == before
    return error


def test_what_each_writes_is_known_before_it_is_applied() -> None:
    begin = Begin("key", PutOptions())
    assert (begin.keys, begin.weight, begin.grows) == (("key",), 0, True)
    assert len(begin.upload_id) == 32
    assert begin.upload_id != Begin("key", PutOptions()).upload_id
    small, large = PutPart("u", 1, inline(b"abc"), "e", None), PutPart("u", 1, blob("b", 9), "e", None)
    assert (small.keys, small.weight, small.grows) == ((), 3, True)
    assert large.weight == 0
    upload = UploadRow("u", "key", 1, None, None, None, None, None, None, None)
    complete = Complete(upload, [], inline(b"abc"), "e", None)
    assert (complete.upload_id, complete.keys, complete.weight, complete.grows) == ("u", ("key",), 3, True)
    assert Complete(upload, [], blob("b", 9), "e", None).weight == 0
    abort, expire = Abort("u"), Expire(["u"])
    assert (abort.keys, abort.weight, abort.grows) == (expire.keys, expire.weight, expire.grows) == ((), 0, False)


def test_an_upload_keeps_what_it_was_begun_with(database: sqlite3.Connection) -> None:
    options = PutOptions(
        attributes=Attributes(content_type="text/plain"),
        conditions=ONLY_IF_ABSENT,
        size=7,
        expected={"md5": bytes(16)},
        digests=frozenset({"md5", "crc32"}),
        etag="chosen",
    )
    upload = begun(database, options=options)
    assert upload == Index(database).upload(upload.id)
    assert upload == UploadRow(
        id=upload.id,
        key="key",
        begun=10,
        attributes='{"content_type": "text/plain"}',
        conditions='{"if_none_match": "*"}',
        size=7,
        expected='{"md5": "AAAAAAAAAAAAAAAAAAAAAA=="}',
        digests='["crc32", "md5"]',
        etag="chosen",
        completed=None,
    )
    plain = begun(database)
    assert plain == UploadRow(plain.id, "key", 10, None, None, None, None, None, None, None)


def test_what_may_not_be_written_is_not_begun(database: sqlite3.Connection) -> None:
    apply(database, put("key", inline(b"x" * 90)))
    exists = refused(database, Begin("key", PutOptions(conditions=ONLY_IF_ABSENT)))
    assert isinstance(exists, AlreadyExists)
    assert exists.key == "key"
    changed = refused(database, Begin("key", PutOptions(conditions=Conditions(if_match=("other",)))))
    assert isinstance(changed, PreconditionFailed)
    assert isinstance(refused(database, Begin("new", PutOptions(size=11, quota=LIMITED))), QuotaExceeded)
    begun(database, "new", PutOptions(size=10, quota=LIMITED))
    begun(database, "new", PutOptions(quota=replace(LIMITED, size=90)))
    begun(database, "key", PutOptions(size=100, quota=LIMITED))
    assert isinstance(refused(database, Begin("key", PutOptions(size=101, quota=LIMITED))), QuotaExceeded)
    apply(database, put("another", inline(b"")))
    objects = refused(database, Begin("new", PutOptions(quota=LIMITED)))
    assert isinstance(objects, QuotaExceeded)
    assert objects.resource == "objects"


def test_a_part_is_kept_under_its_number_and_replaces_that_before(database: sqlite3.Connection) -> None:
    upload = begun(database)
    small = sent(database, upload, 2, inline(b"abc"))
    large = sent(database, upload, 1, blob("b", 50))
    assert small == PartRow(upload.id, 2, 2, 3, "p", 20, SHA256, None, None)
    assert large == PartRow(upload.id, 1, 3, 50, "p", 20, SHA256, '{"md5": "AAAAAAAAAAAAAAAAAAAAAA=="}', "b")
    assert Index(database).parts(upload.id) == [large, small]
    assert all_of(database, "bodies") == [(2, b"abc")]
    again = sent(database, upload, 1, inline(b"x"), "q")
    assert Index(database).parts(upload.id) == [again, small]
    assert all_of(database, "garbage") == [(20, "b")]
    assert all_of(database, "objects") == []


def test_a_part_counts_for_the_quota_less_that_which_it_replaces(database: sqlite3.Connection) -> None:
    upload = begun(database)
    apply(database, put("other", inline(b"x" * 40)))
    first = PutPart(upload.id, 1, blob("a", 50), "p", LIMITED)
    assert isinstance(apply(database, first)[0], PartRow)
    error = refused(database, PutPart(upload.id, 2, blob("b", 11), "p", LIMITED))
    assert isinstance(error, QuotaExceeded)
    assert (error.resource, error.used) == ("bytes", 90)
    assert isinstance(refused(database, PutPart(upload.id, 1, blob("b", 61), "p", LIMITED)), QuotaExceeded)
    assert isinstance(apply(database, PutPart(upload.id, 1, blob("b", 60), "p", LIMITED))[0], PartRow)


def test_a_completion_makes_the_object_and_lets_go_of_the_parts(database: sqlite3.Connection) -> None:
    upload = begun(database, options=PutOptions(attributes=Attributes(content_type="text/plain")))
    apply(database, put("key", inline(b"before")), now=15)
    parts = [sent(database, upload, 1, blob("b", 50)), sent(database, upload, 2, inline(b"abc"))]
    (row,) = apply(database, Complete(upload, parts, blob("whole", 53), "e", None), now=30)
    assert isinstance(row, Row)
    digests = '{"md5": "AAAAAAAAAAAAAAAAAAAAAA=="}'
    assert row == Row("key", 5, 53, "e", 15, 30, SHA256, digests, '{"content_type": "text/plain"}', "whole")
    assert Index(database).row("key") == row
    assert (all_of(database, "parts"), all_of(database, "bodies")) == ([], [])
    assert all_of(database, "garbage") == [(30, "b")]
    completed = Index(database).upload(upload.id)
    assert completed is not None
    assert completed.completed is not None
    assert decode_row(completed.completed) == row
    again = refused(database, Complete(upload, parts, blob("whole", 53), "e2", None))
    assert isinstance(again, Completed)
    assert again.row == row
    assert str(again) == "the upload is already completed"
    for late in (PutPart(upload.id, 3, inline(b""), "p", None), Abort(upload.id)):
        assert isinstance(refused(database, late), UploadNotFound)


def test_a_small_object_of_parts_is_in_the_index(database: sqlite3.Connection) -> None:
    upload = begun(database)
    part = sent(database, upload, 1, inline(b"abc"))
    (row,) = apply(database, Complete(upload, [part], inline(b"abc"), "e", None))
    assert isinstance(row, Row)
    assert all_of(database, "bodies") == [(row.seq, b"abc")]


def test_a_completion_is_of_the_parts_that_are_there_still(database: sqlite3.Connection) -> None:
    upload = begun(database)
    first, second = sent(database, upload, 1, inline(b"a")), sent(database, upload, 2, inline(b"b"))
    complete = Complete(upload, [first, second], inline(b"ab"), "e", None)
    sent(database, upload, 2, inline(b"c"))
    error = refused(database, complete)
    assert isinstance(error, InvalidPart)
    assert error.message == gone(second).message == "part 2 was replaced or removed during completion"
    missing = first._replace(number=3)
    assert isinstance(refused(database, Complete(upload, [missing], inline(b"a"), "e", None)), InvalidPart)


def test_the_conditions_of_the_beginning_are_checked_at_the_end(database: sqlite3.Connection) -> None:
    upload = begun(database, options=PutOptions(conditions=ONLY_IF_ABSENT))
    part = sent(database, upload, 1, inline(b"a"))
    apply(database, put("key", inline(b"overtaken")))
    error = refused(database, Complete(upload, [part], inline(b"a"), "e", None))
    assert isinstance(error, AlreadyExists)
    assert error.key == "key"


def test_a_completion_counts_for_the_quota_less_the_parts_that_go(database: sqlite3.Connection) -> None:
    upload = begun(database)
    parts = [sent(database, upload, 1, blob("a", 50)), sent(database, upload, 2, blob("b", 30))]
    apply(database, put("other", inline(b"x" * 20)))
    # All hundred are used, and every part goes with the completion.
    assert isinstance(refused(database, Complete(upload, parts, blob("c", 81), "e", LIMITED)), QuotaExceeded)
    apply(database, put("third", inline(b"")))
    error = refused(database, Complete(upload, parts, blob("c", 80), "e", LIMITED))
    assert isinstance(error, QuotaExceeded)
    assert error.resource == "objects"
    more = replace(LIMITED, objects=3)
    assert isinstance(apply(database, Complete(upload, parts[:1], blob("c", 80), "e", more))[0], Row)


def test_a_completion_that_overwrites_counts_less_by_what_was_there(database: sqlite3.Connection) -> None:
    upload = begun(database)
    part = sent(database, upload, 1, blob("a", 80))
    apply(database, put("key", inline(b"x" * 20)), put("other", inline(b"")))
    assert isinstance(refused(database, Complete(upload, [part], blob("c", 101), "e", LIMITED)), QuotaExceeded)
    assert isinstance(apply(database, Complete(upload, [part], blob("c", 100), "e", LIMITED))[0], Row)


def test_nobody_writes_to_an_upload_that_is_not_there(database: sqlite3.Connection) -> None:
    row = UploadRow("none", "key", 1, None, None, None, None, None, None, None)
    complete = Complete(row, [], inline(b""), "e", None)
    for operation in (PutPart("none", 1, inline(b""), "p", None), complete, Abort("none")):
        error = refused(database, operation)
        assert isinstance(error, UploadNotFound)
        assert error.upload_id == "none"


def test_what_is_aborted_or_expires_is_gone_with_its_parts(database: sqlite3.Connection) -> None:
    aborted, expired, left = begun(database), begun(database), begun(database)
    for number, upload in enumerate((aborted, expired, left)):
        sent(database, upload, 1, blob(f"b{number}", 50))
    assert apply(database, Abort(aborted.id), now=40) == [None]
    assert apply(database, Expire([aborted.id, expired.id, "none"]), now=50) == [1]
    assert all_of(database, "garbage") == [(40, "b0"), (50, "b1")]
    index = Index(database)
    assert [index.upload(one.id) for one in (aborted, expired, left)] == [None, None, left]
    assert [part.upload for part in index.parts(left.id)] == [left.id]
    with pytest.raises(AssertionError):
        refused(database, Abort(left.id))
