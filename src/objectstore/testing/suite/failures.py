"""A write that does not come to its end leaves the old object, or none, and no trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import Unavailable
from objectstore.testing.suite.harness import (
    LARGE,
    MIB,
    SMALL,
    BodyFailed,
    Capability,
    Stalling,
    Suite,
    chunked,
    contract,
    failing,
    found,
    keys,
    on_folder,
    read,
    require,
    sample,
    unchanged,
)
from objectstore.values import ONLY_IF_ABSENT, PutOptions

BREAKS: Final = [0, 1, SMALL, LARGE, 2 * MIB]
# Turns of the loop after which a write is cancelled; those past its end find it done.
TURNS: Final = [*range(8), 10, 15, 30]


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
    @contract("write", "overwrite")
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
    @contract("write", "overwrite")
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
    @on_folder
    async def test_a_write_cancelled_anywhere_is_done_or_not(self, folder: Path, turns: int, size: int) -> None:
        async with self._followed(folder, "write") as backend:
            old = (await backend.put("key", sample(SMALL, 1)), sample(SMALL, 1))
            await _cancel_after(turns, backend.put("key", chunked(sample(size, 2))))
            stored = await found(backend, "key")
            assert stored is not None
            assert stored == old or (stored[0].etag != old[0].etag and stored[1] == sample(size, 2))

    @pytest.mark.parametrize("turns", TURNS)
    @on_folder
    async def test_a_delete_cancelled_anywhere_is_done_or_not(self, folder: Path, turns: int) -> None:
        async with self._followed(folder, "write", "delete") as backend:
            old = await backend.put("key", sample(LARGE))
            await _cancel_after(turns, backend.delete("key"))
            assert await found(backend, "key") in (None, (old, sample(LARGE)))

    @pytest.mark.parametrize("turns", TURNS)
    @on_folder
    async def test_a_copy_cancelled_anywhere_is_done_or_not(self, folder: Path, turns: int) -> None:
        async with self._followed(folder, "write") as backend:
            await backend.put("source", sample(LARGE))
            await _cancel_after(turns, backend.copy("source", "key"))
            stored = await found(backend, "key")
            assert stored is None or stored[1] == sample(LARGE)

    @asynccontextmanager
    async def _followed(self, folder: Path, *needs: Capability) -> AsyncIterator[Backend]:
        """A backend; what is done to it may take effect a little later, but never after an acknowledged write."""
        async with self.backend(folder) as backend:
            require(backend, "overwrite", *needs)
            yield backend
            info = await backend.put("key", b"next")
            await unchanged(backend, "key", (info, b"next"))
        if backend.capabilities.persistent:
            async with self.backend(folder) as backend:
                assert await found(backend, "key") == (info, b"next")

    @contract("write", "overwrite")
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


async def _cancel_after(turns: int, call: Coroutine[Any, Any, object]) -> None:
    task = asyncio.create_task(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
