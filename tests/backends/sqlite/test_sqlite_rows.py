"""Rows by the rule open, what we write keeps to the rule, and what others change is never told from memory."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backends.sqlite.sqlite_setting import TABLE, all_keys, plain, read, with_backend
from objectstore.backends.reading import read_all
from objectstore.backends.sqlite import SqliteBackend
from objectstore.backends.sqlite.schema import OBJECTS
from objectstore.errors import AlreadyExists, NotFound, PreconditionFailed, TooLarge
from objectstore.values import ONLY_IF_ABSENT, Attributes, Bounded, Conditions, GetOptions, ListQuery, PutOptions

INSERT = "INSERT INTO objects VALUES (?, ?)"
ATTRIBUTED = PutOptions(attributes=Attributes(content_type="text/plain", metadata={"colour": "blå"}))


def test_existing_data_opens_and_is_listed(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        page = await backend.list(ListQuery(details=True))
        assert page.keys == tuple(sorted(objects, key=str.encode))
        for info in page.objects:
            assert await read(backend, info.key) == (info, objects[info.key])
            assert info == await backend.head(info.key)
            assert (info.digests, info.attributes) == ({}, Attributes())

    path = tmp_path / "data.db"
    objects = {"b/c": b"1", "B": b"22", "a": b"", "😀": b"4" * 1_000_000, "\uffff": b"5", "../x": b"\0"}
    plain(path, TABLE, *((INSERT, one) for one in objects.items()))
    with_backend(path, use)
    # Opening changes neither a row nor the journal.
    assert dict(plain(path, "SELECT key, data FROM objects")) == objects
    assert plain(path, "PRAGMA journal_mode") == [("delete",)]


def test_what_is_written_is_rows_by_the_rule(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        await backend.put("a/b.txt", b"small", ATTRIBUTED)
        await backend.put("large", b"x" * 3_000_000)
        await backend.copy("large", "copy")
        await backend.put("gone", b"1")
        await backend.delete("gone")

    path = tmp_path / "data.db"
    with_backend(path, use)
    rows = plain(path, "SELECT key, typeof(key), typeof(data), data FROM objects ORDER BY key")
    large = b"x" * 3_000_000
    assert rows == [
        ("a/b.txt", "text", "blob", b"small"),
        ("copy", "text", "blob", large),
        ("large", "text", "blob", large),
    ]
    assert plain(path, "PRAGMA journal_mode") == [("wal",)]


def test_values_of_other_types_are_the_bytes_of_their_text(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        assert await all_keys(backend) == sorted(wanted)
        for key, data in wanted.items():
            info, found = await read(backend, key)
            assert (info.size, found) == (len(data), data)
            await backend.copy(key, "copy")
            assert (await read(backend, "copy"))[1] == data
            await backend.delete("copy")
        async with backend.get("long text", GetOptions(range=Bounded(1, 400_001))) as reading:
            assert await read_all(reading) == ("é" * 300_000).encode()[1:400_001]

    path = tmp_path / "data.db"
    values = {"null": None, "text": "blå", "long text": "é" * 300_000, "integer": 12, "real": 1.5, "blob": b"\xff\0"}
    wanted = {
        key: b"" if value is None else value if isinstance(value, bytes) else str(value).encode()
        for key, value in values.items()
    }
    plain(path, TABLE, *((INSERT, one) for one in values.items()))
    with_backend(path, use)


def test_keys_that_are_none_are_passed_over_and_left_alone(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        assert await all_keys(backend) == ["12", "key"]
        page = await backend.list(ListQuery(delimiter="/", details=True))
        assert (page.keys, page.prefixes) == (("12", "key"), ())

    path = tmp_path / "data.db"
    plain(
        path,
        TABLE,
        *((INSERT, (key, b"")) for key in ("", None, None, b"blob", "nul\0", "k" * 1025, "a/nul\0", 12, "key")),
        "INSERT INTO objects VALUES (CAST(x'ff2f41' AS TEXT), x'')",
    )
    with_backend(path, use)
    # Others may go on with such keys, our triggers notwithstanding.
    plain(path, "UPDATE objects SET data = x'01'", (INSERT, (None, b"")), "DELETE FROM objects WHERE key IS NULL")
    assert plain(path, "SELECT count(*) FROM objects") == [(8,)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE objects SET data = x'6f74686572' WHERE key = 'key'",
        "INSERT OR REPLACE INTO objects VALUES ('key', x'6f74686572')",
        "REPLACE INTO objects VALUES ('key', x'6f74686572')",
        "INSERT INTO objects VALUES ('key', x'00') ON CONFLICT (key) DO UPDATE SET data = x'6f74686572'",
        "UPDATE OR REPLACE objects SET key = 'key' WHERE key = 'other'",
    ],
)
@pytest.mark.parametrize("recursive", [0, 1])
@pytest.mark.parametrize("ours", [True, False])
def test_a_row_that_another_program_changed_is_another_object(
    tmp_path: Path, change: str, recursive: int, *, ours: bool
) -> None:
    async def use(backend: SqliteBackend) -> None:
        if ours:
            await backend.put("key", b"same!", ATTRIBUTED)
        before = await backend.head("key")
        plain(path, f"PRAGMA recursive_triggers = {recursive}", change)
        info, data = await read(backend, "key")
        assert (data, info.attributes, info.digests) == (b"other", Attributes(), {})
        assert info.etag != before.etag
        assert info.modified > before.modified
        with pytest.raises(PreconditionFailed):
            await backend.put("key", b"mine", PutOptions(conditions=Conditions(if_match=(before.etag,))))
        await backend.put("key", b"mine", PutOptions(conditions=Conditions(if_match=(info.etag,))))

    path = tmp_path / "data.db"
    plain(path, TABLE, (INSERT, ("key", b"same!")), (INSERT, ("other", b"other")))
    with_backend(path, use)


def test_rows_that_another_program_adds_and_removes_are_seen(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        ours = await backend.put("key", b"1", ATTRIBUTED)
        plain(path, "DELETE FROM objects")
        with pytest.raises(NotFound):
            await backend.head("key")
        plain(path, (INSERT, ("key", b"1")))
        info, _ = await read(backend, "key")
        assert info.etag != ours.etag
        assert (info.digests, info.attributes) == ({}, Attributes())
        with pytest.raises(AlreadyExists):
            await backend.put("key", b"2", PutOptions(conditions=ONLY_IF_ABSENT))
        plain(path, "UPDATE objects SET key = 'moved'")
        assert await all_keys(backend) == ["moved"]

    path = tmp_path / "data.db"
    with_backend(path, use)


def test_a_table_that_was_made_anew_while_closed_is_adopted_anew(tmp_path: Path) -> None:
    async def fill(backend: SqliteBackend) -> str:
        return (await backend.put("key", b"1", ATTRIBUTED)).etag

    async def look(backend: SqliteBackend) -> tuple[str, str | None]:
        info = await backend.head("key")
        return info.etag, info.attributes.content_type

    path = tmp_path / "data.db"
    etag = with_backend(path, fill)
    assert with_backend(path, look) == (etag, "text/plain")
    plain(path, "DROP TABLE objects", TABLE, (INSERT, ("key", b"1")))
    adopted = with_backend(path, look)
    assert adopted[0] != etag
    assert adopted[1] is None
    # And it stays so, until something changes.
    assert with_backend(path, look) == adopted


def test_a_vacuum_and_other_columns_do_no_harm(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        for number in range(10):
            await backend.put(f"k{number}", b"x" * 300_000, ATTRIBUTED)
        await backend.delete_many([f"k{number}" for number in range(0, 10, 2)])

    async def look(backend: SqliteBackend) -> None:
        page = await backend.list(ListQuery(details=True))
        assert page.keys == ("k1", "k3", "k5", "k7", "k9", "new")
        info, data = await read(backend, "k9")
        assert (info.digests["sha-256"], data) == (hashlib.sha256(data).digest(), b"x" * 300_000)

    path = tmp_path / "data.db"
    plain(path, "CREATE TABLE objects (key TEXT PRIMARY KEY, note TEXT DEFAULT 'x', data BLOB)")
    with_backend(path, use)
    plain(path, "VACUUM", "INSERT INTO objects (key, data) VALUES ('new', x'')")
    with_backend(path, look)


def test_a_record_that_someone_spoiled_is_not_believed(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        await backend.put("key", b"1", ATTRIBUTED)
        for spoiled in ("attributes = '{'", "digests = '[]'", "etag = 'a\"b'", "attributes = '{\"x\": 1}'"):
            plain(path, f"UPDATE {OBJECTS.records} SET {spoiled}")  # noqa: S608  as above
            info, data = await read(backend, "key")
            assert (data, info.attributes) == (b"1", Attributes())
        await backend.put("key", b"1", ATTRIBUTED)
        assert (await backend.head("key")).attributes == ATTRIBUTED.attributes

    path = tmp_path / "data.db"
    with_backend(path, use)


def test_a_body_above_the_limit_of_sqlite_is_refused_and_one_at_it_is_not(tmp_path: Path) -> None:
    async def endless() -> object:
        while True:
            yield b"x" * 65_536

    async def use(backend: SqliteBackend) -> None:
        backend.database.longest = 3_000_000
        backend.database._writer.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 3_000_000)
        limit = 3_000_000 - 4096
        await backend.put("k" * 1024, b"x" * limit)
        for body, options in ((b"x" * (limit + 1), PutOptions()), (b"", PutOptions(size=limit + 1))):
            with pytest.raises(TooLarge) as raised:
                await backend.put("key", body, options)
            assert raised.value.limit == limit
        with pytest.raises(TooLarge):
            await backend.put("key", endless())  # type: ignore[arg-type]  # chunks without end
        assert await all_keys(backend) == ["k" * 1024]

    with_backend(tmp_path / "data.db", use)


def test_an_index_serves_a_page_however_many_rows_there_are(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        with backend.database.reading() as connection:
            for sql in (backend.table._keys, backend.table._many):
                plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", ("",))]
                assert all(step.startswith("SEARCH") for step in plan), plan

    with_backend(tmp_path / "data.db", use)


def test_an_uploads_parts_lie_in_a_table_of_their_own(tmp_path: Path) -> None:
    async def use(backend: SqliteBackend) -> None:
        upload = await backend.uploads.begin("key", PutOptions())
        await backend.uploads.put_part(upload.upload_id, 1, b"part", PutOptions())
        assert plain(path, "SELECT count(*) FROM objects") == [(0,)]
        with closing(sqlite3.connect(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {name for name in tables if not name.startswith("objectstore_")} == {"objects"}

    path = tmp_path / "data.db"
    with_backend(path, use)
