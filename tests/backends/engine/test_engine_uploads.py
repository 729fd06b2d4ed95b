"""Uploads in parts on the engine: what happens to their files, and completions that meet."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, assert_sound, blob_files, garbage, index_rows, read, stream
from objectstore.backends.engine import steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.errors import AlreadyExists, DigestMismatch, InvalidPart, UploadNotFound
from objectstore.values import ONLY_IF_ABSENT, Attributes, PutOptions

PLAIN = PutOptions()
BODIES = (LARGE, SMALL, HUGE)


async def _upload(
    backend: EngineBackend, options: PutOptions = PLAIN, *, first: int = 1
) -> tuple[str, list[tuple[int, str]]]:
    """Begun and sent, in parts numbered from `first`. From 1 on they are put together before the completion."""
    upload_id = (await backend.uploads.begin("key", options)).upload_id
    numbered = list(enumerate(BODIES, start=first))
    parts = [await backend.uploads.put_part(upload_id, number, stream(body), PLAIN) for number, body in numbered]
    return upload_id, [(part.number, part.etag) for part in parts]


class Gate:
    """Stops whoever comes to `step` first, until it is let on."""

    def __init__(self, step: str) -> None:
        self._step = step
        self.waiting = threading.Event()
        self.go = threading.Event()
        self.armed = False

    def step(self, name: str) -> None:
        if self.armed and name == self._step:
            self.armed = False
            self.waiting.set()
            self.go.wait()


def test_parts_become_garbage_with_the_completion(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            options = PutOptions(attributes=Attributes(content_type="text/plain"))
            upload_id, parts = await _upload(backend, options, first=3)
            assert len(blob_files(root)) == 2
            info = await backend.uploads.complete(upload_id, parts)
            assert info.attributes.content_type == "text/plain"
            assert await read(backend, "key") == b"".join(BODIES)
        assert len(blob_files(root)) == 3
        assert len(garbage(root)) == 2
        assert index_rows(root, "SELECT * FROM bodies") == []
        assert_sound(root)

    asyncio.run(run())


def test_an_only_part_is_not_written_again(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            upload_id = (await backend.uploads.begin("key", PLAIN)).upload_id
            part = await backend.uploads.put_part(upload_id, 7, HUGE, PLAIN)
            files = blob_files(root)
            info = await backend.uploads.complete(upload_id, [(7, part.etag)])
            assert blob_files(root) == files
            assert garbage(root) == set()
            assert info.digests == part.digests
            assert await read(backend, "key") == HUGE
        assert_sound(root)

    asyncio.run(run())


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_the_digest_expected_of_the_whole_is_checked(tmp_path: Path, body: bytes) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            options = PutOptions(expected={"md5": bytes(16)}, digests=frozenset({"crc32"}))
            upload_id = (await backend.uploads.begin("key", options)).upload_id
            digests = PutOptions(digests=frozenset({"md5", "crc32"}))
            part = await backend.uploads.put_part(upload_id, 1, body, digests)
            with pytest.raises(DigestMismatch):
                await backend.uploads.complete(upload_id, [(1, part.etag)])
            assert (await backend.uploads.get(upload_id)).parts == (part,)
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_a_part_sent_again_frees_the_former(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root, grace=timedelta(0)) as backend:
            upload_id, _ = await _upload(backend)
            for number, body in ((1, SMALL), (2, LARGE), (3, HUGE)):
                await backend.uploads.put_part(upload_id, number, body, PLAIN)
            await backend.collect_garbage()
            assert len(blob_files(root)) == 2
            assert len(index_rows(root, "SELECT * FROM bodies")) == 1
            await backend.uploads.abort(upload_id)
            await backend.collect_garbage()
            assert blob_files(root) == set()
        assert_sound(root)

    asyncio.run(run())


def test_completions_in_two_that_share_the_store_give_one_object(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as one, EngineBackend(root) as other:
            upload_id, parts = await _upload(one, PutOptions(conditions=ONLY_IF_ABSENT))
            completions = [backend.uploads.complete(upload_id, parts) for backend in (one, other, one, other)]
            infos = await asyncio.gather(*completions)
            assert len(set(map(repr, infos))) == 1
            assert infos[0] == await other.head("key")
        assert len(blob_files(root) - garbage(root)) == 1
        assert_sound(root)

    asyncio.run(run())


def test_a_completion_whose_parts_are_gone_finds_what_another_made(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        gate = Gate(steps.AFTER_CREATE)
        async with (
            EngineBackend(root, step=gate.step) as slow,
            EngineBackend(root, grace=timedelta(0)) as other,
        ):
            upload_id, parts = await _upload(slow, first=3)
            gate.armed = True
            late = asyncio.create_task(slow.uploads.complete(upload_id, parts))
            await asyncio.to_thread(gate.waiting.wait)
            info = await other.uploads.complete(upload_id, parts)
            assert await other.collect_garbage() == 2
            gate.go.set()
            assert await late == info
        assert len(blob_files(root)) == 1
        assert_sound(root)

    asyncio.run(run())


def test_a_completion_goes_on_without_its_caller(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate(steps.AFTER_SYNC)
        async with EngineBackend(tmp_path / "data", step=gate.step) as backend:
            upload_id, parts = await _upload(backend)
            gate.armed = True
            caller = asyncio.create_task(backend.uploads.complete(upload_id, parts))
            await asyncio.to_thread(gate.waiting.wait)
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            again = asyncio.create_task(backend.uploads.complete(upload_id, parts))
            gate.go.set()
            assert await again == await backend.head("key")
            assert backend.stats.operations == 5

    asyncio.run(run())


def test_closing_waits_for_a_completion_without_its_caller(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            upload_id, parts = await _upload(backend)
            caller = asyncio.create_task(backend.uploads.complete(upload_id, parts))
            await asyncio.sleep(0)
            caller.cancel()
        async with EngineBackend(root) as backend:
            assert await read(backend, "key") == b"".join(BODIES)
        assert_sound(root)

    asyncio.run(run())


def test_the_condition_is_checked_with_the_completion(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        gate = Gate(steps.AFTER_SYNC)
        async with EngineBackend(root, step=gate.step) as backend:
            upload_id, parts = await _upload(backend, PutOptions(conditions=ONLY_IF_ABSENT))
            gate.armed = True
            completing = asyncio.create_task(backend.uploads.complete(upload_id, parts))
            await asyncio.to_thread(gate.waiting.wait)
            await backend.put("key", SMALL)
            gate.go.set()
            with pytest.raises(AlreadyExists):
                await completing
            assert len((await backend.uploads.get(upload_id)).parts) == len(BODIES)
            await backend.delete("key")
            await backend.uploads.complete(upload_id, parts)
        assert_sound(root)

    asyncio.run(run())


def test_a_part_that_arrives_after_the_end_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        gate = Gate(steps.AFTER_SYNC)
        async with EngineBackend(root, step=gate.step) as backend:
            upload_id = (await backend.uploads.begin("key", PLAIN)).upload_id
            gate.armed = True
            late = asyncio.create_task(backend.uploads.put_part(upload_id, 1, LARGE, PLAIN))
            await asyncio.to_thread(gate.waiting.wait)
            await backend.uploads.abort(upload_id)
            gate.go.set()
            with pytest.raises(UploadNotFound):
                await late
        assert blob_files(root) == set()
        assert_sound(root)

    asyncio.run(run())


def test_expiry_forgets_old_uploads_and_old_completions(tmp_path: Path) -> None:
    root = tmp_path / "data"
    times = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(1000))

    async def run() -> None:
        async with EngineBackend(root, clock=lambda: next(times)) as backend:
            finished, parts = await _upload(backend)
            await backend.uploads.complete(finished, parts)
            abandoned, _ = await _upload(backend)
            middle = next(times)
            fresh, _ = await _upload(backend)
            assert await backend.uploads.expire(middle) == 2
            for upload_id in (finished, abandoned):
                with pytest.raises(UploadNotFound):
                    await backend.uploads.get(upload_id)
            assert len((await backend.uploads.get(fresh)).parts) == len(BODIES)
            assert await read(backend, "key") == b"".join(BODIES)
        assert_sound(root)

    asyncio.run(run())


def test_an_upload_keeps_all_that_it_was_begun_with(tmp_path: Path) -> None:
    root = tmp_path / "data"
    options = PutOptions(
        attributes=Attributes(content_type="text/plain", metadata={"of": "mine"}),
        conditions=ONLY_IF_ABSENT,
        size=len(SMALL),
        digests=frozenset({"crc32"}),
        etag="chosen",
    )

    async def run() -> None:
        async with EngineBackend(root) as backend:
            begun = await backend.uploads.begin("key", options)
        async with EngineBackend(root) as backend:
            assert await backend.uploads.get(begun.upload_id) == begun
            part = await backend.uploads.put_part(begun.upload_id, 1, SMALL, PLAIN)
            info = await backend.uploads.complete(begun.upload_id, [(1, part.etag)])
        async with EngineBackend(root) as backend:
            assert await backend.head("key") == info
            assert (await backend.uploads.get(begun.upload_id)).completed == info
        assert (info.etag, info.attributes, set(info.digests)) == ("chosen", options.attributes, {"sha-256", "crc32"})
        assert begun.conditions == ONLY_IF_ABSENT

    asyncio.run(run())


def test_a_part_sent_again_during_the_completion_is_not_taken_for_the_one_named(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        gate = Gate(steps.AFTER_SYNC)
        async with EngineBackend(root, step=gate.step) as backend:
            upload_id, parts = await _upload(backend)
            gate.armed = True
            completing = asyncio.create_task(backend.uploads.complete(upload_id, parts))
            await asyncio.to_thread(gate.waiting.wait)
            again = await backend.uploads.put_part(upload_id, 2, b"another body", PLAIN)
            gate.go.set()
            with pytest.raises(InvalidPart):
                await completing
            await backend.uploads.complete(upload_id, [parts[0], (2, again.etag), parts[2]])
            assert await read(backend, "key") == LARGE + b"another body" + HUGE
        assert_sound(root)

    asyncio.run(run())
