"""Assemblies without the store: when one begins, which parts it takes in, and what ends it."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backends.engine.bare import Bare, bare
from objectstore.backends.engine import intake
from objectstore.backends.engine.assembly import Assemblies
from objectstore.backends.engine.intake import Intake, Taken
from objectstore.backends.engine.operations import Body
from objectstore.backends.engine.parts import PartReader
from objectstore.backends.engine.rows import PartRow, UploadRow
from objectstore.backends.engine.upload_operations import Begin, PutPart
from objectstore.values import PutOptions

PLAIN = PutOptions()
LIMIT = 10  # bytes that go in the index
DEADLINE = 60  # seconds
SMALL, LARGE = b"small", bytes(range(40))
BODIES = (SMALL, LARGE, b"third", b"4", b"fifth")


def whole(*bodies: bytes) -> bytes:
    return b"".join(bodies)


class Noted(PartReader):
    """Tells of each part that it reads."""

    def __init__(self, store: Bare) -> None:
        super().__init__(store.directory, store.index, store.executor)
        self.read_lately: asyncio.Queue[int] = asyncio.Queue()

    async def read(self, parts: Iterable[PartRow]) -> AsyncGenerator[bytes, None]:
        for part in parts:
            self.read_lately.put_nowait(part.number)
            async for block in super().read([part]):
                yield block

    async def until(self, *numbers: int) -> None:
        """When just these are read, one after the other."""
        async with asyncio.timeout(DEADLINE):
            assert tuple([await self.read_lately.get() for _ in numbers]) == numbers
        for _ in range(9):  # time enough to read one more
            await asyncio.sleep(0)
        assert self.read_lately.empty()


@dataclass(frozen=True)
class Scene:
    store: Bare
    reader: Noted
    assemblies: Assemblies

    async def begin(self, options: PutOptions = PLAIN) -> UploadRow:
        return await self.store.writer.commit(Begin("key", options))

    async def send(self, upload: UploadRow, number: int, data: bytes | None = None) -> PartRow:
        """Store a part, and tell of it."""
        data = BODIES[number - 1] if data is None else data
        body = Body(len(data), {"sha-256": hashlib.sha256(data).digest()}, data=data)
        part = await self.store.writer.commit(PutPart(upload.id, number, body, "e", None))
        self.assemblies.arrived(upload, number)
        return part

    async def begun(self, options: PutOptions = PLAIN) -> tuple[UploadRow, list[PartRow]]:
        """An upload of which two parts are taken in."""
        upload = await self.begin(options)
        parts = [await self.send(upload, number) for number in (1, 2)]
        await self.reader.until(1, 2)
        return upload, parts

    async def finish(self, upload: UploadRow, parts: Sequence[PartRow]) -> Taken | None:
        async with asyncio.timeout(DEADLINE):
            return await self.assemblies.finish(upload.id, parts)

    @property
    def running(self) -> list[str]:
        return list(self.assemblies._running)

    async def until_nothing_runs(self) -> None:
        tasks = [assembly.task for assembly in self.assemblies._running.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=DEADLINE)
        await asyncio.sleep(0)
        assert self.running == []


@asynccontextmanager
async def scene(root: Path, idle: float = 60.0) -> AsyncIterator[Scene]:
    async with bare(root) as store:
        reader = Noted(store)
        assemblies = Assemblies(store.index, Intake(store.blobs, store.executor, LIMIT), reader, idle)
        try:
            yield Scene(store, reader, assemblies)
        finally:
            await assemblies.close()
        assert assemblies._running == {}


def body_of(taken: Taken | None, store: Bare) -> bytes:
    assert taken is not None
    if taken.body.blob is None:
        return taken.body.data or b""
    data = Path(store.directory.blob(taken.body.blob)).read_bytes()
    taken.settle(committed=True)
    return data


def test_what_follows_is_read_as_it_comes_and_the_rest_at_the_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            upload = await it.begin(PutOptions(digests=frozenset({"md5"}), expected={"sha-1": sha1}))
            parts = [await it.send(upload, 1)]
            assert it.running == [], "an only part is the object as it is"
            parts.append(await it.send(upload, 2))
            assert it.running == [upload.id]
            await it.reader.until(1, 2)
            parts.append(await it.send(upload, 3))
            await it.reader.until(3)
            parts.append(await it.send(upload, 5))
            await it.reader.until()
            taken = await it.finish(upload, parts)
            await it.reader.until(5)
            assert body_of(taken, it.store) == data
            assert taken is not None
            assert taken.body.digests == {
                "md5": hashlib.md5(data, usedforsecurity=False).digest(),
                "sha-1": sha1,
                "sha-256": hashlib.sha256(data).digest(),
            }
            assert it.running == []
            assert await it.finish(upload, parts) is None, "the body is handed out once"

    data = whole(*BODIES[:3], BODIES[4])
    sha1 = hashlib.sha1(data, usedforsecurity=False).digest()
    asyncio.run(run())


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=str)
def test_it_begins_with_the_first_two_in_either_order(tmp_path: Path, order: Sequence[int]) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            upload = await it.begin()
            parts = sorted([await it.send(upload, number) for number in order], key=lambda part: part.number)
            await it.reader.until(1, 2)
            assert body_of(await it.finish(upload, parts), it.store) == whole(SMALL, LARGE)

    asyncio.run(run())


def test_one_that_was_dropped_does_not_begin_with_a_later_part(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            upload, parts = await it.begun()
            it.assemblies.drop(upload.id)
            it.assemblies.drop("none")
            await it.until_nothing_runs()
            await it.send(upload, 3)
            assert it.running == []
            assert await it.finish(upload, parts) is None
            await it.send(upload, 2)
            assert it.running == [upload.id]

    asyncio.run(run())


def test_it_begins_only_when_both_are_there(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            for number in (1, 2):
                upload = await it.begin()
                await it.send(upload, 3)
                await it.send(upload, number)
                assert it.running == []

    asyncio.run(run())


def test_four_run_at_a_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            some = [await it.begun() for _ in range(4)]
            upload = await it.begin()
            parts = [await it.send(upload, number) for number in (1, 2)]
            assert it.running == [one.id for one, _ in some]
            for one, sent in some[1:3]:
                assert body_of(await it.finish(one, sent), it.store) == whole(SMALL, LARGE)
            assert it.running == [some[0][0].id, some[3][0].id]
            it.assemblies.arrived(upload, 2)
            await it.reader.until(1, 2)
            assert body_of(await it.finish(upload, parts), it.store) == whole(SMALL, LARGE)

    asyncio.run(run())


@pytest.mark.parametrize("named", [(), (0,), (1,), (1, 0), (0, 2), (0, 1, 2), (0, 1)], ids=str)
def test_the_parts_named_are_the_ones_that_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: Sequence[int]
) -> None:
    monkeypatch.setattr(intake, "_BLOCK", len(LARGE))  # so that there is a file before all is there

    async def run() -> None:
        async with scene(tmp_path) as it:
            upload, parts = await it.begun()
            parts.append(await it.send(upload, 4))
            taken = await it.finish(upload, [parts[at] for at in named])
            if tuple(named[:2]) == (0, 1):
                assert body_of(taken, it.store) == whole(*[(SMALL, LARGE, BODIES[3])[at] for at in named])
            else:
                assert taken is None
            await it.until_nothing_runs()
            it.store.executor.shutdown()
            assert [path.suffix for path in it.store.blobs.staging.iterdir()] == [".batch"]

    asyncio.run(run())


def test_a_part_sent_again_after_it_was_taken_in_ends_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            upload, parts = await it.begun()
            parts[0] = await it.send(upload, 1, b"other")
            assert await it.finish(upload, parts) is None
            await it.reader.until()

    asyncio.run(run())


@pytest.mark.parametrize("asked", [True, False])
def test_a_failure_is_left_to_those_who_read_the_parts(tmp_path: Path, asked: bool) -> None:
    complaints: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with scene(tmp_path) as it:
            upload, parts = await it.begun(PutOptions(expected={"sha-256": bytes(32)}))
            third = PartRow("u", 3, 999, 5, "e", 0, bytes(32), None, None)  # which is not there
            if asked:
                for more in ([], [third]):
                    assert await it.finish(upload, [*parts, *more]) is None
                    await it.reader.until(*(part.number for part in more))
                    upload, parts = await it.begun(PutOptions(expected={"sha-256": bytes(32)}))
            else:
                it.assemblies._running[upload.id]._named = [*parts, third]
                it.assemblies.arrived(upload, 3)
                await it.until_nothing_runs()
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(run())
    assert complaints == []


def test_one_without_a_new_part_for_long_is_dropped(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path, idle=0.0) as it:
            upload = await it.begin()
            parts = [await it.send(upload, number) for number in (1, 2)]
            assert it.running == [upload.id]
            await it.until_nothing_runs()
            assert await it.finish(upload, parts) is None

    asyncio.run(run())


def test_who_closes_waits_until_all_are_dropped(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            some = [await it.begun() for _ in range(2)]
            tasks = [assembly.task for assembly in it.assemblies._running.values()]
            await it.assemblies.close()
            assert [task.cancelled() for task in tasks] == [True, True]
            assert [await it.finish(*one) for one in some] == [None, None]

    asyncio.run(run())
