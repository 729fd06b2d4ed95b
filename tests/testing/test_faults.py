"""Faults come where they were asked for, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.reading import chunks, read_all
from objectstore.errors import Corrupted, NotFound, Unavailable
from objectstore.testing.faults import After, Before, Chunk, Fault, Faulty, Method
from objectstore.values import ListQuery, PutOptions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LARGE = bytes(200 * 1024)


async def _read(backend: Backend, key: str) -> bytes:
    async with backend.get(key) as opened:
        return await read_all(opened)


CALLS: dict[Method, Callable[[Backend], Awaitable[object]]] = {
    "put": lambda backend: backend.put("new", b"1"),
    "get": lambda backend: _read(backend, "key"),
    "head": lambda backend: backend.head("key"),
    "delete": lambda backend: backend.delete("key"),
    "delete_many": lambda backend: backend.delete_many(["key"]),
    "copy": lambda backend: backend.copy("key", "new"),
    "list": lambda backend: backend.list(ListQuery()),
    "check": lambda backend: backend.check(),
    "uploads.begin": lambda backend: backend.uploads.begin("new", PutOptions()),
    "uploads.put_part": lambda backend: backend.uploads.put_part("id", 1, b"1", PutOptions()),
    "uploads.get": lambda backend: backend.uploads.get("id"),
    "uploads.complete": lambda backend: backend.uploads.complete("id", []),
    "uploads.abort": lambda backend: backend.uploads.abort("id"),
    "uploads.list": lambda backend: backend.uploads.list(),
    "uploads.expire": lambda backend: backend.uploads.expire(NOW),
}


@pytest.mark.parametrize("method", CALLS)
def test_each_method_fails_at_the_call_asked_for(method: Method) -> None:
    async def scenario() -> None:
        error = Unavailable("asked for")
        backend = Faulty(MemoryBackend({"key": b"1"}), [Fault(method, call=1, error=error)])
        with pytest.raises(Unavailable) as raised:
            await CALLS[method](backend)
        assert raised.value is error
        assert backend.calls[method] == 1

    asyncio.run(scenario())


def test_a_call_that_fails_before_changes_nothing_and_the_next_succeeds() -> None:
    async def scenario() -> None:
        backend = Faulty(MemoryBackend(), [Fault("put", call=2, at=Before())])
        await backend.put("first", b"1")
        with pytest.raises(Unavailable):
            await backend.put("second", b"2")
        with pytest.raises(NotFound):
            await backend.head("second")
        await backend.put("second", b"2")
        assert backend.calls == {"put": 3, "head": 1}

    asyncio.run(scenario())


def test_a_call_that_fails_after_was_carried_out() -> None:
    async def scenario() -> None:
        backend = Faulty(MemoryBackend({"old": b""}), [Fault("put", at=After()), Fault("delete", at=After())])
        with pytest.raises(Unavailable):
            await backend.put("key", b"1")
        assert await _read(backend, "key") == b"1"
        with pytest.raises(Unavailable):
            await backend.delete("old")
        with pytest.raises(NotFound):
            await backend.head("old")

    asyncio.run(scenario())


def test_a_reading_is_cut_at_the_chunk_asked_for() -> None:
    async def scenario() -> None:
        fault = Fault("get", at=Chunk(3), error=Corrupted("asked for"))
        backend = Faulty(MemoryBackend({"key": LARGE}), [fault])
        async with backend.get("key") as opened:
            assert opened.stop == len(LARGE)
            received = chunks(opened)
            assert await anext(received) + await anext(received) == LARGE[: 2 * 64 * 1024]
            with pytest.raises(Corrupted):
                await anext(received)
        assert await _read(backend, "key") == LARGE

    asyncio.run(scenario())


def test_a_reading_cut_without_an_error_just_ends() -> None:
    async def scenario() -> None:
        backend = Faulty(MemoryBackend({"key": LARGE}), [Fault("get", at=Chunk(2), error=None)])
        assert await _read(backend, "key") == LARGE[: 64 * 1024]

    asyncio.run(scenario())


def test_a_body_is_cut_at_the_chunk_asked_for() -> None:
    async def scenario() -> None:
        backend = Faulty(MemoryBackend(), [Fault("put", at=Chunk(1)), Fault("uploads.put_part", at=Chunk(1))])
        with pytest.raises(Unavailable):
            await backend.put("key", b"body")
        with pytest.raises(NotFound):
            await backend.head("key")
        upload = await backend.uploads.begin("key", PutOptions())
        with pytest.raises(Unavailable):
            await backend.uploads.put_part(upload.upload_id, 1, b"body", PutOptions())
        assert (await backend.uploads.get(upload.upload_id)).parts == ()

    asyncio.run(scenario())


def test_faults_that_cannot_come_are_refused() -> None:
    with pytest.raises(ValueError, match="no chunks"):
        Fault("head", at=Chunk(1))
    with pytest.raises(ValueError, match="fails with an error"):
        Fault("head", error=None)
