"""What is remembered of small objects is always what the index says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.board import Board
from objectstore.backends.engine.recent import Recent, Remembered
from objectstore.backends.reading import read_all
from objectstore.errors import NotFound
from objectstore.values import ObjectInfo, PutOptions


@pytest.fixture
def info() -> ObjectInfo:
    now = datetime.now(UTC)
    return ObjectInfo(key="k", size=3, etag="e", created=now, modified=now)


def with_two(path: Path, act: Callable[[EngineBackend, EngineBackend], Awaitable[None]]) -> None:
    """Two that share one directory, as two worker processes do."""

    async def run() -> None:
        async with EngineBackend(path) as one, EngineBackend(path) as other:
            await act(one, other)

    asyncio.run(run())


async def read(backend: EngineBackend, key: str) -> bytes:
    async with backend.get(key) as reading:
        return await read_all(reading)


def test_a_change_by_another_process_is_seen_at_once(tmp_path: Path) -> None:
    async def act(one: EngineBackend, other: EngineBackend) -> None:
        for n in range(50):
            await other.put("k", b"%d" % n)
            assert await read(one, "k") == b"%d" % n
            assert await read(one, "k") == b"%d" % n
            assert (await one.head("k")).size == len(b"%d" % n)
        await other.delete("k")
        with pytest.raises(NotFound):
            await read(one, "k")
        with pytest.raises(NotFound):
            await one.head("k")

    with_two(tmp_path / "data", act)


@pytest.mark.parametrize("change", ["copy", "delete_many", "upload"])
def test_every_kind_of_change_counts(tmp_path: Path, change: str) -> None:
    async def act(one: EngineBackend, other: EngineBackend) -> None:
        await other.put("k", b"old")
        await other.put("source", b"new")
        assert await read(one, "k") == b"old"
        if change == "copy":
            await other.copy("source", "k")
        elif change == "delete_many":
            await other.delete_many(["k"])
            await other.put("k", b"new")
        else:
            upload = await other.uploads.begin("k", PutOptions())
            part = await other.uploads.put_part(upload.upload_id, 1, b"new", PutOptions())
            await other.uploads.complete(upload.upload_id, [(1, part.etag)])
        assert await read(one, "k") == b"new"

    with_two(tmp_path / "data", act)


def test_what_is_read_again_is_not_looked_up(tmp_path: Path) -> None:
    async def act(one: EngineBackend, _: EngineBackend) -> None:
        await one.put("k", b"body")
        await read(one, "k")
        await one.put("large", bytes(1_000_000))
        before = await one.head("large")
        one._reading.close()  # no query can be answered any more
        assert await read(one, "k") == b"body"
        assert (await one.head("k")).size == len(b"body")
        assert await one.head("large") == before

    with_two(tmp_path / "data", act)


def test_a_look_at_an_object_is_not_taken_for_its_body(tmp_path: Path) -> None:
    async def act(one: EngineBackend, _: EngineBackend) -> None:
        for body in (b"", b"body", bytes(1_000_000)):
            await one.put("k", body)
            assert (await one.head("k")).size == len(body)
            assert await read(one, "k") == body

    with_two(tmp_path / "data", act)


def test_a_large_object_that_changes_is_seen_to(tmp_path: Path) -> None:
    async def act(one: EngineBackend, other: EngineBackend) -> None:
        for size in (1_000_000, 2_000_000, 5):
            await other.put("k", bytes(size))
            assert (await one.head("k")).size == size
            assert len(await read(one, "k")) == size

    with_two(tmp_path / "data", act)


def test_while_a_commit_is_under_way_nothing_is_remembered(tmp_path: Path, info: ObjectInfo) -> None:
    board = Board(tmp_path / "changes")
    recent = Recent(board, 1_000_000)
    moment = recent.moment("k")
    assert moment is not None
    recent.remember(moment, info, b"old")
    assert recent.find("k") is not None
    changing = board.begin(["k"])
    assert recent.find("k") is None
    assert recent.moment("k") is None
    board.end(changing)
    assert recent.find("k") is None
    assert recent.moment("k") == moment + 2
    board.close()


def test_what_was_read_before_a_commit_is_not_found_after_it(tmp_path: Path, info: ObjectInfo) -> None:
    board = Board(tmp_path / "changes")
    recent = Recent(board, 1_000_000)
    moment = recent.moment("k")
    assert moment is not None
    board.end(board.begin(["k"]))
    recent.remember(moment, info, b"old")
    assert recent.find("k") is None
    board.close()


def test_a_writer_that_died_leaves_a_board_that_the_next_one_mends(tmp_path: Path) -> None:
    dead = Board(tmp_path / "changes")
    dead.begin(["k"])
    dead.close()
    board = Board(tmp_path / "changes")
    recent = Recent(board, 1_000_000)
    assert recent.moment("k") is None
    board.end(board.begin(["k"]))
    assert recent.moment("k") is not None
    board.close()


def test_the_room_is_used_to_the_last_byte_and_given_back(tmp_path: Path, info: ObjectInfo) -> None:
    board = Board(tmp_path / "changes")
    weight = Remembered(0, info, bytes(100)).weight
    recent = Recent(board, 3 * weight)

    def remember(key: str, data: bytes | None) -> None:
        moment = recent.moment(key)
        assert moment is not None
        recent.remember(moment, replace(info, key=key), data)

    def kept() -> str:
        return "".join(key for key in "abcd" if recent.find(key) is not None)

    for key in "abc":
        remember(key, bytes(100))
    assert kept() == "abc"
    remember("b", bytes(100))
    assert kept() == "abc", "the same again takes no more"
    remember("a", bytes(101))
    assert kept() == "ab", "the one remembered first goes first"
    remember("d", None)
    assert kept() == "abd"
    board.end(board.begin(["a"]))
    assert kept() == "bd"
    remember("c", bytes(100 + 100))
    assert kept() == "bcd", "what was forgotten has left its room"
    found = recent.find("c")
    assert found is not None
    assert (found.info.key, found.data, found.weight) == ("c", bytes(200), weight + 100)
    remember("a", bytes(10_000))
    assert kept() == ""
    board.close()


def test_a_board_is_closed_without_certainty(tmp_path: Path) -> None:
    board, other = Board(tmp_path / "changes"), Board(tmp_path / "changes")
    stripes = board.begin(["k", "k", "other"])
    assert len(stripes) == 2
    assert [other.count(key) for key in ("k", "other", "third")] == [1, 1, 0]
    assert board.begin(["k"]) < stripes
    board.end(stripes)
    assert [other.count(key) for key in ("k", "other", "third")] == [2, 2, 0]
    board.close()
    assert board.count("k") == 1
    assert other.count("k") == 2
    assert Recent(board, 10_000).moment("third") is None
    other.close()
    found = (tmp_path / "changes").stat()
    assert (found.st_size, found.st_mode & 0o777) == (4096 * 8, 0o600)


def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path, info: ObjectInfo) -> None:
    board = Board(tmp_path / "changes")
    recent = Recent(board, 100_000)
    for n in range(50):
        moment = recent.moment(str(n))
        assert moment is not None
        recent.remember(moment, replace(info, key=str(n)), bytes(10_000))
    kept = [n for n in range(50) if recent.find(str(n)) is not None]
    assert kept == list(range(50 - len(kept), 50))
    assert 5 <= len(kept) <= 10
    board.close()
