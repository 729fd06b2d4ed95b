"""The data directory: what is refused, who may read it, what is shared between processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import (
    HUGE,
    LARGE,
    SMALL,
    assert_sound,
    blob_files,
    garbage,
    in_child,
    index_rows,
    read,
    stream,
)
from objectstore.backends.engine.backend import EngineBackend
from objectstore.errors import AlreadyExists, ConfigurationError, Corrupted
from objectstore.values import ONLY_IF_ABSENT, FileSpan, GetOptions, Last, ListQuery, PutOptions

START = datetime(2026, 1, 1, tzinfo=UTC)


def _open(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root):
            pass

    asyncio.run(run())


def _tree(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def _filled(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await backend.put("small", SMALL)
            await backend.put("large", LARGE)

    asyncio.run(run())


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "data"
    _filled(root)
    (root / "FORMAT").write_text(json.dumps({"format": "objectstore engine", "version": 2}))
    before = _tree(root)
    with pytest.raises(ConfigurationError, match="version 2"):
        _open(root)
    assert _tree(root) == before


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "FORMAT"])
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigurationError):
        _open(tmp_path)
    assert _tree(tmp_path) == {name: b"{}"}


def test_a_lost_index_is_refused_not_replaced(tmp_path: Path) -> None:
    root = tmp_path / "data"
    _filled(root)
    (root / "index.sqlite3").unlink()
    before = _tree(root)
    with pytest.raises(ConfigurationError, match="missing"):
        _open(root)
    assert _tree(root) == before


def test_a_damaged_index_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    _filled(root)
    (root / "index.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigurationError):
        _open(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError):
        _open(tmp_path / "data")


def test_a_file_in_place_of_the_folder_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(ConfigurationError):
        _open(tmp_path / "data")


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    root = tmp_path / "data"
    modes: dict[Path, int] = {}

    async def run() -> None:
        async with EngineBackend(root) as backend:
            await backend.put("small", SMALL)
            await backend.put("large", LARGE)
            modes.update(_modes(root))

    old = os.umask(0)
    try:
        asyncio.run(run())
    finally:
        os.umask(old)
    names = {path.name: mode for path, mode in modes.items()}
    assert names["index.sqlite3"] == names["index.sqlite3-wal"] == names["FORMAT"] == 0o600
    assert names["data"] == names["blobs"] == names["staging"] == 0o700
    assert set(modes.values()) == {0o600, 0o700}


def _modes(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")]}


def test_a_closed_store_leaves_nothing_in_staging(tmp_path: Path) -> None:
    _filled(tmp_path / "data")
    assert_sound(tmp_path / "data")
    assert not (tmp_path / "data" / "index.sqlite3-wal").exists()


def test_a_living_process_is_not_swept(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as writer:
            opened = asyncio.Event()
            half = asyncio.Event()

            async def body() -> AsyncIterator[bytes]:
                async for chunk in stream(HUGE):
                    yield chunk
                half.set()
                await opened.wait()
                yield b"the end"

            writing = asyncio.create_task(writer.put("key", body()))
            await half.wait()
            before = set((root / "staging").rglob("*"))
            async with EngineBackend(root) as other:
                assert set((root / "staging").rglob("*")) > before
                opened.set()
                await writing
                assert await read(other, "key") == HUGE + b"the end"
        assert_sound(root)

    asyncio.run(run())


def test_of_two_processes_that_create_keys_each_key_has_one_winner(tmp_path: Path) -> None:
    root = tmp_path / "data"
    _open(root)
    ready, go = os.pipe(), os.pipe()

    async def create(say: int, body: bytes) -> None:
        async with EngineBackend(root) as backend:
            os.write(ready[1], b"!")
            await asyncio.to_thread(os.read, go[0], 1)
            options = PutOptions(conditions=ONLY_IF_ABSENT)

            async def one(number: int) -> str:
                try:
                    await backend.put(f"key-{number}", body, options)
                except AlreadyExists:
                    return ""
                return f"{number} "

            won = await asyncio.gather(*(one(number) for number in range(100)))
            os.write(say, "".join(won).encode())

    async def both() -> list[tuple[int, bytes]]:
        bodies = (b"from the first", LARGE)
        racing = [
            asyncio.to_thread(in_child, lambda say, body=body: asyncio.run(create(say, body)))  # type: ignore[misc]  # mypy cannot infer it
            for body in bodies
        ]
        started = [asyncio.create_task(one) for one in racing]
        for _ in bodies:
            await asyncio.to_thread(os.read, ready[0], 1)
        os.write(go[1], b"!!")
        return await asyncio.gather(*started)

    outcomes = asyncio.run(both())
    assert [code for code, _ in outcomes] == [0, 0]
    winners = [said.decode().split() for _, said in outcomes]
    assert sorted(winners[0] + winners[1], key=int) == [str(number) for number in range(100)]
    for fd in (*ready, *go):
        os.close(fd)
    assert_sound(root)


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def write(say: int) -> None:
        async with EngineBackend(root) as backend:

            async def many(name: int) -> None:
                number = 0
                while True:
                    key = f"{name}-{number}"
                    await backend.put(key, _body(key))
                    os.write(say, f"{key}\n".encode())
                    number += 1

            await asyncio.gather(*(many(name) for name in range(16)))

    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        asyncio.run(write(say))
        os._exit(1)
    os.close(say)
    said = b""
    while said.count(b"\n") < 500:
        said += os.read(hear, 4096)
    os.kill(child, signal.SIGKILL)
    with os.fdopen(hear, "rb") as rest:
        said += rest.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    acknowledged = said.decode().rpartition("\n")[0].split("\n")

    async def look() -> None:
        async with EngineBackend(root) as backend:
            for key in acknowledged:
                assert await read(backend, key) == _body(key)
            there = (await backend.list(ListQuery(limit=100_000))).keys
            assert len(there) <= len(acknowledged) + 16
            for key in there:
                assert await read(backend, key) == _body(key)

    asyncio.run(look())
    assert_sound(root)


def _body(key: str) -> bytes:
    return key.encode() * (20_000 if key.endswith("7") else 3)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def test_a_replaced_file_stays_for_the_grace_period(tmp_path: Path) -> None:
    async def run() -> None:
        clock = Clock()
        async with EngineBackend(tmp_path / "data", clock=clock, grace=timedelta(seconds=60)) as backend:
            await backend.put("key", LARGE)
            async with backend.get("key") as opened:
                assert isinstance(opened.content, FileSpan)
                name = str(opened.content.path)
                assert {name} == {str(path) for path in (tmp_path / "data").glob("blobs/*/*")}
            await backend.put("key", SMALL)
            clock.now += timedelta(seconds=59)
            assert await backend.collect_garbage() == 0
            assert len(blob_files(tmp_path / "data")) == 1
            clock.now += timedelta(seconds=1)
            assert await backend.collect_garbage() == 1
            assert blob_files(tmp_path / "data") == set()
        assert garbage(tmp_path / "data") == set()

    asyncio.run(run())


def test_a_copy_shares_the_file_until_the_last_is_gone(tmp_path: Path) -> None:
    async def run() -> None:
        root = tmp_path / "data"
        async with EngineBackend(root, grace=timedelta(0)) as backend:
            await backend.put("key", LARGE)
            await backend.copy("key", "copy")
            assert len(blob_files(root)) == 1
            await backend.delete("key")
            assert await backend.collect_garbage() == 0
            assert await read(backend, "copy") == LARGE
            await backend.put("copy", SMALL)
            assert await backend.collect_garbage() == 1
            assert blob_files(root) == set()

    asyncio.run(run())


def test_bodies_that_were_replaced_leave_the_index(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            for body in (SMALL, b"", SMALL, LARGE, SMALL):
                await backend.put("key", body)
            await backend.put("empty", b"")
            await backend.copy("key", "copy")
            await backend.delete("copy")

    asyncio.run(run())
    assert len(index_rows(tmp_path / "data", "SELECT seq FROM bodies")) == 1
    assert_sound(tmp_path / "data")


def test_every_change_has_a_number_of_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await asyncio.gather(*(backend.put(f"key-{number}", SMALL) for number in range(20)))
            await backend.delete("key-3")
            await backend.put("key-5", LARGE)

    asyncio.run(run())
    rows = index_rows(tmp_path / "data", "SELECT DISTINCT seq FROM objects ORDER BY seq")
    assert len(rows) == 19
    assert index_rows(tmp_path / "data", "SELECT last FROM sequence") == [(22,)] == rows[-1:]


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["inline", "file"])
def test_a_damaged_body_is_never_given_out(tmp_path: Path, body: bytes) -> None:
    async def run() -> None:
        root = tmp_path / "data"
        async with EngineBackend(root) as backend:
            await backend.put("key", body)
            for path in (root / "blobs").glob("*/*"):
                path.write_bytes(body[:-1])
            with closing(sqlite3.connect(root / "index.sqlite3")) as connection, connection:
                connection.execute("UPDATE bodies SET data = substr(data, 2)")
            with pytest.raises(Corrupted):
                await backend.get("key").__aenter__()
            for path in (root / "blobs").glob("*/*"):
                path.unlink()
            with closing(sqlite3.connect(root / "index.sqlite3")) as connection, connection:
                connection.execute("DELETE FROM bodies")
            with pytest.raises(Corrupted):
                await backend.get("key", GetOptions(range=Last(2))).__aenter__()

    asyncio.run(run())
