"""The writer without the store: what goes into one commit, what each caller is told, and what follows."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from backends.engine.bare import NOW, Bare, bare
from backends.engine.test_engine_transaction import inline, put
from backends.engine.test_engine_writing import Gate
from objectstore.backends.engine import directory as directories
from objectstore.backends.engine import highwater, steps, turns, writer
from objectstore.backends.engine.directory import try_lock
from objectstore.backends.engine.operations import Delete, DeleteMany, Operation, Probe
from objectstore.backends.engine.rows import Row
from objectstore.backends.engine.transaction import Transaction
from objectstore.backends.engine.writer import NEARLY_FULL, WriterStats, _Pending
from objectstore.errors import AlreadyExists, NotFound, StorageFull, Unavailable
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL


class Heavy:
    """Writes an object, and says that it weighs so much."""

    keys = ()
    grows = True

    def __init__(self, key: str, weight: int) -> None:
        self.weight = weight
        self._put = put(key, inline(b"x"))

    def apply(self, transaction: Transaction) -> Row:
        return self._put.apply(transaction)


class Watched(threading.Event):
    """Tells how often it was used, and waits as long as it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.cleared = self.told = 0
        self.came: list[bool] = []

    def clear(self) -> None:
        self.cleared += 1
        super().clear()

    def set(self) -> None:
        self.told += 1
        super().set()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.came.append(super().wait(60))
        return self.came[-1]


async def together(store: Bare, *operations: Operation[Any]) -> list[Any]:
    """Queued before the writer starts, so that it finds them all; results, and errors among them."""
    waiting: list[Awaitable[Any]] = [asyncio.ensure_future(store.writer.commit(one)) for one in operations]
    await asyncio.sleep(0)
    store.writer.start()
    return await asyncio.gather(*waiting, return_exceptions=True)


def groups(store: Bare) -> list[int]:
    """How many commits there were of up to 1, 2, 4, 8 operations."""
    return list(store.writer.groups.spread("x").counts[:4])


def keys(store: Bare) -> list[str]:
    return store.index.keys_from("", 100)


def test_what_waits_is_one_commit_and_each_is_told_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            settled: list[bool] = []
            create = put("a", inline(b"2"), ONLY_IF_ABSENT)
            refused = asyncio.ensure_future(store.writer.commit(create, settled.append))
            made = asyncio.ensure_future(store.writer.commit(put("b", inline(b"3")), settled.append))
            first, missing = await together(store, put("a", inline(b"1")), Delete("none", UNCONDITIONAL))
            # The conditional one was queued first, when there was nothing yet.
            assert isinstance(await refused, Row)
            assert (await made).key == "b"
            assert first.key == "a"
            assert isinstance(missing, NotFound)
            assert settled == [True, True]
            assert store.writer.stats == WriterStats(commits=1, operations=4, largest_group=4)
            assert groups(store) == [0, 0, 1, 0]
            with pytest.raises(AlreadyExists):
                await store.writer.commit(create, settled.append)
            assert settled == [True, True, False]
            assert store.writer.stats == WriterStats(commits=1, operations=4, largest_group=4), "nothing had changed"
            await store.writer.commit(put("c", inline(b"4")))
            assert store.writer.stats == WriterStats(commits=2, operations=5, largest_group=4)
            assert groups(store) == [1, 0, 1, 0]
            seconds = store.writer.seconds.spread("x")
            assert sum(seconds.counts) == 2
            assert 0 < seconds.total < 60
            row = store.index.row("c")
            assert row is not None
            assert row.modified == NOW
            store.writer.check()

    asyncio.run(run())


def test_a_commit_is_marked_and_seen_on_the_board(tmp_path: Path) -> None:
    during: list[int] = []

    async def run() -> None:
        def step(name: str) -> None:
            if name == steps.AFTER_COMMIT:
                during.append(highwater.mark(tmp_path / "highwater"))

        async with bare(tmp_path, step=step) as store:
            before = store.board.count("key"), store.board.count("other")
            await store.writer.commit(put("key", inline(b"x")))
            assert (store.board.count("key"), store.board.count("other")) == (before[0] + 2, before[1])
            await store.writer.commit(DeleteMany(["key"]))
            assert store.board.count("key") == before[0] + 4
            assert during == [1, 2]

    asyncio.run(run())


def test_a_group_is_as_large_as_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_MAX_WEIGHT", 100)
    monkeypatch.setattr(writer, "_MAX_OPERATIONS", 4)

    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            weights = [50, 49, 1, 100, 60, 60, 0, 0, 0, 0, 0]
            await together(store, *(Heavy(str(number), weight) for number, weight in enumerate(weights)))
            # 50 + 49 + 1; 100; 60 + 60; four; one
            assert (store.writer.stats.commits, store.writer.stats.operations) == (5, 11)
            assert groups(store) == [2, 1, 2, 0]

    asyncio.run(run())


def test_many_are_waited_for_until_they_come_with_their_next_and_a_lone_one_is_not(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            watched = store.writer._told = Watched()

            async def several(name: str) -> None:
                for number in range(3):
                    await store.writer.commit(put(f"{name}-{number}", inline(b"x")))

            both = [asyncio.create_task(several(name)) for name in "ab"]
            await asyncio.sleep(0)
            store.writer.start()
            await asyncio.gather(*both)
            assert groups(store) == [0, 3, 0, 0]
            await several("c")
            assert groups(store) == [3, 3, 0, 0]
        assert (watched.cleared, watched.told, watched.came) == (3, 3, [True] * 3)

    asyncio.run(run())


def test_a_loop_that_is_closed_is_waited_for_no_longer_than_a_commit_takes(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            future = asyncio.get_running_loop().create_future()
            store.writer._loop = asyncio.new_event_loop()
            store.writer._loop.close()
            for key in "ab":
                store.writer._queue.put(_Pending(put(key, inline(b"x")), future, None))
            store.writer._queue.put(None)
            store.writer.start()
            try:
                await asyncio.to_thread(store.writer._thread.join, 60)
                assert not store.writer._thread.is_alive()
            finally:
                store.writer._told.set()
            assert keys(store) == ["a", "b"]

    asyncio.run(run())


def test_others_get_their_turn_when_nothing_waits_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LONGEST_TURN", 1e9)
    monkeypatch.setattr(writer, "_MAX_OPERATIONS", 1)

    async def run() -> None:
        def step(name: str) -> None:
            if name == steps.BEFORE_COMMIT:
                taken.add(store.writer._turns._since)

        taken: set[float | None] = set()
        async with bare(tmp_path, step=step, start=False) as store:
            await together(store, *(put(key, inline(b"x")) for key in "abc"))
            assert len(taken) == 1, "it is one turn while more waits"
            assert store.writer.stats.commits == 3
            pen = os.open(store.directory.blobs, os.O_RDONLY)
            deadline = time.monotonic() + 60
            while not try_lock(pen):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.001)
            os.close(pen)

    asyncio.run(run())


def test_who_waits_when_the_end_comes_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            waiting = [asyncio.ensure_future(store.writer.commit(put(key, inline(b"x")))) for key in "abc"]
            await asyncio.sleep(0)
            store.writer._queue.put(None)
            store.writer.start()
            for one in waiting:
                await one
            assert store.writer.stats.commits == 1
            assert keys(store) == ["a", "b", "c"]
        settled: list[bool] = []
        with pytest.raises(Unavailable, match=r"^the store is closed$"):
            await store.writer.commit(Probe(), settled.append)
        with pytest.raises(Unavailable, match=r"^the store is closed$"):
            store.writer.check()
        assert settled == [False]

    asyncio.run(run())


def test_who_is_cancelled_in_time_changes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            settled: list[bool] = []
            waiting = asyncio.ensure_future(store.writer.commit(put("a", inline(b"x")), settled.append))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.sleep(0)
            assert not waiting.done(), "the outcome is not known yet"
            waiting.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not waiting.done(), "nor is it after a second time"
            await together(store, put("b", inline(b"x")))
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (settled, keys(store)) == ([False], ["b"])

    asyncio.run(run())


def test_who_is_cancelled_too_late_is_told_with_the_commit(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with bare(tmp_path, step=gate.step) as store:
            gate.closed = True
            settled: list[bool] = []
            waiting = asyncio.ensure_future(store.writer.commit(put("a", inline(b"x")), settled.append))
            await asyncio.to_thread(gate.waiting.wait)
            waiting.cancel()
            await asyncio.sleep(0)
            gate.open()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (settled, keys(store)) == ([True], ["a"])

    asyncio.run(run())


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_error_that_comes_in_as_who_waits_is_cancelled_is_no_defect(cancelled: bool) -> None:
    async def run() -> None:
        told: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(context))
        future: asyncio.Future[None] = loop.create_future()
        pending = _Pending(Probe(), future, None)
        pending.error = NotFound("key")
        if cancelled:
            future.cancel()
        pending.resolve()
        await pending.outlast()
        del pending, future
        assert told == []

    asyncio.run(run())


def test_what_spoils_a_transaction_is_told_to_whom_it_belongs(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            bad = put("bad \ud800", inline(b"x"))
            first, error, last = await together(store, put("a", inline(b"x")), bad, put("b", inline(b"x")))
            assert (first.key, last.key) == ("a", "b")
            assert isinstance(error, UnicodeEncodeError)
            assert store.writer.stats == WriterStats(commits=2, operations=2, largest_group=1)
            assert keys(store) == ["a", "b"]
            assert not store.writing.in_transaction
            store.writer.check()

    asyncio.run(run())


@pytest.mark.parametrize("free", [False, True])
def test_on_a_nearly_full_disk_only_what_frees_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: bool
) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            await store.writer.commit(put("a", inline(b"x")))
            if free:
                await store.writer.commit(put("b", inline(bytes(2_000_000))))
                await store.writer.commit(Delete("b", UNCONDITIONAL))
            monkeypatch.setattr(directories, "RESERVE", 1 << 62)
            if free:
                ((pages,),) = store.writing.execute("PRAGMA freelist_count").fetchall()
                room = pages * 4096 - 1024 * 1024 - 1
            else:
                room = -1
            for weight in (room + 1, 1_000_000):
                with pytest.raises(StorageFull) as told:
                    await store.writer.commit(Heavy("d", weight))
                assert told.value.message == NEARLY_FULL
            if free:
                assert room > 100_000
                await store.writer.commit(Heavy("c", room))
            await store.writer.commit(Delete("a", UNCONDITIONAL))
            assert keys(store) == ["c"] * free
            store.writer.check()

    asyncio.run(run())


def test_a_full_disk_refuses_of_a_group_what_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with bare(tmp_path, start=False) as store:
            monkeypatch.setattr(directories, "RESERVE", 1 << 62)
            refused, missing = await together(store, put("a", inline(b"x")), Delete("b", UNCONDITIONAL))
            assert isinstance(refused, StorageFull)
            assert isinstance(missing, NotFound)
            assert store.writer.stats.commits == 0

    asyncio.run(run())


@pytest.mark.parametrize(("commits", "pages", "moved"), [(1, 14, 1), (1, 15, 0), (3, 42, 3), (3, 43, 0), (3, 15, 2)])
def test_the_log_is_moved_into_the_index_when_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commits: int, pages: int, moved: int
) -> None:
    # A commit counts 2 pages, each operation 2, each key 1, and the body nine.
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", pages)

    async def run() -> None:
        async with bare(tmp_path) as store:
            before = store.directory.index.stat().st_size
            for number in range(commits):
                await store.writer.commit(put(str(number), inline(bytes(10 * 4096 - 1))))
            # It is made after the answer, and before the next commit.
            with suppress(NotFound):
                await store.writer.commit(Delete("none", UNCONDITIONAL))
            assert (store.directory.index.stat().st_size - before) // (9 * 4096) == moved

    asyncio.run(run())


def test_a_log_that_cannot_be_moved_is_told_of_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)

    def refuse(action: int, what: str | None, *_more: str | None) -> int:
        checkpoint = action == sqlite3.SQLITE_PRAGMA and what == "wal_checkpoint"
        return sqlite3.SQLITE_DENY if checkpoint else sqlite3.SQLITE_OK

    async def run() -> None:
        async with bare(tmp_path) as store:
            store.writing.set_authorizer(refuse)
            await store.writer.commit(put("a", inline(b"x")))
            with suppress(NotFound):
                await store.writer.commit(Delete("none", UNCONDITIONAL))
            store.writer.check()
            assert keys(store) == ["a"]
            store.writing.set_authorizer(None)

    asyncio.run(run())
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [("WARNING", "the log of the index was not checkpointed: not authorized")]


def test_after_a_commit_in_doubt_nothing_is_written_any_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            await store.writer.commit(put("a", inline(b"x")))
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            store.writer._note(ValueError("no matter of the disk"))
            store.writer.check()
            store.writer._note(error)
            told = "writing the index failed (disk I/O error); see to the disk, then restart"
            assert store.writer.failed == told
            for one in (put("b", inline(b"x")), Delete("a", UNCONDITIONAL)):
                with pytest.raises(Unavailable) as refused:
                    await store.writer.commit(one)
                assert refused.value.message == told
            with pytest.raises(Unavailable) as refused:
                store.writer.check()
            assert refused.value.message == told
            assert keys(store) == ["a"]
        assert told in caplog.text

    asyncio.run(run())


def test_a_program_that_holds_the_index_is_told_of_and_waited_for_no_longer(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            store.writing.execute("PRAGMA busy_timeout = 0")
            other = sqlite3.connect(store.directory.index, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="another process holds the index") as told:
                await store.writer.commit(put("a", inline(b"x")))
            assert isinstance(told.value.__cause__, sqlite3.OperationalError)
            other.execute("ROLLBACK")
            other.close()
            await store.writer.commit(put("a", inline(b"x")))
            store.writer.check()

    asyncio.run(run())


def test_a_defect_is_told_to_all_and_nothing_more_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = False

    def step(name: str) -> None:
        if broken and name == steps.AFTER_COMMIT:
            raise ZeroDivisionError("of no importance")

    async def run() -> None:
        nonlocal broken
        async with bare(tmp_path, step=step) as store:
            broken = True
            told = "the writer failed (ZeroDivisionError('of no importance')); its log says why; restart"
            for _ in range(2):
                with pytest.raises(Unavailable) as refused:
                    await store.writer.commit(put("a", inline(b"x")))
                assert refused.value.message == told
            assert store.writer.failed == told
        assert [record.getMessage() for record in caplog.records] == ["the writer failed"]
        assert "ZeroDivisionError" in caplog.text

    asyncio.run(run())
