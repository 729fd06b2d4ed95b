"""Halves of a store: what the one half refuses, and that the other is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from objectstore.backends.memory import MemoryBackend
from objectstore.core.keys import check_key
from objectstore.errors import InvalidKey, MethodNotAllowed, StorageFull, UploadNotFound
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.suite.harness import found, keys, read
from objectstore.values import ONLY_IF_ABSENT, ListQuery, PutOptions
from objectstore.wrappers.restricted import Readonly, Writeonly

PLAIN = PutOptions()


class TestReadonly(BackendConformance):
    def backend(self, folder: Path) -> Readonly:  # noqa: ARG002  it is in memory
        return Readonly(MemoryBackend())

    def stocked(self, folder: Path, objects: Mapping[str, bytes]) -> Readonly:  # noqa: ARG002  it is in memory
        held = {}
        for key, data in objects.items():
            with suppress(InvalidKey):
                held[check_key(key)] = data
        return Readonly(MemoryBackend(held))


def run(scenario: Callable[[MemoryBackend], Awaitable[None]]) -> None:
    asyncio.run(_run(scenario))


async def _run(scenario: Callable[[MemoryBackend], Awaitable[None]]) -> None:
    async with MemoryBackend({"key": b"1"}) as inner:
        await scenario(inner)


async def refused(call: Awaitable[Any], *allowed: str) -> None:
    with pytest.raises(MethodNotAllowed) as raised:
        await call
    assert raised.value.allowed == allowed


def test_a_read_only_store_refuses_what_changes_it_and_uploads() -> None:
    async def scenario(inner: MemoryBackend) -> None:
        store = Readonly(inner)
        upload = await inner.uploads.begin("other", PLAIN)
        part = await inner.uploads.put_part(upload.upload_id, 1, b"x", PLAIN)
        for call in (
            store.put("key", b"2"),
            store.put("new", b"2"),
            store.delete("key"),
            store.copy("key", "new"),
            store.uploads.begin("new", PLAIN),
            store.uploads.put_part(upload.upload_id, 1, b"y", PLAIN),
            store.uploads.complete(upload.upload_id, [(1, part.etag)]),
            store.uploads.abort(upload.upload_id),
        ):
            await refused(call, "GET", "HEAD")
        assert [type(one) for one in await store.delete_many(["key", "absent"])] == [MethodNotAllowed] * 2
        with pytest.raises(UploadNotFound):
            await store.uploads.get(upload.upload_id)
        assert (await store.uploads.list()).uploads == ()
        assert await store.uploads.expire(datetime.now(UTC)) == 0
        assert (await inner.uploads.get(upload.upload_id)).parts == (part,)
        assert await keys(store) == ["key"]
        assert await read(store, "key") == b"1"

    run(scenario)


def test_a_full_disk_is_no_trouble_for_reading() -> None:
    class Full(MemoryBackend):
        async def check(self) -> None:
            raise StorageFull("no room")

    async def scenario() -> None:
        await Readonly(Full()).check()
        with pytest.raises(StorageFull):
            await Writeonly(Full()).check()

    asyncio.run(scenario())


def test_a_write_only_store_refuses_to_tell_of_objects() -> None:
    async def scenario(inner: MemoryBackend) -> None:
        store = Writeonly(inner)
        for call in (
            store.head("key"),
            store.head("absent"),
            found(store, "key"),
            store.copy("key", "new"),
            store.list(ListQuery()),
        ):
            await refused(call, "PUT", "DELETE")
        assert await keys(inner) == ["key"]
        told = store.capabilities
        assert (told.name, told.listing, told.ranges, told.write, told.delete) == (
            "WriteonlyStore",
            False,
            False,
            True,
            True,
        )

    run(scenario)


def test_a_write_only_store_is_written_whole_in_parts_and_under_conditions() -> None:
    async def scenario(inner: MemoryBackend) -> None:
        store = Writeonly(inner)
        info = await store.put("new", b"22", PutOptions(conditions=ONLY_IF_ABSENT))
        assert await inner.head("new") == info
        upload = await store.uploads.begin("parts", PLAIN)
        part = await store.uploads.put_part(upload.upload_id, 1, b"333", PLAIN)
        assert (await store.uploads.get(upload.upload_id)).parts == (part,)
        await store.uploads.complete(upload.upload_id, [(1, part.etag)])
        assert await read(inner, "parts") == b"333"
        await store.delete("key")
        assert await store.delete_many(["new"]) == [None]
        assert await keys(inner) == ["parts"]

    run(scenario)
