"""What is asked of the engine as a whole, each from a small store of its own: what it gives, keeps and refuses."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.engine.scenes import read
from objectstore.backends.engine import steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.blobs import SYNCS
from objectstore.backends.engine.writer import GROUPS, SECONDS, WriterStats
from objectstore.backends.statistics import Counted, Spread
from objectstore.errors import (
    AlreadyExists,
    Corrupted,
    DigestMismatch,
    IncompleteBody,
    InvalidMetadata,
    InvalidRange,
    NotFound,
    NotModified,
    PreconditionFailed,
    QuotaExceeded,
    Unavailable,
)
from objectstore.values import (
    ONLY_IF_ABSENT,
    Attributes,
    Bounded,
    Conditions,
    CopyOptions,
    FileSpan,
    GetOptions,
    Inline,
    Last,
    ListQuery,
    PutOptions,
    Quota,
    Usage,
)

LIMIT = 10  # bytes that go in the index
SMALL, LARGE = b"small", bytes(range(40))
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
BAD = Attributes(content_type="\n")
TEXT = Attributes(content_type="text/plain")


@asynccontextmanager
async def opened(root: Path, **settings: Any) -> AsyncIterator[EngineBackend]:
    """Nothing is synced, so that it costs no more than it must."""
    given = {"inline_limit": LIMIT, "durability": "relaxed", "clock": lambda: NOW, **settings}
    async with EngineBackend(root / "data", **given) as backend:
        yield backend


class Unread:
    """A body that nobody may read."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def files(root: Path) -> list[Path]:
    return [path for path in (root / "data").glob("*/*/*") if path.suffix != ".batch"] + [
        path for path in (root / "data/staging").glob("*/*") if path.suffix != ".batch"
    ]


def behind_its_back(root: Path, command: str) -> None:
    """Change the index without a word to anybody."""
    with closing(sqlite3.connect(root / "data/index.sqlite3", isolation_level=None)) as connection:
        connection.execute(command)


# Writing


@pytest.mark.parametrize("data", [b"", SMALL, bytes(LIMIT), bytes(LIMIT + 1), LARGE], ids=len)
def test_an_object_is_kept_with_all_that_it_came_with(tmp_path: Path, data: bytes) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            options = PutOptions(size=len(data), attributes=TEXT, digests=frozenset({"md5"}), etag="chosen")
            info = await backend.put("key", data, options)
            assert (info.key, info.size, info.etag, info.attributes) == ("key", len(data), "chosen", TEXT)
            assert info.created == info.modified == NOW
            assert dict(info.digests) == {
                "md5": hashlib.md5(data, usedforsecurity=False).digest(),
                "sha-256": hashlib.sha256(data).digest(),
            }
            assert await backend.head("key") == info
            for _ in range(2):
                assert await read(backend, "key") == data
            assert [path.read_bytes() for path in files(tmp_path)] == ([data] if len(data) > LIMIT else [])
            assert len({(await backend.put("key", pieces(data))).etag for _ in range(3)} - {"", "chosen"}) == 3

    asyncio.run(run())


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=len)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_other_than_was_told_leaves_nothing(tmp_path: Path, body: bytes, streamed: bool) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            for options, error in (
                (PutOptions(size=len(body) + 1), IncompleteBody),
                (PutOptions(expected={"sha-1": bytes(20)}), DigestMismatch),
            ):
                with pytest.raises(error):
                    await backend.put("key", pieces(body) if streamed else body, options)
            assert ((await backend.list(ListQuery())).keys, files(tmp_path)) == ((), [])

    asyncio.run(run())


def test_what_cannot_be_kept_is_refused_unread(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", SMALL)
            with pytest.raises(InvalidMetadata):
                await backend.put("key", Unread(), PutOptions(attributes=BAD))
            with pytest.raises(AlreadyExists) as exists:
                await backend.put("key", Unread(), PutOptions(conditions=ONLY_IF_ABSENT))
            assert exists.value.key == "key"
            with pytest.raises(PreconditionFailed) as changed:
                await backend.put("none", Unread(), PutOptions(conditions=Conditions(if_match="*")))
            assert changed.value.key == "none"
            backend._writer.failed = "the disk is gone"
            with pytest.raises(Unavailable, match="the disk is gone"):
                await backend.put("key", Unread())

    asyncio.run(run())


def test_of_all_who_create_at_once_one_does(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            options = PutOptions(conditions=ONLY_IF_ABSENT)
            outcomes = await asyncio.gather(
                *(backend.put("key", LARGE, options) for _ in range(3)), return_exceptions=True
            )
            assert sorted(type(one).__name__ for one in outcomes) == ["AlreadyExists", "AlreadyExists", "ObjectInfo"]
            assert len(files(tmp_path)) == 1

    asyncio.run(run())


def test_eight_threads_wait_for_the_disk(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    names: set[str] = set()

    def step(name: str) -> None:
        if name == steps.AFTER_WRITE:
            names.add(threading.current_thread().name)
            together.wait(30)

    async def run() -> None:
        async with opened(tmp_path, step=step) as backend:
            await asyncio.gather(*(backend.put("key", LARGE) for _ in range(16)))

    asyncio.run(run())
    assert names == {f"objectstore-blobs_{number}" for number in range(8)}


def test_each_step_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    forgotten = threading.Event()

    def step(name: str) -> None:
        told.append(name)
        if name == steps.AFTER_FORGET:
            forgotten.set()

    async def run() -> None:
        async with opened(tmp_path, step=step) as backend:
            told.append("opened")
            await backend.put("key", LARGE)
            await backend.delete("key")

    async def run_later() -> None:
        async with opened(tmp_path, step=step, clock=lambda: NOW + timedelta(seconds=60)):
            assert await asyncio.to_thread(forgotten.wait, 60)

    asyncio.run(run())
    assert told == [
        *(steps.AFTER_FORMAT, steps.AFTER_INDEX, steps.AFTER_CLAIM, "opened"),
        *(steps.AFTER_RESERVE, steps.AFTER_CREATE, steps.AFTER_WRITE, steps.AFTER_SYNC, steps.AFTER_RENAME),
        *(steps.AFTER_FOLDER_SYNC, steps.BEFORE_COMMIT, steps.AFTER_COMMIT, steps.BEFORE_COMMIT, steps.AFTER_COMMIT),
    ]
    told.clear()
    # What is garbage for long goes by itself; somebody who died is swept.
    (tmp_path / "data/staging/dead").mkdir()
    asyncio.run(run_later())
    assert told == [
        *(steps.AFTER_SWEEP_BLOBS, steps.AFTER_SWEEP, steps.AFTER_CLAIM),
        *(steps.AFTER_UNLINK, steps.BEFORE_COMMIT, steps.AFTER_COMMIT, steps.AFTER_FORGET),
    ]


# Quotas


def test_a_quota_holds_for_the_body_and_for_the_write(tmp_path: Path) -> None:
    read_so_far: list[bytes] = []

    async def long() -> AsyncIterator[bytes]:
        for _ in range(9):
            read_so_far.append(LARGE)
            yield LARGE

    async def run() -> None:
        async with opened(tmp_path) as backend:
            quota = Quota(prefix="a/", size=100, objects=2)
            limited = PutOptions(quota=quota)
            with pytest.raises(QuotaExceeded):
                await backend.put("a/1", long(), limited)
            assert len(read_so_far) == 9, "nobody had counted"
            await backend.put("a/1", LARGE, limited)
            for key, chunks in (("a/1", 3), ("a/2", 2)):
                read_so_far.clear()
                with pytest.raises(QuotaExceeded) as exceeded:
                    await backend.put(key, long(), limited)
                assert (exceeded.value.limit, exceeded.value.used, len(read_so_far)) == (100, 40, chunks)
            with pytest.raises(QuotaExceeded):
                await backend.put("a/2", Unread(), PutOptions(size=61, quota=quota))
            await backend.put("a/2", SMALL, limited)
            with pytest.raises(QuotaExceeded) as exceeded:
                await backend.put("a/3", Unread(), limited)
            assert (exceeded.value.resource, exceeded.value.prefix) == ("objects", "a/")
            await backend.put("a/2", b"", limited)
            full = PutOptions(quota=Quota(prefix="b", size=40))
            await backend.put("b", LARGE, full)
            await backend.put("b/empty", pieces(b""), full)

    asyncio.run(run())


def test_usage_is_counted_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("a/1", LARGE)
            await backend.put("b", SMALL)
            asked = ["a/", "", "a/", "c"]
            found = [
                Usage(prefix="a/", objects=1, size=40, parts_size=0),
                Usage(prefix="", objects=2, size=45, parts_size=0),
                Usage(prefix="a/", objects=1, size=40, parts_size=0),
                Usage(prefix="c", objects=0, size=0, parts_size=0),
            ]
            before = backend.stats.commits
            assert list(await backend.usage(asked)) == found
            assert backend.stats.commits == before + 1
            # From then on it is read, without the writer.
            backend._writer.failed = "the disk is gone"
            assert list(await backend.usage(asked)) == found
            assert list(await backend.usage([])) == []
            with pytest.raises(Unavailable, match="the disk is gone"):
                await backend.usage(["d", "a/"])

    asyncio.run(run())


# Reading


def test_an_absent_key_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            attempts: list[Callable[[], Any]] = [
                lambda: backend.head("none"),
                lambda: backend.delete("none"),
                lambda: backend.copy("none", "other"),
                lambda: read(backend, "none"),
            ]
            for attempt in attempts:
                with pytest.raises(NotFound) as absent:
                    await attempt()
                assert absent.value.key == "none"

    asyncio.run(run())


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=len)
def test_a_reading_tells_what_it_gives(tmp_path: Path, data: bytes) -> None:
    size = len(data)

    async def run() -> None:
        async with opened(tmp_path) as backend:
            info = await backend.put("key", data)
            fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths
            for _ in range(2):  # from the index, then from memory
                for wanted, start, stop in ((None, 0, size), (Bounded(1, 4), 1, 4), (Last(2), size - 2, size)):
                    async with backend.get("key", GetOptions(range=wanted)) as reading:
                        assert (reading.info, reading.start, reading.stop) == (info, start, stop)
                        content = reading.content
                        if size <= LIMIT:
                            assert content == Inline(data[start:stop])
                        else:
                            assert isinstance(content, FileSpan)
                            assert (content.start, content.stop) == (start, stop)
                            assert os.pread(content.fd, size, 0) == data
                            assert content.path == str(files(tmp_path)[0])
                            assert len(os.listdir("/proc/self/fd")) == fds + 1  # noqa: PTH208  as above
                    assert len(os.listdir("/proc/self/fd")) == fds  # noqa: PTH208  as above
                with pytest.raises(InvalidRange):
                    async with backend.get("key", GetOptions(range=Bounded(size, size + 1))):
                        raise AssertionError
                with pytest.raises(NotModified):
                    async with backend.get("key", GetOptions(conditions=Conditions(if_none_match=(info.etag,)))):
                        raise AssertionError

    asyncio.run(run())


def test_a_reading_closes_its_file_and_no_other(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", LARGE)
            reading = backend.get("key")
            async with reading:
                pass
            await backend.put("key", SMALL)
            with (tmp_path / "another").open("w"):  # gets the number that has become free
                fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  as above
                async with reading:
                    pass
                assert len(os.listdir("/proc/self/fd")) == fds  # noqa: PTH208  as above

    asyncio.run(run())


def test_what_was_read_is_remembered_until_it_changes(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            info = await backend.put("key", SMALL)
            await backend.head("key")
            behind_its_back(tmp_path, "UPDATE objects SET etag = 'other'")
            assert await backend.head("key") == info
            # Of the body nothing was read yet.
            async with backend.get("key") as reading:
                assert (reading.info.etag, reading.content) == ("other", Inline(SMALL))
            behind_its_back(tmp_path, "UPDATE bodies SET data = CAST('SMALL' AS BLOB)")
            assert await read(backend, "key") == SMALL
            await backend.put("key", b"new")
            assert await read(backend, "key") == b"new"

    asyncio.run(run())


def test_nothing_is_remembered_while_it_is_being_changed(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", SMALL)
            changing = backend._board.begin(["key"])
            await backend.head("key")
            assert await read(backend, "key") == SMALL
            assert backend._recent._entries == {}
            backend._board.end(changing)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("data", "damage", "told"),
    [
        (SMALL, "UPDATE bodies SET data = substr(data, 2)", "the body of 'key' in the index is not what was written"),
        (SMALL, "DELETE FROM bodies", "the body of 'key' in the index is not what was written"),
        (LARGE, "UPDATE objects SET size = 39", "the file of 'key' has 40 bytes, not 39"),
        (LARGE, "UPDATE objects SET blob = 'none'", "the file of 'key' is missing"),
    ],
)
def test_damage_is_told_and_not_given_out(tmp_path: Path, data: bytes, damage: str, told: str) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", data)
            behind_its_back(tmp_path, damage)
            fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  as above
            with pytest.raises(Corrupted) as damaged:
                await read(backend, "key")
            assert damaged.value.message == told
            assert len(os.listdir("/proc/self/fd")) == fds  # noqa: PTH208  as above

    asyncio.run(run())


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", LARGE)
            (path,) = files(tmp_path)
            path.unlink()
            path.mkdir()
            for name in "x" * len(LARGE):
                (path / name).touch()
            with pytest.raises(Corrupted, match=r"the file of 'key' has \d+ bytes, not 40"):
                await read(backend, "key")
            (path / "x").unlink()
            path.rmdir()
            path.symlink_to(path)
            with pytest.raises(Unavailable) as told:
                await read(backend, "key")
            assert isinstance(told.value.__cause__, OSError)

    asyncio.run(run())


@pytest.mark.parametrize("now", [SMALL, LARGE, None], ids=["small", "large", "deleted"])
def test_who_comes_too_late_for_a_file_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: bytes | None
) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend, opened(tmp_path) as other:
            await backend.put("key", LARGE[::-1])
            before = backend._index.row_and_body("key")
            assert before is not None
            (path,) = files(tmp_path)
            if now is None:
                await other.delete("key")
            else:
                await other.put("key", now)
            path.unlink()
            # What was read of the index a moment before, and then what is read of it.
            found = iter([before, backend._index.row_and_body("key")])
            with monkeypatch.context() as patched:
                patched.setattr(backend._index, "row_and_body", lambda _: next(found))
                if now is None:
                    with pytest.raises(NotFound):
                        await read(backend, "key")
                else:
                    assert await read(backend, "key") == now

    asyncio.run(run())


# Deleting and copying


def test_what_is_deleted_is_gone(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            for key in "abcd":
                await backend.put(key, SMALL)
            with pytest.raises(PreconditionFailed):
                await backend.delete("a", Conditions(if_match=("other",)))
            await backend.delete("a")
            outcomes = await backend.delete_many(["b", "a", "d"])
            assert [None if one is None else (type(one), one.message) for one in outcomes] == [
                None,
                (NotFound, NotFound("a").message),
                None,
            ]
            page = await backend.list(ListQuery(prefix="c", details=True))
            assert (page.keys, (await backend.list(ListQuery(prefix="a"))).keys) == (("c",), ())

    asyncio.run(run())


def test_a_copy_has_the_body_and_what_it_was_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            source = await backend.put("a", LARGE, PutOptions(attributes=TEXT))
            info = await backend.copy("a", "b")
            assert (info.key, info.attributes, info.digests) == ("b", TEXT, source.digests)
            assert info.etag not in {"", source.etag}
            assert await read(backend, "b") == LARGE
            assert len(files(tmp_path)) == 1
            other = Attributes(content_type="text/html")
            assert (await backend.copy("a", "b", CopyOptions(attributes=other))).attributes == other
            operations = backend.stats.operations
            with pytest.raises(InvalidMetadata):
                await backend.copy("a", "b", CopyOptions(attributes=BAD))
            assert backend.stats.operations == operations
            with pytest.raises(AlreadyExists):
                await backend.copy("a", "b", CopyOptions(conditions=ONLY_IF_ABSENT))

    asyncio.run(run())


def test_garbage_goes_after_the_grace(tmp_path: Path) -> None:
    times = [NOW]

    async def run() -> None:
        async with opened(tmp_path, clock=lambda: times[0], grace=timedelta(hours=1)) as backend:
            await backend.put("key", LARGE)
            await backend.put("key", LARGE)
            await backend.delete("key")
            times[0] = NOW + timedelta(hours=1) - timedelta(microseconds=1)
            assert await backend.collect_garbage() == 0
            times[0] += timedelta(microseconds=1)
            assert await backend.collect_garbage() == 2
            assert files(tmp_path) == []
            assert Counted("engine_garbage_collected", 2) in backend.measured()

    asyncio.run(run())


def test_who_sends_no_more_parts_is_not_waited_for_longer_than_the_grace(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path, grace=timedelta(0)) as backend:
            upload_id = (await backend.uploads.begin("key", PutOptions())).upload_id
            await backend.uploads.put_part(upload_id, 1, SMALL, PutOptions())
            await backend.uploads.put_part(upload_id, 2, SMALL, PutOptions())
            tasks = [one.task for one in backend.uploads._assemblies._running.values()]
            await asyncio.wait(tasks)
            assert [type(task.exception()) for task in tasks] == [TimeoutError]

    asyncio.run(run())


# What it tells of itself


@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_it_tells_what_it_has_done(tmp_path: Path, durability: str) -> None:
    async def run() -> None:
        async with opened(tmp_path, durability=durability) as backend:
            assert backend.durability == durability
            assert backend.stats == WriterStats(commits=0, operations=0, largest_group=0)
            await backend.put("key", LARGE)
            assert backend.stats == WriterStats(commits=1, operations=1, largest_group=1)
            commits, operations, groups, seconds, syncs, garbage = backend.measured()
            assert [commits, operations, garbage] == [
                Counted("engine_commits", 1),
                Counted("engine_operations", 1),
                Counted("engine_garbage_collected", 0),
            ]
            counted = {"engine_group_size": 1, "engine_commit_seconds": 1, "engine_sync_seconds": durability == "full"}
            for (name, number), bounds, spread in zip(
                counted.items(), (GROUPS, SECONDS, SYNCS), (groups, seconds, syncs), strict=True
            ):
                assert isinstance(spread, Spread)
                assert (spread.name, spread.bounds, sum(spread.counts)) == (name, bounds, number)

    asyncio.run(run())


def test_levels_come_from_the_index_or_tell_why_not(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as backend:
            await backend.put("key", LARGE)
            levels = {level.name: level.value for level in await backend.levels()}
            assert (levels["objects"], levels["object_bytes"]) == (1, 40)
            index = tmp_path / "data/index.sqlite3"
            index.rename(tmp_path / "aside")
            with pytest.raises(Unavailable) as of_index:
                await backend.levels()
            assert isinstance(of_index.value.__cause__, sqlite3.Error)
            (tmp_path / "data").rename(tmp_path / "elsewhere")
            with pytest.raises(Unavailable) as of_disk:
                await backend.levels()
            assert isinstance(of_disk.value.__cause__, OSError)
            (tmp_path / "elsewhere").rename(tmp_path / "data")
            (tmp_path / "aside").rename(index)

    asyncio.run(run())
