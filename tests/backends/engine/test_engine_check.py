"""The check finds what is missing, damaged or left over, and removes only what nothing refers to."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backends.engine.scenes import LARGE, SMALL, blob_files, stream
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.values import PutOptions


@pytest.fixture
def root(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("small", SMALL)
            await backend.put("empty", b"")
            await backend.put("large", LARGE)
            upload = await backend.uploads.begin("upload", PutOptions())
            await backend.uploads.put_part(upload.upload_id, 1, SMALL, PutOptions())
            await backend.uploads.put_part(upload.upload_id, 2, LARGE, PutOptions())

    asyncio.run(fill())
    return tmp_path / "data"


def _change(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection, connection:
        connection.execute(statement)


def _blob(root: Path, table: str) -> Path:
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection:
        ((name,),) = connection.execute(f"SELECT blob FROM {table} WHERE blob IS NOT NULL")  # noqa: S608  our tables
    return root / "blobs" / str(name)[:2] / str(name)


def _found(root: Path, *, deep: bool = False, repair: bool = False) -> list[tuple[str, str]]:
    return [(finding.kind, finding.name) for finding in check(root, deep=deep, repair=repair)]


def test_a_sound_store_has_no_findings(root: Path) -> None:
    assert _found(root) == _found(root, deep=True) == []


@pytest.mark.parametrize("table", ["objects", "parts"])
def test_a_missing_or_cut_file_is_found(root: Path, table: str) -> None:
    blob = _blob(root, table)
    blob.write_bytes(LARGE[:-1])
    assert [kind for kind, _ in _found(root)] == ["wrong-size"]
    blob.unlink()
    ((kind, name),) = _found(root, repair=True)
    assert kind == "missing"
    assert name == "large" if table == "objects" else name.endswith("/2")


def test_a_changed_byte_is_found_when_looking_deep(root: Path) -> None:
    blob = _blob(root, "objects")
    blob.write_bytes(LARGE[:-1] + b"?")
    _change(
        root,
        "UPDATE bodies SET data = CAST(upper(data) AS BLOB) WHERE seq = (SELECT seq FROM objects WHERE key = 'small')",
    )
    assert _found(root) == []
    assert _found(root, deep=True) == [("wrong-digest", "large"), ("wrong-digest", "small")]


def test_a_damaged_index_is_found(root: Path) -> None:
    index = root / "index.sqlite3"
    data = bytearray(index.read_bytes())
    data[4096 * 2 : 4096 * 3] = b"\xff" * 4096
    index.write_bytes(data)
    orphan = _blob_folder(root) / "0123456789"
    orphan.write_bytes(b"left over, for all that such an index can tell")
    assert {kind for kind, _ in _found(root)} == {"damaged-index"}
    assert orphan.exists()
    assert ("orphan-file", str(orphan)) in _found(root, repair=True)
    assert (root / "lost" / orphan.name).exists()


def _blob_folder(root: Path) -> Path:
    return next((root / "blobs").iterdir())


def test_a_blob_on_its_way_is_no_orphan(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            taken = await backend._intake.take(stream(LARGE), None, {}, frozenset())
            assert len(blob_files(root)) == 3
            assert _found(root, repair=True) == []
            taken.settle(committed=False)

    asyncio.run(run())
    assert len(blob_files(root)) == 2
