"""A write that does not come to its end leaves the old object, or none, and no trace."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import Unavailable
from objectstore.testing.suite.harness import (
    LARGE,
    MIB,
    SMALL,
    BodyFailed,
    Stalling,
    Suite,
    chunked,
    contract,
    failing,
    found,
    keys,
    read,
    sample,
    unchanged,
)
from objectstore.values import ONLY_IF_ABSENT, PutOptions

BREAKS: Final = [0, 1, SMALL, LARGE, 2 * MIB]
# Turns of the loop after which a write is cancelled; those past its end find it done.
TURNS: Final = [*range(12), 20, 50]


class FailureTests(Suite):
    @pytest.mark.parametrize("size", BREAKS)
    @pytest.mark.parametrize("announced", [None, 3 * MIB])
    @contract("write")
    async def test_a_body_that_fails_leaves_no_object(self, backend: Backend, size: int, announced: int | None) -> None:
        with pytest.raises(BodyFailed):
            await backend.put("key", failing(sample(size)), PutOptions(size=announced))
        await unchanged(backend, "key", None)

    @pytest.mark.parametrize("size", BREAKS)
    @pytest.mark.parametrize("old", [SMALL, LARGE])
    @contract("write")
    async def test_a_body_that_fails_leaves_the_old_object(self, backend: Backend, size: int, old: int) -> None:
        await backend.put("key", sample(old, 1))
        before = await found(backend, "key")
        with pytest.raises(BodyFailed):
            await backend.put("key", failing(sample(size)))
        await unchanged(backend, "key", before)

    @contract("write")
    async def test_an_error_of_the_store_passes_through_a_body_unchanged(self, backend: Backend) -> None:
        cause = Unavailable("the source is away")
        with pytest.raises(Unavailable) as raised:
            await backend.put("key", failing(sample(LARGE), cause))
        assert raised.value is cause
        await unchanged(backend, "key", None)

    @pytest.mark.parametrize("size", BREAKS)
    @contract("write")
    async def test_a_cancelled_body_leaves_no_object(self, backend: Backend, size: int) -> None:
        body = Stalling(sample(size))
        await self._cancel_when_stalled(backend, body)
        await unchanged(backend, "key", None)

    @pytest.mark.parametrize("size", BREAKS)
    @contract("write")
    async def test_a_cancelled_body_leaves_the_old_object(self, backend: Backend, size: int) -> None:
        await backend.put("key", sample(LARGE, 1))
        before = await found(backend, "key")
        await self._cancel_when_stalled(backend, Stalling(sample(size)))
        await unchanged(backend, "key", before)

    async def _cancel_when_stalled(self, backend: Backend, body: Stalling) -> None:
        task = asyncio.create_task(backend.put("key", body))
        await body.stalled.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    @pytest.mark.parametrize("turns", TURNS)
    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @contract("write")
    async def test_a_write_cancelled_anywhere_is_done_or_not(self, backend: Backend, turns: int, size: int) -> None:
        old = await backend.put("key", sample(SMALL, 1))
        task = asyncio.create_task(backend.put("key", chunked(sample(size, 2))))
        await _cancel_after(turns, task)
        stored = await found(backend, "key")
        assert stored is not None
        info, data = stored
        assert (info == old and data == sample(SMALL, 1)) or (info.etag != old.etag and data == sample(size, 2))
        assert info.size == len(data)

    @pytest.mark.parametrize("turns", TURNS)
    @contract("write", "delete")
    async def test_a_delete_cancelled_anywhere_is_done_or_not(self, backend: Backend, turns: int) -> None:
        old = await backend.put("key", sample(LARGE))
        await _cancel_after(turns, asyncio.create_task(backend.delete("key")))
        stored = await found(backend, "key")
        assert stored in (None, (old, sample(LARGE)))
        await unchanged(backend, "key", stored)

    @pytest.mark.parametrize("turns", TURNS)
    @contract("write")
    async def test_a_copy_cancelled_anywhere_is_done_or_not(self, backend: Backend, turns: int) -> None:
        await backend.put("source", sample(LARGE))
        await _cancel_after(turns, asyncio.create_task(backend.copy("source", "key")))
        stored = await found(backend, "key")
        assert stored is None or stored[1] == sample(LARGE)
        await unchanged(backend, "key", stored)

    @contract("write")
    async def test_a_failed_write_does_not_stand_in_the_way_of_the_next(self, backend: Backend) -> None:
        for size in (SMALL, LARGE):
            with pytest.raises(BodyFailed):
                await backend.put("a/b", failing(sample(size)))
            await self._cancel_when_stalled(backend, Stalling(sample(size)))
            await backend.put("a", sample(size))
            assert await read(backend, "a") == sample(size)
        if backend.capabilities.listing:
            assert await keys(backend) == ["a"]

    @pytest.mark.parametrize("size", BREAKS)
    @contract("write", "conditions")
    async def test_a_key_whose_creation_failed_is_still_absent(self, backend: Backend, size: int) -> None:
        with pytest.raises(BodyFailed):
            await backend.put("key", failing(sample(size)), PutOptions(conditions=ONLY_IF_ABSENT))
        await backend.put("key", sample(size), PutOptions(conditions=ONLY_IF_ABSENT))
        assert await read(backend, "key") == sample(size)


async def _cancel_after(turns: int, task: asyncio.Task[object] | asyncio.Task[None]) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
