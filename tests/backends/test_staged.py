"""Uploads over two backends: what is in the staging, and what a crash or another process may do in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.reading import read_all
from objectstore.backends.staged import StagedUploads
from objectstore.errors import InvalidPart, NotFound, StorageFull, Unavailable, UploadNotFound
from objectstore.testing.faults import After, Chunk, Fault, Faulty
from objectstore.values import (
    ONLY_IF_ABSENT,
    Body,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
)

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
PLAIN = PutOptions()


@dataclass
class Place:
    """A target and a staging, which several processes may use at once, and what is in them."""

    target: Backend = field(default_factory=MemoryBackend)
    staging: Backend = field(default_factory=MemoryBackend)
    begun: int = 0

    def process(self) -> StagedUploads:
        return StagedUploads(self.target, self.staging, clock=lambda: NOW, new_id=self.new_id)

    def new_id(self) -> str:
        self.begun += 1
        return f"id-{self.begun}"

    async def staged(self) -> Sequence[str]:
        return (await self.staging.list(ListQuery(limit=10_000))).keys

    async def read(self, key: str) -> bytes:
        async with self.target.get(key) as reading:
            return await read_all(reading)


async def begun(uploads: StagedUploads, *bodies: bytes, options: PutOptions = PLAIN) -> tuple[str, list[Part]]:
    upload = await uploads.begin("key", options)
    parts = [await uploads.put_part(upload.upload_id, number, body, PLAIN) for number, body in enumerate(bodies, 1)]
    return upload.upload_id, parts


def named(parts: Sequence[Part]) -> list[tuple[int, str]]:
    return [(part.number, part.etag) for part in parts]


class Gated(MemoryBackend):
    """Lets a write begin, tells so, and goes on when told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def put(self, key: str, body: Body, options: PutOptions = PLAIN) -> ObjectInfo:
        self.begun.set()
        await self.go_on.wait()
        return await super().put(key, body, options)


def test_the_staging_holds_the_state_and_the_parts() -> None:
    async def scenario() -> None:
        place = Place()
        await begun(place.process(), b"1", b"2")
        assert await place.staged() == ("id-1/00001", "id-1/00002", "id-1/upload")

    asyncio.run(scenario())


def test_completion_frees_the_parts_and_expiry_the_rest() -> None:
    async def scenario() -> None:
        place = Place()
        uploads = place.process()
        upload_id, parts = await begun(uploads, b"1", b"2")
        info = await uploads.complete(upload_id, named(parts))
        assert await place.staged() == ("id-1/upload",)
        assert await uploads.expire(info.modified + timedelta(seconds=1)) == 1
        assert await place.staged() == ()

    asyncio.run(scenario())


def test_abort_frees_everything() -> None:
    async def scenario() -> None:
        place = Place()
        uploads = place.process()
        upload_id, _ = await begun(uploads, b"1", b"2")
        await uploads.abort(upload_id)
        assert await place.staged() == ()

    asyncio.run(scenario())


def test_more_parts_than_fit_in_a_page_are_joined_and_freed() -> None:
    async def scenario() -> None:
        place = Place()
        uploads = place.process()
        bodies = [f"{number},".encode() for number in range(1, 2106)]
        upload_id, parts = await begun(uploads, *bodies)
        await uploads.complete(upload_id, named(parts))
        assert await place.read("key") == b"".join(bodies)
        assert await place.staged() == ("id-1/upload",)

    asyncio.run(scenario())


def test_parts_are_read_one_after_the_other() -> None:
    async def scenario() -> None:
        staging = Faulty(MemoryBackend())
        place = Place(target=Faulty(MemoryBackend(), [Fault("put", at=Chunk(2))]), staging=staging)
        uploads = place.process()
        upload_id, parts = await begun(uploads, b"1", b"2", b"3", b"4")
        before = staging.calls["get"]
        with pytest.raises(Unavailable):
            await uploads.complete(upload_id, named(parts))
        # The state, and then no more parts than were asked for; the state once more after the failure.
        assert staging.calls["get"] - before == 4

    asyncio.run(scenario())


def test_a_completion_that_fails_leaves_the_upload_as_it_was() -> None:
    async def scenario() -> None:
        full = Fault("put", error=StorageFull("no room"))
        place = Place(target=Faulty(MemoryBackend(), [full]))
        uploads = place.process()
        upload_id, parts = await begun(uploads, b"1", b"2")
        with pytest.raises(StorageFull):
            await uploads.complete(upload_id, named(parts))
        assert (await uploads.get(upload_id)).parts == tuple(parts)
        await uploads.complete(upload_id, named(parts))
        assert await place.read("key") == b"12"

    asyncio.run(scenario())


def test_a_crash_between_the_object_and_the_mark_is_made_good() -> None:
    async def scenario() -> None:
        # Writes of the staging: the state, two parts, the mark.
        staging = Faulty(MemoryBackend(), [Fault("put", call=4)])
        place = Place(staging=staging)
        create = PutOptions(conditions=ONLY_IF_ABSENT)
        upload_id, parts = await begun(place.process(), b"1", b"2", options=create)
        with pytest.raises(Unavailable):
            await place.process().complete(upload_id, named(parts))
        written = await place.target.head("key")
        assert await place.process().complete(upload_id, named(parts)) == written
        assert await place.target.head("key") == written
        assert await place.staged() == ("id-1/upload",)

    asyncio.run(scenario())


def test_an_outcome_lost_on_the_way_back_is_found_again() -> None:
    async def scenario() -> None:
        place = Place(target=Faulty(MemoryBackend(), [Fault("put", at=After())]))
        upload_id, parts = await begun(place.process(), b"1", options=PutOptions(conditions=ONLY_IF_ABSENT))
        with pytest.raises(Unavailable):
            await place.process().complete(upload_id, named(parts))
        assert await place.process().complete(upload_id, named(parts)) == await place.target.head("key")

    asyncio.run(scenario())


def test_parts_that_cannot_be_freed_do_not_fail_the_completion() -> None:
    async def scenario() -> None:
        place = Place(staging=Faulty(MemoryBackend(), [Fault("delete", call=2)]))
        uploads = place.process()
        upload_id, parts = await begun(uploads, b"1", b"2", b"3")
        info = await uploads.complete(upload_id, named(parts))
        assert await uploads.complete(upload_id, named(parts)) == info
        assert await place.staged() != ("id-1/upload",)
        await uploads.expire(info.modified + timedelta(seconds=1))
        assert await place.staged() == ()

    asyncio.run(scenario())


def test_another_process_that_completes_first_gives_its_record() -> None:
    async def scenario() -> None:
        slow = Gated()
        place = Place(target=slow)
        here = place.process()
        upload_id, parts = await begun(here, b"1", b"2")
        completing = asyncio.create_task(here.complete(upload_id, named(parts)))
        await slow.begun.wait()
        # Its parts are gone when the first goes on.
        there = Place(target=MemoryBackend(), staging=place.staging).process()
        info = await there.complete(upload_id, named(parts))
        slow.go_on.set()
        assert await completing == info

    asyncio.run(scenario())


def test_a_part_sent_again_during_completion_is_not_mixed_in() -> None:
    async def scenario() -> None:
        slow = Gated()
        place = Place(target=slow)
        uploads = place.process()
        upload_id, parts = await begun(uploads, b"1", b"2")
        completing = asyncio.create_task(uploads.complete(upload_id, named(parts)))
        await slow.begun.wait()
        again = await uploads.put_part(upload_id, 2, b"other", PLAIN)
        slow.go_on.set()
        with pytest.raises(InvalidPart):
            await completing
        with pytest.raises(NotFound):
            await slow.head("key")
        await uploads.complete(upload_id, named([parts[0], again]))
        assert await place.read("key") == b"1other"

    asyncio.run(scenario())


def test_a_completion_outlives_its_caller_and_settling_waits_for_it() -> None:
    async def scenario() -> None:
        slow = Gated()
        place = Place(target=slow)
        uploads = place.process()
        upload_id, parts = await begun(uploads, b"1", b"2")
        calling = asyncio.create_task(uploads.complete(upload_id, named(parts)))
        await slow.begun.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        slow.go_on.set()
        await uploads.settle()
        assert await place.read("key") == b"12"
        assert await place.staged() == ("id-1/upload",)

    asyncio.run(scenario())


def test_an_upload_being_completed_is_neither_expired_nor_aborted_under_its_feet() -> None:
    async def scenario() -> None:
        slow = Gated()
        place = Place(target=slow)
        uploads = place.process()
        upload_id, parts = await begun(uploads, b"1")
        completing = asyncio.create_task(uploads.complete(upload_id, named(parts)))
        await slow.begun.wait()
        assert await uploads.expire(NOW + timedelta(days=1)) == 0
        aborting = asyncio.create_task(uploads.abort(upload_id))
        slow.go_on.set()
        await completing
        with pytest.raises(UploadNotFound):
            await aborting
        assert await place.read("key") == b"1"

    asyncio.run(scenario())


def test_expiry_removes_parts_whose_upload_a_crash_took() -> None:
    async def scenario() -> None:
        place = Place()
        upload_id, _ = await begun(place.process(), b"1", b"2")
        other, _ = await begun(place.process(), b"1")
        await place.staging.delete(f"{upload_id}/upload")
        assert await place.process().expire(NOW - timedelta(days=1)) == 0
        assert await place.staged() == (f"{other}/00001", f"{other}/upload")

    asyncio.run(scenario())
