"""What does not fit together is refused, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from backends.engine.scenes import SMALL, assert_sound
from backends.engine.test_engine_writing import Gate, held_up
from objectstore.backends.engine.backend import EngineBackend
from objectstore.errors import UploadNotFound
from objectstore.values import ListQuery, PutOptions

PLAIN = PutOptions()
LAST = "\U0010ffff"


def with_store(root: Path, act: Callable[[EngineBackend], Awaitable[None]]) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await act(backend)

    asyncio.run(run())


def test_a_part_that_comes_with_the_completion_comes_too_late(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate()
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            upload_id = (await backend.uploads.begin("key", PLAIN)).upload_id
            part = await backend.uploads.put_part(upload_id, 1, SMALL, PLAIN)
            async with held_up(backend, gate):
                completing = asyncio.create_task(backend.uploads.complete(upload_id, [(1, part.etag)]))
                for _ in range(10):
                    await asyncio.sleep(0)
                late = asyncio.create_task(backend.uploads.put_part(upload_id, 2, SMALL, PLAIN))
                await asyncio.sleep(0)
            assert (await completing).size == len(SMALL)
            with pytest.raises(UploadNotFound):
                await late

    asyncio.run(run())
    assert_sound(tmp_path / "data")


def test_a_group_after_which_no_key_can_come_ends_the_listing(tmp_path: Path) -> None:
    async def act(backend: EngineBackend) -> None:
        await backend.put("a", SMALL)
        await backend.put(f"{LAST}{LAST}b", SMALL)
        page = await backend.list(ListQuery(delimiter=LAST))
        assert (page.keys, page.prefixes, page.next_start) == (("a",), (LAST,), None)

    with_store(tmp_path / "data", act)
