"""What the memory backend promises beyond the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.backends.reading import read_all
from objectstore.errors import InvalidKey
from objectstore.values import Inline, ListQuery, PutOptions

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A second later every time it is asked."""

    def __init__(self) -> None:
        self._times: Iterator[datetime] = (START + timedelta(seconds=turn) for turn in range(1000))

    def __call__(self) -> datetime:
        return next(self._times)


def test_it_begins_with_the_objects_given() -> None:
    async def scenario() -> None:
        async with MemoryBackend({"b": b"2", "a": b"1", "é": b"3"}) as backend:
            page = await backend.list(ListQuery(details=True))
            assert page.keys == ("a", "b", "é")
            assert [info.size for info in page.objects] == [1, 1, 1]
            assert all("sha-256" in info.digests for info in page.objects)
            assert len({info.etag for info in page.objects}) == 3

    asyncio.run(scenario())


def test_it_takes_a_copy_of_the_objects_given() -> None:
    async def scenario() -> None:
        given = {"a": b"1"}
        backend = MemoryBackend(given)
        given["b"] = b"2"
        await backend.put("c", b"3")
        assert (await backend.list(ListQuery())).keys == ("a", "c")
        assert given == {"a": b"1", "b": b"2"}

    asyncio.run(scenario())


def test_it_refuses_to_begin_with_what_is_no_key() -> None:
    with pytest.raises(InvalidKey):
        MemoryBackend({"": b"1"})


def test_its_clock_tells_the_times() -> None:
    async def scenario() -> None:
        backend = MemoryBackend(clock=Clock())
        first = await backend.put("key", b"1")
        second = await backend.put("key", b"2")
        assert (first.created, first.modified) == (START, START)
        assert (second.created, second.modified) == (START, START + timedelta(seconds=1))
        upload = await backend.uploads.begin("other", PutOptions())
        assert upload.begun == START + timedelta(seconds=2)

    asyncio.run(scenario())


def test_a_body_in_hand_is_kept_without_a_copy() -> None:
    async def scenario() -> None:
        body = bytes(1_000_000)
        backend = MemoryBackend()
        await backend.put("key", body)
        async with backend.get("key") as reading:
            assert isinstance(reading.content, Inline)
            assert reading.content.data is body

    asyncio.run(scenario())


def test_closing_loses_nothing() -> None:
    async def scenario() -> None:
        backend = MemoryBackend()
        async with backend:
            await backend.put("key", b"1")
            upload = await backend.uploads.begin("other", PutOptions())
        async with backend:
            async with backend.get("key") as reading:
                assert await read_all(reading) == b"1"
            assert (await backend.uploads.get(upload.upload_id)).key == "other"

    asyncio.run(scenario())


def test_two_of_them_share_nothing() -> None:
    async def scenario() -> None:
        one, other = MemoryBackend(), MemoryBackend()
        await one.put("key", b"1")
        await one.uploads.begin("key", PutOptions())
        assert (await other.list(ListQuery())).keys == ()
        assert (await other.uploads.list()).uploads == ()

    asyncio.run(scenario())


def test_it_says_that_nothing_persists() -> None:
    capabilities = MemoryBackend().capabilities
    assert (capabilities.name, capabilities.persistent, capabilities.shared) == ("DictStore", False, False)
