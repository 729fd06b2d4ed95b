"""The writer when it may not, cannot, or is told to end: whoever waits is told, and what was committed stays."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backends.engine.scenes import LARGE, SMALL, assert_sound, in_child, read
from backends.engine.test_engine_writing import Gate, _submitted, held_up
from objectstore.backends.engine import backend as engine
from objectstore.backends.engine import schema, steps, writer
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.operations import Delete
from objectstore.backends.engine.writer import _Pending
from objectstore.errors import Unavailable
from objectstore.values import UNCONDITIONAL, ListQuery


def test_a_group_is_no_larger_than_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_MAX_OPERATIONS", 3)

    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            async with held_up(backend, gate):
                waiting = await _submitted([backend.put(f"key-{number}", SMALL) for number in range(7)])
            await asyncio.gather(*waiting)
            assert (backend.stats.commits, backend.stats.largest_group) == (4, 3)

    asyncio.run(run())


def test_what_was_submitted_before_the_end_is_committed(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend, held_up(backend, gate):
            waiting = await _submitted([backend.put(f"key-{number}", SMALL) for number in range(5)])
            closing_ = asyncio.create_task(asyncio.to_thread(backend._writer.close))
            while backend._writer._queue.qsize() < 6:  # noqa: ASYNC110  the end stands behind the five then
                await asyncio.sleep(0)
            gate.open()
            await asyncio.gather(*waiting)
            await closing_
            with pytest.raises(Unavailable, match="closed"):
                await backend.delete("first")
            # Once more does no harm: the store is closed with the block.
            backend._writer.close = lambda: None  # type: ignore[method-assign]
        async with EngineBackend(tmp_path / "data") as backend:
            assert len((await backend.list(ListQuery())).keys) == 6

    asyncio.run(run())
    assert_sound(tmp_path / "data")


def test_who_is_cancelled_as_the_outcome_comes_in_does_not_wait_for_it() -> None:
    async def run() -> None:
        settled: list[bool] = []
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pending = _Pending(Delete("key", UNCONDITIONAL), future, settled.append)
        future.cancel()
        pending.resolve()
        await pending.outlast()
        assert settled == [True]

    asyncio.run(run())


def test_a_defect_is_told_to_all_and_ends_writing_not_reading(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        broken = False

        def step(name: str) -> None:
            if broken and name == steps.AFTER_COMMIT:
                raise ZeroDivisionError

        async with EngineBackend(tmp_path / "data", step=step) as backend:
            await backend.put("key", SMALL)
            broken = True
            with pytest.raises(Unavailable, match="the writer failed"):
                await backend.put("other", SMALL)
            broken = False
            with pytest.raises(Unavailable, match="restart"):
                await backend.delete("key")
            with pytest.raises(Unavailable, match="restart"):
                await backend.check()
            assert await read(backend, "key") == SMALL

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert "the writer failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert_sound(tmp_path / "data")


def test_another_process_that_keeps_the_pen_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_TURN_TIMEOUT", 0.0)

    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            pen = os.open(tmp_path / "data" / "blobs", os.O_RDONLY)
            fcntl.flock(pen, fcntl.LOCK_EX)
            with pytest.raises(Unavailable, match="writing for very long") as caught:
                await backend.put("key", SMALL)
            assert caught.value.retry_after
            os.close(pen)
            await backend.put("key", SMALL)

    asyncio.run(run())


def test_another_program_that_locks_the_index_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_WRITE_TIMEOUT", 0.0)

    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            with closing(sqlite3.connect(tmp_path / "data" / "index.sqlite3", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(Unavailable, match="another process holds the index"):
                    await backend.put("key", SMALL)
                other.execute("ROLLBACK")
            await backend.put("key", SMALL)

    asyncio.run(run())


def test_a_log_that_cannot_be_moved_into_the_index_stays_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)
    told: list[str] = []

    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("key", SMALL)
            await backend.put("key", SMALL)  # by now the log of the first is in the index
            size = (tmp_path / "data" / "index.sqlite3").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            await backend.put("larger", LARGE[:10_000])
            await backend.delete("key")  # when it is answered, the checkpoint before was tried
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            assert await read(backend, "larger") == LARGE[:10_000]
            await backend.check()
        assert any("not checkpointed" in line for line in told), told

    def watched(_say: int) -> None:
        handler = logging.Handler()
        handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("objectstore").addHandler(handler)
        asyncio.run(run())

    assert in_child(watched)[0] == 0
    assert_sound(tmp_path / "data")
