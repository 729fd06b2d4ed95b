"""One store copied to another."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import (
    Corrupted,
    DigestMismatch,
    InvalidKey,
    PreconditionFailed,
    StorageFull,
    Unavailable,
    Unsupported,
)
from objectstore.testing.faults import After, Chunk, Fault, Faulty
from objectstore.testing.suite.harness import Stalling, chunked, sample
from objectstore.transfer import Copied, Deleted, Skipped, Summary, copy_store
from objectstore.values import (
    Attributes,
    Body,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)
from objectstore.wire.retries import Retries
from objectstore.wrappers.forwarding import GET, PUT, Forwarding
from transfer.stores import Plain, Record, Unlisted, Vanishing, contents, options, run

OBJECTS = {"a": b"", "b/1": b"one", "b/2": sample(700 * 1024 + 3), "c": sample(70_000, 1)}
KEPT = Attributes(content_type="text/plain", cache_control="no-store", metadata={"author": "Ada"})

STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[Backend]]] = {
    "memory": lambda _: MemoryBackend(),
    "engine": lambda folder: EngineBackend(folder / "engine"),
    "filesystem": lambda folder: FilesystemBackend(folder / "files"),
    "plain": lambda _: Plain(),
}


def counts(summary: Summary) -> tuple[int, int, int, int]:
    return summary.copied, summary.skipped, summary.deleted, summary.failed


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("source_kind", STORES)
def test_all_objects_arrive_and_are_not_sent_again(source_kind: str, kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with STORES[source_kind](tmp_path / "from") as source, STORES[kind](tmp_path / "to") as target:
            for key, data in OBJECTS.items():
                await source.put(key, chunked(data))
            progress = Record()
            summary = await copy_store(source, target, options(), progress)
            assert counts(summary) == (4, 0, 0, 0)
            assert summary.complete
            assert summary.bytes == progress.bytes == sum(map(len, OBJECTS.values()))
            assert {event.key for event in progress.events if isinstance(event, Copied)} == OBJECTS.keys()
            assert await contents(target) == OBJECTS
            counted = Faulty(target)
            assert counts(await copy_store(source, counted, options())) == (0, 4, 0, 0)
            # One page, and no look at any object.
            assert counted.calls == {"list": 1}

    run(scenario())


def test_what_has_changed_is_sent_again() -> None:
    async def scenario() -> None:
        source, target = MemoryBackend(OBJECTS), MemoryBackend(OBJECTS)
        await source.put("b/1", b"ONE")
        await source.put("c", b"shorter")
        await source.put("d", b"new")
        assert counts(await copy_store(source, target, options())) == (3, 2, 0, 0)
        assert await contents(target) == {**OBJECTS, "b/1": b"ONE", "c": b"shorter", "d": b"new"}

    run(scenario())


def test_attributes_come_along() -> None:
    async def scenario() -> None:
        source, target, progress = MemoryBackend(), MemoryBackend(), Record()
        await source.put("key", b"data", PutOptions(attributes=KEPT))
        await copy_store(source, target, options(), progress)
        assert (await target.head("key")).attributes == KEPT
        assert progress.warnings() == []

    run(scenario())


def test_attributes_that_the_target_cannot_keep_are_told_of_once() -> None:
    async def scenario() -> None:
        source, progress = MemoryBackend({"bare": b""}), Record()
        for key in ("one", "two"):
            await source.put(key, b"data", PutOptions(attributes=KEPT))
        assert (await copy_store(source, Plain(), options(), progress)).complete
        assert progress.warnings() == ["PlainStore keeps no content types and metadata: they are left behind"]

    run(scenario())


def test_only_what_is_below_the_prefix_is_copied_and_deleted() -> None:
    async def scenario() -> None:
        source = MemoryBackend(OBJECTS)
        target = MemoryBackend({"a": b"other", "b": b"", "b/0": b"", "b/3": b"", "z": b""})
        assert counts(await copy_store(source, target, options(prefix="b/", delete=True))) == (2, 0, 2, 0)
        assert await contents(target) == {"a": b"other", "b": b"", "z": b"", "b/1": b"one", "b/2": OBJECTS["b/2"]}

    run(scenario())


def test_nothing_is_deleted_unasked() -> None:
    async def scenario() -> None:
        target = MemoryBackend({"z": b""})
        assert counts(await copy_store(MemoryBackend(OBJECTS), target, options())) == (4, 0, 0, 0)
        assert "z" in await contents(target)

    run(scenario())


def test_a_dry_run_tells_and_does_nothing() -> None:
    async def scenario() -> None:
        source = MemoryBackend(OBJECTS)
        target = Faulty(MemoryBackend({"a": b"", "c": b"other", "z": b""}))
        progress = Record()
        summary = await copy_store(source, target, options(delete=True, dry_run=True), progress)
        assert counts(summary) == (3, 1, 1, 0)
        assert Deleted("z") in progress.events
        assert Copied("b/1", 3) in progress.events
        assert progress.bytes == 0
        assert target.calls == {"list": 1}

    run(scenario())


def times(*hours: int) -> Callable[[], datetime]:
    passing = iter(hours)
    return lambda: datetime(2026, 1, 1, next(passing), tzinfo=UTC)


def test_without_digests_the_later_object_wins_and_checksums_find_out() -> None:
    async def scenario() -> None:
        source = Plain(clock=times(1, 1, 3, 3))
        target = Plain(clock=times(2, 2, 2, 2, 4, 4))
        for key, ours, theirs in (("1", b"aa", b"aa"), ("2", b"aa", b"bb"), ("3", b"aa", b"aa"), ("4", b"aa", b"bb")):
            await source.put(key, ours)
            await target.put(key, theirs)
        for dry in (True, False):
            found = Record()
            await copy_store(source, target, options(checksum=True, dry_run=dry), found)
            assert {event for event in found.events if isinstance(event, Copied)} == {Copied("2", 2), Copied("4", 2)}
            if dry:
                told = Record()
                await copy_store(source, target, options(dry_run=True), told)
                assert {event for event in told.events if isinstance(event, Copied)} == {Copied("3", 2), Copied("4", 2)}

    run(scenario())


def test_only_the_side_without_a_digest_is_read_for_its_checksum() -> None:
    async def scenario() -> None:
        source, target = Faulty(MemoryBackend({"key": b"data"})), Faulty(Plain({"key": b"data"}))
        assert counts(await copy_store(source, target, options(checksum=True))) == (0, 1, 0, 0)
        assert (source.calls["get"], target.calls["get"]) == (0, 1)

    run(scenario())


@pytest.mark.parametrize(
    "fault",
    [
        Fault("get", call=3),
        Fault("get", call=3, at=Chunk(2)),
        Fault("get", call=3, at=Chunk(2), error=None),
        Fault("get", call=3, at=Chunk(2), error=Corrupted("a bad disk")),
    ],
)
@pytest.mark.parametrize("target_kind", ["memory", "engine", "filesystem"])
def test_a_reading_that_fails_is_tried_again(fault: Fault, target_kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with STORES[target_kind](tmp_path) as target:
            progress = Record()
            summary = await copy_store(Faulty(MemoryBackend(OBJECTS), [fault]), target, options(jobs=1), progress)
            assert summary.complete
            assert progress.bytes == sum(map(len, OBJECTS.values()))
            assert await contents(target) == OBJECTS

    run(scenario())


@pytest.mark.parametrize("kind", ["memory", "engine", "filesystem"])
def test_a_reading_that_ends_early_leaves_nothing(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with STORES[kind](tmp_path) as target:
            source = Faulty(Plain({"key": OBJECTS["b/2"]}), [Fault("get", at=Chunk(3), error=None)])
            summary = await copy_store(source, target, options(retries=Retries(limit=0)))
            assert counts(summary) == (0, 0, 0, 1)
            assert await contents(target) == {}

    run(scenario())


@pytest.mark.parametrize("at", [None, After()])
@pytest.mark.parametrize("source_kind", ["memory", "plain"])
@pytest.mark.parametrize("held", [{}, {"key": b"old"}])
def test_a_write_whose_answer_is_lost_is_recognized(
    at: After | None, source_kind: str, held: dict[str, bytes], tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with STORES[source_kind](tmp_path) as source:
            await source.put("key", b"new bytes")
            target = MemoryBackend(held)
            fault = Fault("put") if at is None else Fault("put", at=at)
            summary = await copy_store(source, Faulty(target, [fault]), options())
            assert counts(summary) == (1, 0, 0, 0)
            assert await contents(target) == {"key": b"new bytes"}

    run(scenario())


class Undigested(Forwarding):
    """Has conditions and knows no digests, as most clouds do."""

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        return replace(await super().put(key, body, options), digests={})

    async def head(self, key: str) -> ObjectInfo:
        return replace(await super().head(key), digests={})


@pytest.mark.parametrize(("data", "arrived"), [(b"new bytes", 1), (b"NEW BYTES", 0)])
def test_a_write_whose_answer_is_lost_is_recognized_by_its_bytes(data: bytes, arrived: int) -> None:
    async def scenario() -> None:
        target = MemoryBackend()

        class Losing(Forwarding):
            async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
                if await contents(target) == {}:
                    await target.put(key, data)
                    raise Unavailable("the answer is lost")
                return await super().put(key, body, options)

        source = MemoryBackend({"key": b"new bytes"})
        summary = await copy_store(source, Losing(Undigested(target)), options())
        assert counts(summary) == (arrived, 0, 0, 1 - arrived)
        assert await contents(target) == {"key": data}

    run(scenario())


def test_one_failure_does_not_stop_the_others_and_keeps_what_was_to_be_deleted() -> None:
    async def scenario() -> None:
        target = FailingFor(MemoryBackend({"b": b"", "z": b""}), "b/1", InvalidKey("not here"))
        progress = Record()
        summary = await copy_store(MemoryBackend(OBJECTS), target, options(delete=True), progress)
        assert counts(summary) == (3, 0, 0, 1)
        assert [failure.key for failure in summary.failures] == ["b/1"]
        assert isinstance(progress.failures()["b/1"], InvalidKey)
        assert summary.stopped is not None
        assert "2 objects" in summary.stopped.reason
        assert (await contents(target)).keys() == {*OBJECTS, "b", "z"} - {"b/1"}

    run(scenario())


class FailingFor(Forwarding):
    def __init__(self, inner: Backend, key: str | None, error: Exception) -> None:
        super().__init__(inner)
        self.tried: list[str] = []
        self._key = key
        self._error = error

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        self.tried.append(key)
        if self._key in {None, key}:
            raise self._error
        return await super().put(key, body, options)


def test_tries_are_bounded() -> None:
    async def scenario() -> None:
        target = FailingFor(MemoryBackend(), "b/1", Unavailable("away"))
        summary = await copy_store(MemoryBackend(OBJECTS), target, options())
        assert counts(summary) == (3, 0, 0, 1)
        assert target.tried.count("b/1") == 4

    run(scenario())


def test_what_fails_for_good_is_not_tried_again() -> None:
    async def scenario() -> None:
        target = FailingFor(MemoryBackend(), "b/1", InvalidKey("not here"))
        await copy_store(MemoryBackend(OBJECTS), target, options())
        assert target.tried.count("b/1") == 1

    run(scenario())


@pytest.mark.parametrize(("error", "most"), [(StorageFull("full"), 2), (Unavailable("away"), 11 * 4)])
def test_a_target_that_takes_nothing_is_given_up(error: Exception, most: int) -> None:
    async def scenario() -> None:
        source = MemoryBackend({f"{number:03}": b"x" for number in range(100)})
        target = FailingFor(MemoryBackend(), None, error)
        summary = await copy_store(source, target, options(jobs=1))
        assert summary.stopped is not None
        assert summary.stopped.error is error
        assert len(target.tried) <= most

    run(scenario())


@pytest.mark.parametrize("side", ["source", "target"])
def test_nothing_is_deleted_when_a_listing_failed(side: str) -> None:
    async def scenario() -> None:
        faults = [Fault("list", call=call) for call in range(1, 9)]
        source: Backend = MemoryBackend(OBJECTS)
        held = MemoryBackend({"0": b"", "z": b""})
        target: Backend = held
        if side == "source":
            source = Faulty(source, faults)
        else:
            target = Faulty(held, faults)
        summary = await copy_store(source, target, options(delete=True))
        assert summary.stopped is not None
        assert summary.stopped.reason == f"the listing of the {side} failed"
        assert not summary.complete
        assert {"0", "z"} <= (await contents(held)).keys()

    run(scenario())


def test_a_target_is_not_emptied_for_an_empty_source() -> None:
    async def scenario() -> None:
        target = MemoryBackend({"z": b""})
        summary = await copy_store(MemoryBackend(), target, options(delete=True))
        assert summary.stopped is not None
        assert "no objects there" in str(summary.stopped.error)
        assert await contents(target) == {"z": b""}

    run(scenario())


def test_what_is_deleted_by_somebody_else_is_gone_all_the_same() -> None:
    async def scenario() -> None:
        held = MemoryBackend({**OBJECTS, "y": b"", "z": b""})
        target = Faulty(held, [Fault("delete", at=After())])
        assert counts(await copy_store(MemoryBackend(OBJECTS), target, options(delete=True, jobs=1))) == (0, 4, 2, 0)
        assert await contents(held) == OBJECTS

    run(scenario())


class Meddling(Forwarding):
    """A source at whose first reading somebody writes to the target."""

    def __init__(self, inner: Backend, target: Backend) -> None:
        super().__init__(inner)
        self._target = target

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        for written in ("absent", "different", "surplus"):
            await self._target.put(written, b"by somebody else")
        async with super().get(key, options) as opened:
            yield opened


def test_what_somebody_else_writes_meanwhile_is_kept_and_told() -> None:
    async def scenario() -> None:
        target = MemoryBackend({"different": b"old", "surplus": b"old"})
        source = Meddling(MemoryBackend({"absent": b"ours", "different": b"ours"}), target)
        progress = Record()
        summary = await copy_store(source, target, options(jobs=1), progress)
        assert counts(summary) == (0, 0, 0, 2)
        assert all(isinstance(error, PreconditionFailed) for error in progress.failures().values())
        assert "run again" in str(progress.failures()["absent"])
        assert set((await contents(target)).values()) == {b"by somebody else"}

    run(scenario())


def test_what_somebody_else_writes_is_not_deleted() -> None:
    async def scenario() -> None:
        target = MemoryBackend({"surplus": b"old"})
        source = Meddling(MemoryBackend({"b": b"ours"}), target)
        progress = Record()
        summary = await copy_store(source, target, options(delete=True), progress)
        assert counts(summary) == (1, 0, 0, 1)
        assert isinstance(progress.failures()["surplus"], PreconditionFailed)
        assert (await contents(target))["surplus"] == b"by somebody else"

    run(scenario())


def test_an_object_that_the_source_loses_meanwhile_is_no_failure() -> None:
    async def scenario() -> None:
        source, target, progress = Vanishing(MemoryBackend(OBJECTS), "b/1"), MemoryBackend(), Record()
        assert (await copy_store(source, target, options(), progress)).complete
        assert Skipped("b/1") in progress.events
        assert "b/1" not in await contents(target)

    run(scenario())


class Keeping(Forwarding):
    """A target that keeps something else than it was sent, and tells the digest of it or does not."""

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        async for _ in chunked(b"") if isinstance(body, bytes) else body:
            pass
        return await super().put(key, b"X" * (options.size or 0), PutOptions(conditions=options.conditions))


@pytest.mark.parametrize("source", [MemoryBackend(OBJECTS), Plain(OBJECTS)], ids=["with digests", "without"])
def test_what_arrives_is_verified(source: Backend) -> None:
    async def scenario() -> None:
        progress = Record()
        summary = await copy_store(source, Keeping(MemoryBackend()), options(), progress)
        assert progress.failures().keys() == OBJECTS.keys() - {"a"}
        assert all(isinstance(error, Corrupted) for error in progress.failures().values())
        assert summary.copied == 1

    run(scenario())


def test_a_source_whose_bytes_are_not_what_it_says_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with FilesystemBackend(tmp_path / "files") as source:
            await source.put("key", b"good")
            info = await source.head("key")

            class Lying(Forwarding):
                @asynccontextmanager
                async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
                    async with MemoryBackend({key: b"evil"}).get(key, options) as opened:
                        yield Reading(info, 0, 4, opened.content)

            target, progress = MemoryBackend(), Record()
            await copy_store(Lying(source), target, options(), progress)
            assert isinstance(progress.failures()["key"], DigestMismatch)
            assert await contents(target) == {}

    run(scenario())


@pytest.mark.parametrize("blind", [False, True])
def test_a_target_that_cannot_be_listed_is_asked_for_each_object(blind: bool) -> None:
    async def scenario() -> None:
        held = MemoryBackend({"a": b"", "b/1": b"old"})
        target = Unlisted(held, blind=blind)
        assert counts(await copy_store(MemoryBackend(OBJECTS), target, options())) == (
            (4, 0, 0, 0) if blind else (3, 1, 0, 0)
        )
        assert await contents(held) == OBJECTS

    run(scenario())


def test_what_cannot_be_done_is_refused_before_anything_is_done() -> None:
    async def scenario() -> None:
        store = MemoryBackend(OBJECTS)
        with pytest.raises(ValueError, match="itself"):
            await copy_store(store, store)
        with pytest.raises(Unsupported, match="UnlistedStore cannot be listed"):
            await copy_store(Unlisted(store), MemoryBackend())
        with pytest.raises(Unsupported, match="nothing is deleted there"):
            await copy_store(store, Unlisted(MemoryBackend()), options(delete=True))

    run(scenario())
    with pytest.raises(ValueError, match="at least one"):
        options(jobs=0)


class Waiting(Forwarding):
    """A source whose readings stall after a few bytes."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.open = self.most = 0
        self.stalled = asyncio.Event()

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with super().get(key, options) as opened:
            self.open += 1
            self.most = max(self.most, self.open)
            self.stalled.set()
            try:
                yield Reading(opened.info, opened.start, opened.stop, Streamed(aiter(Stalling(b"x"))))
            finally:
                self.open -= 1


@pytest.mark.parametrize("kind", ["memory", "engine", "filesystem"])
def test_a_copy_that_is_cancelled_leaves_whole_objects_and_goes_on_later(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        inner = MemoryBackend({f"{number}": sample(1000, number) for number in range(9)})
        source = Waiting(inner)
        async with STORES[kind](tmp_path) as target:
            await target.put("1", b"old")
            copying = asyncio.create_task(copy_store(source, target, options(jobs=3)))
            await source.stalled.wait()
            copying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await copying
            assert source.open == 0
            assert await contents(target) == {"1": b"old"}
            assert (await copy_store(inner, target, options())).complete
            assert await contents(target) == await contents(inner)

    run(scenario())


def test_no_more_than_so_many_objects_are_on_their_way() -> None:
    async def scenario() -> None:
        inner = MemoryBackend({f"{number}": b"xy" for number in range(20)})
        source = Waiting(inner)
        copying = asyncio.create_task(copy_store(source, MemoryBackend(), options(jobs=3)))
        await source.stalled.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        assert source.most == 3
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying

    run(scenario())


def test_an_error_of_who_is_told_is_raised_as_it_is() -> None:
    def broken(_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(copy_store(MemoryBackend(OBJECTS), MemoryBackend(), options(), Record(broken)))


class Endless(MemoryBackend):
    """Has as many keys as one likes, in no memory."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    async def list(self, query: ListQuery) -> ListPage:
        first = int(query.start or 0)
        last = min(first + query.limit, self._count)
        keys = tuple(f"{number:09}" for number in range(first, last))
        now = datetime(2026, 1, 1, tzinfo=UTC)
        infos = tuple(ObjectInfo(key=key, size=1, etag="e", created=now, modified=now) for key in keys)
        return ListPage(keys=keys, objects=infos, next_start=f"{last:09}" if last < self._count else None)


def test_memory_does_not_grow_with_the_number_of_keys() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            assert counts(run(copy_store(Endless(count), Endless(count), options()))) == (0, count, 0, 0)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(4000)  # what is made once
    assert peak(16_000) < 1.5 * peak(4000)
