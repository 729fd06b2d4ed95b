"""A cache answers as its main store would: faster, never with what was overwritten through it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from objectstore.backends import reading as readings
from objectstore.backends.contract import Backend, Uploads
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.staged import StagedUploads
from objectstore.config.types.copies import COPIES
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InvalidRange,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    StorageFull,
    Unavailable,
)
from objectstore.testing.faults import After, Chunk, Fault, Faulty
from objectstore.testing.suite.harness import (
    LARGE,
    MIB,
    BodyFailed,
    Stalling,
    chunked,
    failing,
    found,
    keys,
    read,
    sample,
    settle,
)
from objectstore.values import (
    Attributes,
    Bounded,
    Capabilities,
    Conditions,
    FileSpan,
    From,
    GetOptions,
    Inline,
    Last,
    PutOptions,
)
from objectstore.wrappers.caching import Caching
from objectstore.wrappers.caching.entry import ROOM, name_of
from objectstore.wrappers.forwarding import Forwarding
from wrappers.cached import Clock, Gated, Slow, turns
from wrappers.mirrored import Leaving

OLD = sample(LARGE, 1)
NEW = sample(LARGE, 2)


def run(scenario: Callable[..., Awaitable[None]], main: Backend, cache: Backend, **options: Any) -> None:
    async def opened() -> None:
        async with Caching(main, cache, **options) as store:
            await scenario(store, main, cache)

    asyncio.run(opened())


async def settled(store: Caching) -> None:
    """Wait until no fetch is under way any more."""
    while store._tasks:
        await asyncio.wait(store._tasks)


async def cached(store: Caching, key: str) -> None:
    await read(store, key)
    await settled(store)


# What is read


@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_the_second_reading_comes_from_the_cache(size: int, tmp_path: Path) -> None:
    async def scenario(store: Caching, main: Faulty, cache: Backend) -> None:
        options = PutOptions(attributes=Attributes(content_type="a/b", metadata={"n": "ü"}), digests=frozenset({"md5"}))
        info = await store.put("key", sample(size), options)
        for _ in range(3):
            assert await found(store, "key") == (info, sample(size))
            await settled(store)
        assert main.calls["get"] == 1
        assert await keys(cache) == [name_of("key")]
        for wanted in (Bounded(1, 3), From(4), Last(2)):
            if size:
                async with store.get("key", GetOptions(range=wanted)) as reading:
                    assert reading.info == info
                    assert await readings.read_all(reading) == sample(size)[reading.start : reading.stop]
        assert main.calls["get"] == 1

    run(scenario, Faulty(MemoryBackend()), EngineBackend(tmp_path, durability="relaxed"))


def test_a_file_of_the_cache_is_offered_as_one(tmp_path: Path) -> None:
    async def scenario(store: Caching, *_: Backend) -> None:
        await store.put("key", OLD)
        await cached(store, "key")
        async with store.get("key", GetOptions(range=Bounded(5, LARGE - 5))) as reading:
            assert isinstance(reading.content, FileSpan)
            assert await readings.read_all(reading) == OLD[5:-5]

    run(scenario, MemoryBackend(), FilesystemBackend(tmp_path))


def test_conditions_and_ranges_are_checked_against_the_record_of_the_main_store() -> None:
    async def scenario(store: Caching, main: Backend, _: Backend) -> None:
        info = await main.put("key", OLD)
        for _round in range(2):
            with pytest.raises(NotModified):
                await read(store, "key", None, Conditions(if_none_match=(info.etag,)))
            with pytest.raises(PreconditionFailed):
                await read(store, "key", None, Conditions(if_match=("other",)))
            with pytest.raises(InvalidRange):
                await read(store, "key", From(LARGE))
            assert await read(store, "key", None, Conditions(if_match=(info.etag,))) == OLD
            await settled(store)

    run(scenario, MemoryBackend(), MemoryBackend())


def test_an_absent_object_is_not_found_and_leaves_nothing() -> None:
    async def scenario(store: Caching, *_: Backend) -> None:
        for call in (read(store, "key"), store.head("key"), read(store, "key", Last(1))):
            with pytest.raises(NotFound):
                await call
        await settled(store)
        assert store._fetching is not None
        assert not store._fetching._flights
        assert not store._fetching._busy

    run(scenario, MemoryBackend(), MemoryBackend())


# One fetch


@pytest.mark.parametrize("size", [5, LARGE, 3 * MIB])
def test_many_readers_of_a_cold_key_cause_one_fetch(size: int) -> None:
    async def scenario(store: Caching, main: Gated, _: Backend) -> None:
        await main.put("key", sample(size))
        main.opens.clear()
        reading = [asyncio.create_task(read(store, "key")) for _ in range(10)]
        reading += [asyncio.create_task(read(store, "key", Bounded(1, 4))) for _ in range(3)]
        await turns()
        main.opens.set()
        bodies = await asyncio.gather(*reading)
        assert bodies == [sample(size)] * 10 + [sample(size)[1:4]] * 3
        assert main.opened == 1
        await settled(store)

    run(scenario, Gated(MemoryBackend()), MemoryBackend())


@pytest.mark.parametrize("size", [5, LARGE])
def test_the_error_of_the_one_fetch_reaches_all(size: int) -> None:
    async def scenario(store: Caching, main: Faulty, __: Backend) -> None:
        await main.put("key", sample(size))
        _, errors = await settle(_reading(store) for _ in range(5))
        assert [str(error) for error in errors] == ["this fault was asked for"] * 5
        assert await read(store, "key") == sample(size)
        assert main.calls["get"] == 2
        await settled(store)

    run(scenario, Faulty(MemoryBackend(), [Fault("get")]), MemoryBackend())


async def _reading(store: Backend) -> Any:
    return await read(store, "key")


def test_a_reader_that_leaves_early_does_not_end_the_fetch_of_others() -> None:
    async def scenario(store: Caching, main: Gated, _: Backend) -> None:
        await main.put("key", sample(5 * MIB))
        main.flows.clear()
        first = asyncio.create_task(read(store, "key"))
        await turns()
        others = [asyncio.create_task(read(store, "key")) for _ in range(3)]
        await turns()
        first.cancel()
        main.flows.set()
        assert await asyncio.gather(*others) == [sample(5 * MIB)] * 3
        assert main.opened == 1

    run(scenario, Gated(MemoryBackend()), MemoryBackend())


def test_a_reader_that_is_cancelled_before_anything_comes_does_not_hold_up_the_fetch() -> None:
    async def scenario(store: Caching, main: Gated, _: Backend) -> None:
        await main.put("key", sample(5 * MIB))
        main.opens.clear()
        first = asyncio.create_task(read(store, "key"))
        await turns()
        first.cancel()
        await asyncio.wait([first])
        main.opens.set()
        await settled(store)
        assert await read(store, "key") == sample(5 * MIB)
        assert main.opened == 1

    run(scenario, Gated(MemoryBackend()), MemoryBackend())


def test_the_first_reader_gets_chunks_as_they_come_and_memory_stays_flat() -> None:
    async def scenario(store: Caching, main: Gated, cache: Backend) -> None:
        await main.put("key", sample(5 * MIB))
        main.flows.clear()
        async with store.get("key") as reading:
            chunks = readings.chunks(reading)
            assert await anext(chunks) == sample(5 * MIB)[: 64 * 1024]
            main.flows.set()
            await turns()
            # It reads no further, so no more is fetched than a few chunks, and the cache has nothing whole.
            assert await keys(cache) == []
            assert len(store._tasks) == 1
            rest = [chunk async for chunk in chunks]
            assert b"".join(rest) == sample(5 * MIB)[64 * 1024 :]

    run(scenario, Gated(MemoryBackend()), MemoryBackend())


@pytest.mark.parametrize("broken", [False, True])
def test_a_slow_first_reader_is_left_behind_when_others_wait_and_reads_on(broken: bool) -> None:
    async def scenario(store: Caching, main: Gated, _: Faulty) -> None:
        await main.put("key", sample(5 * MIB))
        async with store.get("key") as reading:
            chunks = readings.chunks(reading)
            first = await anext(chunks)
            assert await read(store, "key") == sample(5 * MIB)
            assert first + b"".join([chunk async for chunk in chunks]) == sample(5 * MIB)
        assert main.opened == (3 if broken else 1)

    faults = [Fault("put", at=Chunk(60))] if broken else []
    run(scenario, Gated(MemoryBackend()), Faulty(MemoryBackend(), faults))


def test_a_main_store_that_breaks_off_is_no_entry_and_an_error() -> None:
    async def scenario(store: Caching, main: Backend, cache: Backend) -> None:
        await main.put("key", OLD)
        with pytest.raises(Unavailable, match="this fault was asked for"):
            await read(store, "key")
        await settled(store)
        assert await keys(cache) == []
        assert await read(store, "key") == OLD

    run(scenario, Faulty(MemoryBackend(), [Fault("get", at=Chunk(5))]), MemoryBackend())


@pytest.mark.parametrize("size", [100_000, LARGE])
def test_a_main_store_that_ends_too_early_is_no_entry(size: int) -> None:
    async def scenario(store: Caching, main: Backend, cache: Backend) -> None:
        await main.put("key", sample(size))
        try:
            assert await read(store, "key") == sample(size), "the rest is asked for again"
        except Corrupted:
            assert size == 100_000
        await settled(store)
        assert await keys(cache) == []

    run(scenario, Faulty(MemoryBackend(), [Fault("get", at=Chunk(2), error=None)]), MemoryBackend())


# Writes


Write = Callable[[Backend], Awaitable[object]]


async def _upload(store: Backend) -> None:
    upload = await store.uploads.begin("key", PutOptions())
    part = await store.uploads.put_part(upload.upload_id, 1, NEW, PutOptions())
    await store.uploads.complete(upload.upload_id, [(1, part.etag)])


WRITES: dict[str, Write] = {
    "put": lambda store: store.put("key", NEW),
    "copy": lambda store: store.copy("source", "key"),
    "upload": _upload,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("ttl", [None, 1000])
def test_no_reading_is_stale_after_a_write(write: Write, ttl: float | None) -> None:
    async def scenario(store: Caching, *_: Backend) -> None:
        await store.put("key", OLD)
        await store.put("source", NEW)
        await cached(store, "key")
        await write(store)
        assert await read(store, "key") == NEW
        await cached(store, "key")
        assert (await store.head("key")).digests == (await store.head("source")).digests
        assert await store.delete_many(["key"]) == [None]
        with pytest.raises(NotFound):
            await read(store, "key")
        await store.put("key", OLD)
        await cached(store, "key")
        await store.delete("key")
        with pytest.raises(NotFound):
            await store.head("key")

    run(scenario, MemoryBackend(), MemoryBackend(), ttl=ttl)


@pytest.mark.parametrize("size", [5, LARGE])
@pytest.mark.parametrize("where", ["opening", "flowing"])
def test_a_fetch_that_a_write_overtakes_leaves_no_entry(size: int, where: str) -> None:
    async def scenario(store: Caching, main: Gated, cache: Backend) -> None:
        await main.put("key", sample(size, 1))
        gate = main.opens if where == "opening" else main.flows
        gate.clear()
        reading = asyncio.create_task(read(store, "key"))
        await turns()
        await store.put("key", NEW)
        gate.set()
        assert await reading in {sample(size, 1), NEW}
        assert await read(store, "key") == NEW
        await settled(store)
        assert (await store.head("key")).size == LARGE
        assert await read(store, "key") == NEW
        assert len(await keys(cache)) <= 1

    run(scenario, Gated(MemoryBackend()), MemoryBackend(), ttl=1000)


def test_old_bytes_on_their_way_into_the_cache_are_not_read_after_a_write() -> None:
    async def scenario(store: Caching, main: Backend, cache: Slow) -> None:
        await main.put("key", OLD)
        assert await read(store, "key") == OLD
        await cache.come.wait()
        # They have arrived in the cache store, which has not said so yet.
        await store.put("key", NEW)
        assert await read(store, "key") == NEW
        cache.may.set()
        await settled(store)
        assert await keys(cache) == []
        assert await read(store, "key") == NEW
        await settled(store)

    run(scenario, MemoryBackend(), Slow(MemoryBackend()), ttl=1000)


def test_old_bytes_that_come_back_in_a_shared_store_are_not_read_either(tmp_path: Path) -> None:
    async def scenario(store: Caching, main: Backend, cache: Slow) -> None:
        await main.put("key", OLD)
        assert await read(store, "key") == OLD
        await cache.come.wait()
        await store.put("key", NEW)
        assert await read(store, "key") == NEW
        cache.may.set()
        await settled(store)
        assert await keys(cache) == []

    run(scenario, MemoryBackend(), Slow(EngineBackend(tmp_path, durability="relaxed")), ttl=1000)


@pytest.mark.parametrize("size", [5, LARGE])
def test_a_fetch_during_a_write_leaves_no_entry_after_it(size: int) -> None:
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield NEW
        begun.set()
        await go_on.wait()

    async def scenario(store: Caching, _: Backend, cache: Backend) -> None:
        await store.put("key", sample(size, 1))
        await cached(store, "key")
        writing = asyncio.create_task(store.put("key", body()))
        await begun.wait()
        assert await keys(cache) == [], "a server that dies now leaves nothing that could become stale"
        await cached(store, "key")
        assert await keys(cache) == [name_of("key")]
        go_on.set()
        await writing
        assert await keys(cache) == []
        assert await read(store, "key") == NEW
        await settled(store)

    run(scenario, MemoryBackend(), MemoryBackend(), ttl=1000)


def test_an_entry_that_is_being_read_from_the_cache_store_does_not_outlive_a_write(tmp_path: Path) -> None:
    main, cache = MemoryBackend(), Gated(EngineBackend(tmp_path, durability="relaxed"))

    async def scenario() -> None:
        await main.put("key", b"old")
        async with Caching(main, cache, ttl=1000) as store:
            await cached(store, "key")
        async with Caching(main, cache, ttl=1000) as store:
            cache.flows.clear()
            asking = asyncio.create_task(store.head("key"))
            await cache.asked.wait()
            await turns()
            info = await store.put("key", b"newer")
            cache.flows.set()
            await asking
            assert await store.head("key") == info
            assert await read(store, "key") == b"newer"
            await settled(store)

    asyncio.run(scenario())


async def _cancelled(store: Backend) -> None:
    body = Stalling(NEW)
    writing = asyncio.create_task(store.put("key", body))
    await body.stalled.wait()
    writing.cancel()
    await asyncio.wait([writing])


async def _failed(store: Backend) -> None:
    with pytest.raises(BodyFailed):
        await store.put("key", failing(NEW))


@pytest.mark.parametrize("write", [_cancelled, _failed], ids=["cancelled", "failed"])
def test_a_write_that_does_not_come_to_its_end_forgets_the_entry(write: Write) -> None:
    async def scenario(store: Caching, main: Faulty, cache: Backend) -> None:
        await store.put("key", OLD)
        await cached(store, "key")
        await write(store)
        assert await keys(cache) == []
        assert await read(store, "key") == OLD
        assert main.calls["get"] == 2
        await settled(store)

    run(scenario, Faulty(MemoryBackend()), MemoryBackend(), ttl=1000)


def test_a_write_whose_outcome_is_unknown_is_followed_by_the_truth() -> None:
    async def scenario(store: Caching, *_: Backend) -> None:
        await store.put("key", OLD)
        await cached(store, "key")
        with pytest.raises(Unavailable):
            await store.put("key", NEW)
        assert await read(store, "key") == NEW
        await settled(store)

    run(scenario, Faulty(MemoryBackend(), [Fault("put", call=2, at=After())]), MemoryBackend(), ttl=1000)


@pytest.mark.parametrize("size", [5, LARGE])
def test_readers_see_each_version_in_turn_while_writers_write(size: int) -> None:
    """After the acknowledgement of a version no reading that begins later has an older one."""
    acknowledged = 0

    async def scenario(store: Caching, *_: Backend) -> None:
        nonlocal acknowledged
        await store.put("key", _version(0, size))
        done = asyncio.Event()

        async def watch() -> int:
            seen = 0
            while not done.is_set():
                least = acknowledged
                number = int((await read(store, "key"))[:8], 16)
                assert number >= least
                seen += 1
                await asyncio.sleep(0)
            return seen

        watchers = [asyncio.create_task(watch()) for _ in range(4)]
        try:
            for number in range(1, 40):
                await store.put("key", chunked(_version(number, size)))
                acknowledged = number
                await turns(5)
        finally:
            done.set()
        assert sum(await asyncio.gather(*watchers)) > 0
        await settled(store)

    run(scenario, Gated(MemoryBackend()), MemoryBackend(), ttl=1000, max_bytes=2 * LARGE)


def _version(number: int, size: int) -> bytes:
    return f"{number:08x}".encode() + sample(size)


# Age


def test_without_a_ttl_every_reading_is_of_the_current_version() -> None:
    async def scenario(store: Caching, main: Faulty, cache: Backend) -> None:
        await main.put("key", OLD)
        await cached(store, "key")
        new = await main.put("key", NEW)
        assert await found(store, "key") == (new, NEW)
        await settled(store)
        assert len(await keys(cache)) == 1
        await main.delete("key")
        with pytest.raises(NotFound):
            await read(store, "key")
        assert await keys(cache) == []

    run(scenario, Faulty(MemoryBackend()), MemoryBackend())


def test_within_its_ttl_an_entry_is_used_unasked_and_then_checked() -> None:
    clock = Clock()

    async def scenario(store: Caching, main: Faulty, _: Backend) -> None:
        await main.put("key", OLD)
        await cached(store, "key")
        clock.now += 9.9
        await main.put("other", b"1")
        assert await read(store, "key") == OLD
        assert (await store.head("key")).size == LARGE
        assert (main.calls["head"], main.calls["get"]) == (0, 1)
        clock.now += 0.2
        assert await read(store, "key") == OLD
        assert (main.calls["head"], main.calls["get"]) == (1, 1)
        # It was found to be current, so it counts from then.
        clock.now += 9.9
        assert await read(store, "key") == OLD
        assert main.calls["head"] == 1
        await main.put("key", NEW)
        clock.now += 0.2
        assert await read(store, "key") == NEW
        await settled(store)
        clock.now -= 5
        await read(store, "key")
        assert main.calls["head"] == 3, "an entry from the future is no younger than others"

    run(scenario, Faulty(MemoryBackend()), MemoryBackend(), ttl=10, clock=clock)


def test_a_head_keeps_an_entry_young() -> None:
    clock = Clock()

    async def scenario(store: Caching, main: Faulty, _: Backend) -> None:
        await main.put("key", OLD)
        await cached(store, "key")
        clock.now += 11
        await store.head("key")
        assert await read(store, "key") == OLD
        assert main.calls["head"] == 1

    run(scenario, Faulty(MemoryBackend()), MemoryBackend(), ttl=10, clock=clock)


def test_the_age_of_an_entry_counts_from_before_it_was_fetched() -> None:
    clock = Clock()

    async def scenario(store: Caching, main: Gated, _: Backend) -> None:
        await main.put("key", OLD)
        main.opens.clear()
        reading = asyncio.create_task(read(store, "key"))
        await turns()
        clock.now += 11
        main.opens.set()
        await reading
        await settled(store)
        await main.put("key", NEW)
        assert await read(store, "key") == NEW
        await settled(store)

    run(scenario, Gated(MemoryBackend()), MemoryBackend(), ttl=10, clock=clock)


def test_a_main_store_that_is_away_fails_reads_that_have_to_ask_it() -> None:
    clock = Clock()

    async def scenario(store: Caching, main: Leaving, _: Backend) -> None:
        await store.put("key", OLD)
        await cached(store, "key")
        main.leave()
        assert await read(store, "key") == OLD
        for _round in range(2):
            with pytest.raises(Unavailable):
                await read(store, "cold")
        clock.now += 11
        with pytest.raises(Unavailable):
            await read(store, "key")
        with pytest.raises(Unavailable):
            await store.check()
        main.come_back()
        assert await read(store, "key") == OLD

    run(scenario, Leaving(MemoryBackend()), MemoryBackend(), ttl=10, clock=clock)


# Size


async def _used(cache: Backend) -> int:
    return sum([(await cache.head(key)).size for key in await keys(cache, ROOM)])


def test_the_cache_never_holds_more_than_it_may() -> None:
    limit = 1_000_000

    class Measured(Forwarding):
        most = 0

        async def put(self, key: str, body: Any, options: PutOptions = PutOptions()) -> Any:  # noqa: B008  frozen
            info = await super().put(key, body, options)
            Measured.most = max(Measured.most, await _used(self._inner))
            return info

    async def scenario(store: Caching, main: Backend, cache: Backend) -> None:
        bodies = {f"key/{number}": sample(50_000 * (number % 7) + number, number) for number in range(30)}
        for key, body in bodies.items():
            await main.put(key, body)
        for _round in range(3):
            waiting = list(bodies)
            while waiting:
                now, waiting = waiting[:7], waiting[7:]
                assert await asyncio.gather(*(read(store, key) for key in now)) == [bodies[key] for key in now]
            await settled(store)
        assert store._fetching is not None
        assert limit * 0.6 < await _used(cache) == store._fetching.shelf._used <= limit

    run(scenario, MemoryBackend(), Measured(MemoryBackend()), max_bytes=limit)
    assert 0 < Measured.most <= limit


def test_what_is_on_its_way_into_a_shared_store_is_counted_once(tmp_path: Path) -> None:
    async def scenario(store: Caching, main: Backend, cache: Slow) -> None:
        await main.put("key", OLD)
        await read(store, "key")
        await cache.come.wait()
        reading = asyncio.create_task(read(store, "key"))
        await turns()
        cache.may.set()
        assert await reading == OLD
        await settled(store)
        assert store._fetching is not None
        assert store._fetching.shelf._used == await _used(cache)

    run(scenario, MemoryBackend(), Slow(EngineBackend(tmp_path, durability="relaxed")), ttl=1000)


def test_what_was_not_read_for_the_longest_time_goes_first() -> None:
    async def scenario(store: Caching, main: Backend, cache: Backend) -> None:
        for key in "abcd":
            await main.put(key, sample(300_000))
        for key in "abcad":
            await cached(store, key)
        assert sorted(await keys(cache)) == sorted(map(name_of, "acd"))

    run(scenario, MemoryBackend(), MemoryBackend(), max_bytes=1_000_000)


def test_an_object_larger_than_the_cache_passes_it_by() -> None:
    async def scenario(store: Caching, main: Faulty, cache: Backend) -> None:
        await main.put("small", b"1")
        await cached(store, "small")
        await main.put("key", OLD)
        for _round in range(3):
            assert await read(store, "key") == OLD
            assert await read(store, "key", Bounded(3, 9)) == OLD[3:9]
        assert await keys(cache) == [name_of("small")]
        # It is known by then, so each reading is one of the main store.
        assert main.calls["get"] == 1 + 7
        await main.put("key", b"small now")
        await read(store, "key")
        await cached(store, "key")
        assert len(await keys(cache)) == 2

    run(scenario, Faulty(MemoryBackend()), MemoryBackend(), max_bytes=100_000)


def test_a_part_of_a_huge_cold_object_is_fetched_alone() -> None:
    async def scenario(store: Caching, main: Faulty, cache: Backend) -> None:
        await main.put("huge", sample(9 * MIB))
        await main.put("key", OLD)
        assert await read(store, "huge", Last(10)) == sample(9 * MIB)[-10:]
        await settled(store)
        assert await keys(cache) == []
        assert await read(store, "key", Last(10)) == OLD[-10:]
        await settled(store)
        assert await keys(cache) == [name_of("key")]
        await cached(store, "huge")
        assert await read(store, "huge", Last(10)) == sample(9 * MIB)[-10:]
        assert main.calls["get"] == 3

    run(scenario, Faulty(MemoryBackend()), MemoryBackend())


def test_a_persistent_cache_is_known_again_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    main = Faulty(MemoryBackend())

    def open_one(**options: Any) -> Caching:
        return Caching(main, EngineBackend(tmp_path, durability="relaxed"), ttl=10, clock=clock, **options)

    async def scenario() -> None:
        for number in range(5):
            await main.put(f"key/{number}", sample(100_000, number))
        async with open_one() as store:
            for number in range(5):
                await cached(store, f"key/{number}")
        clock.now += 5
        async with open_one() as store:
            for number in range(5):
                assert await read(store, f"key/{number}") == sample(100_000, number)
            assert (main.calls["get"], main.calls["head"]) == (5, 0), "their age was kept too"
        async with open_one(max_bytes=250_000) as store:
            assert await keys(store._cache) == sorted([name_of("key/3"), name_of("key/4")])
            clock.now += 6
            assert await read(store, "key/4") == sample(100_000, 4)
            assert (main.calls["get"], main.calls["head"]) == (5, 1)

    asyncio.run(scenario())


def test_more_entries_than_are_known_at_once_are_removed_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstore.wrappers.caching.shelf.MOST_ENTRIES", 3)
    monkeypatch.setattr("objectstore.wrappers.caching.shelf._PAGE", 2)
    cache, main = MemoryBackend({"theirs": b"1"}), MemoryBackend()

    async def scenario() -> None:
        for number in range(7):
            await main.put(f"key/{number}", b"1")
            await cache.put(name_of(f"key/{number}"), b"1")
        async with Caching(main, cache) as store:
            assert len(await keys(cache, ROOM)) == 3
            for number in range(7):
                await cached(store, f"key/{number}")
            assert len(await keys(cache, ROOM)) == 3
        assert (await cache.head("theirs")).size == 1

    asyncio.run(scenario())


def test_heads_that_are_not_in_memory_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("objectstore.wrappers.caching.shelf.MOST_HEADS", 2)

    async def scenario(store: Caching, main: Faulty, cache: Backend) -> None:
        for number in range(5):
            await main.put(f"key/{number}", sample(1000, number))
            await cached(store, f"key/{number}")
        for number in range(5):
            assert await read(store, f"key/{number}") == sample(1000, number)
        assert main.calls["get"] == 5
        assert store._fetching is not None
        assert store._fetching.shelf._used == await _used(cache)

    run(scenario, Faulty(MemoryBackend()), MemoryBackend())


def test_what_could_not_be_removed_is_removed_with_what_is_next() -> None:
    async def scenario(store: Caching, _: Backend, cache: Leaving) -> None:
        for number in range(5):
            await store.put(f"key/{number}", b"1")
            await cached(store, f"key/{number}")
        cache.leave()
        for number in range(4):
            await store.put(f"key/{number}", b"2")
        cache.come_back()
        assert len(await keys(cache)) == 5
        await store.delete("key/4")
        assert await keys(cache) == []

    run(scenario, MemoryBackend(), Leaving(MemoryBackend()), ttl=1000)


def test_a_completion_that_is_cancelled_and_goes_on_leaves_no_stale_entry() -> None:
    async def scenario(store: Caching, main: Slow, _: Backend) -> None:
        main.may.set()
        await store.put("key", OLD)
        await cached(store, "key")
        upload = await store.uploads.begin("key", PutOptions())
        part = await store.uploads.put_part(upload.upload_id, 1, NEW, PutOptions())
        main.may.clear()
        main.come.clear()
        completing = asyncio.create_task(store.uploads.complete(upload.upload_id, [(1, part.etag)]))
        await main.come.wait()
        completing.cancel()
        await asyncio.wait([completing])
        await turns()
        main.may.set()
        await settled(store)
        assert await read(store, "key") == NEW

    run(scenario, _Staging(MemoryBackend()), MemoryBackend(), ttl=1000)


class _Staging(Slow):
    """Uploads end with a put on this store, and take as long."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._staged = StagedUploads(
            self, MemoryBackend(), clock=lambda: datetime.now(UTC), new_id=lambda: secrets.token_hex(8)
        )

    @property
    def uploads(self) -> Uploads:
        return self._staged


# A cache that fails


@pytest.mark.parametrize("size", [0, 5, LARGE])
def test_a_cache_that_is_away_fails_neither_reads_nor_writes(size: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: Caching, _: Backend, cache: Leaving) -> None:
        await store.put("key", sample(size))
        await cached(store, "key")
        cache.leave()
        assert await read(store, "key") == sample(size)
        await store.put("key", NEW)
        await store.put("other", NEW)
        for key in ("key", "other"):
            assert await read(store, key) == await read(store, key) == NEW
        await store.check()
        cache.come_back()
        assert await read(store, "key") == NEW
        await store.delete("key")
        with pytest.raises(NotFound):
            await read(store, "key")
        await settled(store)

    with caplog.at_level(logging.WARNING, "objectstore.caching"):
        run(scenario, MemoryBackend(), Leaving(MemoryBackend()), ttl=1000)
    assert "the cache cannot" in caplog.text


@pytest.mark.parametrize("error", [StorageFull("full"), Unavailable("away")], ids=["full", "away"])
@pytest.mark.parametrize("at", [1, 3, 100])
@pytest.mark.parametrize("size", [5, LARGE])
def test_a_cache_that_fails_while_it_is_filled_does_not_fail_the_reading(
    error: ObjectStoreError, at: int, size: int
) -> None:
    async def scenario(store: Caching, main: Faulty, cache: Backend) -> None:
        await main.put("key", sample(size))
        assert await read(store, "key") == sample(size)
        await settled(store)
        assert main.calls["get"] == 1
        assert await keys(cache) == []
        assert store._fetching is not None
        assert store._fetching.shelf._used == 0

    faulty = Faulty(MemoryBackend(), [Fault("put", at=Chunk(at), error=error)])
    run(scenario, Faulty(MemoryBackend()), faulty)


def test_an_entry_that_breaks_off_is_continued_from_the_main_store() -> None:
    async def scenario(store: Caching, main: Backend, _: Backend) -> None:
        await main.put("key", OLD)
        await cached(store, "key")
        for wanted in (None, Bounded(1000, LARGE - 1000)):
            start, stop = (0, LARGE) if wanted is None else (wanted.start, wanted.stop)
            assert await read(store, "key", wanted) == OLD[start:stop]

    broken = [Fault("get", call=call, at=Chunk(3), error=error) for call, error in ((1, Corrupted("bad")), (2, None))]
    run(scenario, MemoryBackend(), Faulty(MemoryBackend(), broken))


def test_an_entry_that_breaks_off_after_a_write_is_an_error_and_no_mixture() -> None:
    async def scenario(store: Caching, main: Backend, _: Backend) -> None:
        await main.put("key", OLD)
        await cached(store, "key")
        async with store.get("key") as reading:
            await main.put("key", NEW)
            with pytest.raises(Unavailable, match="was written while it was read"):
                await readings.read_all(reading)

    run(scenario, MemoryBackend(), Faulty(MemoryBackend(), [Fault("get", at=Chunk(3))]))


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"00000002{}", b"00000003nul", b"ffffffff"])
def test_garbage_in_the_cache_is_no_entry(garbage: bytes, tmp_path: Path) -> None:
    async def scenario(store: Caching, main: Backend, cache: Backend) -> None:
        await main.put("key", OLD)
        await cache.put(name_of("key"), garbage)
        assert await read(store, "key") == OLD
        await cached(store, "key")
        assert (await cache.head(name_of("key"))).size > LARGE

    run(scenario, MemoryBackend(), EngineBackend(tmp_path, durability="relaxed"), ttl=1000)


def test_entries_that_others_remove_or_replace_are_fetched_again() -> None:
    async def scenario(store: Caching, main: Backend, cache: Backend) -> None:
        await main.put("key", OLD)
        await cached(store, "key")
        await cache.delete(name_of("key"))
        assert await read(store, "key") == OLD
        await settled(store)
        # Of another process, say, with a head of another size.
        await cache.put(name_of("key"), sample(2 * LARGE, 3))
        assert await read(store, "key") == OLD
        await settled(store)
        assert store._fetching is not None
        assert store._fetching.shelf._used == await _used(cache)

    run(scenario, MemoryBackend(), MemoryBackend(), ttl=1000)


def test_a_cache_that_cannot_be_reached_at_the_start_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    cache = Leaving(MemoryBackend())
    cache.leave()

    async def scenario(store: Caching, *_: Backend) -> None:
        await store.put("key", OLD)
        assert await read(store, "key") == OLD
        assert (await store.head("key")).size == LARGE

    run(scenario, MemoryBackend(), cache)
    assert "left out until the next start" in caplog.text


# Two caches, as in two processes


def test_two_on_one_cache_store_share_its_entries_and_their_ends(tmp_path: Path) -> None:
    clock = Clock()
    main = Faulty(MemoryBackend())

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            one, other = [
                await stack.enter_async_context(
                    Caching(main, EngineBackend(tmp_path, durability="relaxed"), ttl=10, clock=clock)
                )
                for _ in range(2)
            ]
            await one.put("key", OLD)
            await cached(one, "key")
            assert await read(other, "key") == OLD
            assert main.calls["get"] == 1
            await one.put("key", NEW)
            assert await read(one, "key") == NEW
            await settled(one)
            # What one has removed or replaced, the other cannot read any more.
            assert await read(other, "key") == NEW
            await settled(other)

    asyncio.run(scenario())


# Being set up


def test_it_is_what_the_main_store_is() -> None:
    class Able(Forwarding):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(name="Able", conditions=False, notes=("main",))

    told = Caching(Able(MemoryBackend()), MemoryBackend(), ttl=1.5).capabilities
    assert (told.name, told.persistent, told.shared, told.conditions) == ("CachingStore", True, True, False)
    assert told.notes[0] == "main"
    assert "1.5 s" in told.notes[1]


def test_a_store_that_cannot_read_ranges_is_no_cache() -> None:
    class Unable(Forwarding):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(name="GzipStore", ranges=False)

    async def scenario(*_: Backend) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(ConfigurationError, match="GzipStore cannot be a cache_store"):
        run(scenario, MemoryBackend(), Unable(MemoryBackend()))


def test_the_type_takes_sizes_and_durations() -> None:
    [kind] = [one for one in COPIES if "CachingStore" in one.names]
    size, ttl = (parameter.kind.parse for parameter in kind.parameters)
    assert size("1GiB") == 1024**3
    assert [ttl(value) for value in (0, 1.5, "90", "5m")] == [0, 1.5, 90, 300]
    for wrong in (-1, "soon", float("inf"), float("nan")):
        with pytest.raises(ValueError):  # noqa: PT011  what a kind says of any wrong value
            ttl(wrong)
    for mistyped in (True, None, ("1",)):
        with pytest.raises(TypeError):
            ttl(mistyped)
    one, other = MemoryBackend(), MemoryBackend()
    assert isinstance(kind.build({"max_bytes": 5, "ttl": 1.0}, [one, other]), Caching)
    with pytest.raises(ConfigurationError, match="the same store"):
        kind.build({}, [one, one])


def test_closing_ends_a_fetch_that_is_under_way() -> None:
    async def scenario(store: Caching, main: Gated, _: Backend) -> None:
        await main.put("key", sample(5 * MIB))
        main.flows.clear()
        reading = asyncio.create_task(read(store, "key"))
        await turns()
        assert store._tasks
        reading.cancel()

    run(scenario, Gated(MemoryBackend()), MemoryBackend())


def test_an_inline_answer_is_given_before_the_cache_has_it() -> None:
    async def scenario(store: Caching, main: Backend, cache: Slow) -> None:
        await main.put("key", b"small")
        async with store.get("key") as reading:
            assert reading.content == Inline(b"small")
        cache.may.set()
        await settled(store)

    run(scenario, MemoryBackend(), Slow(MemoryBackend()))
