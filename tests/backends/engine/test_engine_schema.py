"""The index as a database: how it is made, and how it is opened by who writes and who reads."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from objectstore.backends.engine import schema
from objectstore.backends.engine.directory import sync_folder
from objectstore.backends.engine.schema import Durability


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "a folder?mode=ro#100%" / "index.sqlite3"


def pragmas(connection: sqlite3.Connection, *names: str) -> dict[str, object]:
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}


def test_a_new_index_is_private_empty_and_on_disk(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.parent.mkdir()
    done: list[str] = []
    connect = schema._connect

    def traced(path: Path, timeout: float) -> sqlite3.Connection:
        connection = connect(path, timeout)
        connection.set_trace_callback(lambda text: done.append(text.strip()))
        return connection

    def synced(path: Path) -> None:
        done.append(f"sync {path.name}")
        sync_folder(path)

    monkeypatch.setattr(schema, "_connect", traced)
    monkeypatch.setattr(schema, "sync_folder", synced)
    schema.create(index)
    assert done[:3] == ["PRAGMA page_size = 4096", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"]
    assert [done.count(one) for one in ("BEGIN IMMEDIATE;", "COMMIT;")] == [1, 1]
    assert done[-1] == f"sync {index.parent.name}"
    assert index.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(index)) as connection:
        assert pragmas(connection, "page_size", "journal_mode") == {"page_size": 4096, "journal_mode": "wal"}
        assert connection.execute("SELECT * FROM sequence").fetchall() == [(1, 0)]
        assert schema.counts_usage(connection)


def test_a_half_made_index_is_completed_and_a_whole_one_left_alone(index: Path) -> None:
    index.parent.mkdir()
    index.touch()
    for expected in (0, 7):
        schema.create(index)
        with closing(sqlite3.connect(index, isolation_level=None)) as connection:
            assert connection.execute("SELECT last FROM sequence").fetchall() == [(expected,)]
            connection.execute("UPDATE sequence SET last = 7")


def test_a_program_that_holds_the_index_is_waited_for_by_who_makes_it(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.parent.mkdir()
    monkeypatch.setattr(schema, "_WRITE_TIMEOUT", 0.125)
    with closing(sqlite3.connect(index, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            schema.create(index)
        other.execute("ROLLBACK")
    schema.create(index)


def test_the_tables_of_usage_are_added_whole() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(schema.TABLES)
        assert schema.counts_usage(connection) is False
        schema.add_usage(connection)
        assert schema.counts_usage(connection) is True
        assert not connection.in_transaction
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.add_usage(connection)


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("relaxed", 1)])
def test_who_writes_syncs_as_the_durability_says(index: Path, durability: Durability, synchronous: int) -> None:
    index.parent.mkdir()
    schema.create(index)
    with closing(schema.open_for_writing(index, durability)) as connection:
        expected = {
            "synchronous": synchronous,
            "secure_delete": 0,
            "wal_autocheckpoint": 4000,
            "cache_size": -8192,
            "busy_timeout": 30_000,
            "query_only": 0,
        }
        assert pragmas(connection, *expected) == expected
        connection.execute("UPDATE sequence SET last = 7")
        assert not connection.in_transaction, "what was not begun by name is committed by itself"
        with ThreadPoolExecutor(1) as other, closing(schema.open_for_reading(index)) as reading:
            read = other.submit(lambda: reading.execute("SELECT last FROM sequence").fetchone())
            assert read.result() == (7,)


def test_who_reads_cannot_write_and_waits_a_moment_only(index: Path) -> None:
    index.parent.mkdir()
    schema.create(index)
    with closing(schema.open_for_reading(index)) as connection:
        expected = {"query_only": 1, "cache_size": -4096, "busy_timeout": 1000}
        assert pragmas(connection, *expected) == expected
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("UPDATE sequence SET last = 7")


def test_opening_makes_no_index(index: Path) -> None:
    index.parent.mkdir()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        schema.open_for_reading(index)
    assert list(index.parent.iterdir()) == []


def test_what_is_no_index_is_left_closed(index: Path) -> None:
    index.parent.mkdir()
    index.write_bytes(b"no database" * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        schema.open_for_writing(index, "full")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        schema.create(index)
