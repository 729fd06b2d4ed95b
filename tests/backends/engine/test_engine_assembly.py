"""Bodies of uploads that are put together while their parts still arrive."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, assert_sound, blob_files, index_rows, read
from objectstore.backends.engine.backend import EngineBackend
from objectstore.errors import DigestMismatch
from objectstore.values import CompleteOptions, PutOptions

PLAIN = PutOptions()
BODIES = (LARGE, SMALL, HUGE)
WHOLE = b"".join(BODIES)
DEADLINE = 30  # seconds


async def _begin(backend: EngineBackend, options: PutOptions = PLAIN) -> str:
    return (await backend.uploads.begin("key", options)).upload_id


async def _send(backend: EngineBackend, upload_id: str, number: int, body: bytes) -> tuple[int, str]:
    return number, (await backend.uploads.put_part(upload_id, number, body, PLAIN)).etag


async def _send_all(backend: EngineBackend, upload_id: str, order: Sequence[int] = (1, 2, 3)) -> list[tuple[int, str]]:
    return sorted([await _send(backend, upload_id, number, BODIES[number - 1]) for number in order])


async def _until_staged(root: Path, *, at_least: int) -> None:
    """Until so many bytes are written of what is put together."""
    async with asyncio.timeout(DEADLINE):
        while sum(path.stat().st_size for path in (root / "staging").glob("*/*")) < at_least:  # noqa: ASYNC110  files send no events
            await asyncio.sleep(0.005)


async def _until_nothing_is_staged(root: Path) -> None:
    async with asyncio.timeout(DEADLINE):
        while any(path.suffix != ".batch" for path in (root / "staging").glob("*/*")):  # noqa: ASYNC110  as above
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)], ids=str)
def test_completion_does_not_read_what_was_taken_in(tmp_path: Path, order: Sequence[int]) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            upload_id = await _begin(backend)
            parts = await _send_all(backend, upload_id, order)
            await _until_staged(root, at_least=len(LARGE + SMALL))
            for (blob,) in index_rows(root, "SELECT blob FROM parts WHERE number = 1"):
                (root / "blobs" / str(blob)[:2] / str(blob)).write_bytes(b"not read again")
            info = await backend.uploads.complete(upload_id, parts)
            assert info.digests["sha-256"] == hashlib.sha256(WHOLE).digest()
            assert await read(backend, "key") == WHOLE
        assert len(blob_files(root)) == 3
        assert_sound(root)

    asyncio.run(run())


def test_a_part_sent_again_is_the_one_that_counts(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            upload_id = await _begin(backend)
            parts = await _send_all(backend, upload_id)
            await _until_staged(root, at_least=len(LARGE + SMALL))
            parts[0] = await _send(backend, upload_id, 1, HUGE)
            await backend.uploads.complete(upload_id, parts)
            assert await read(backend, "key") == HUGE + SMALL + HUGE
            await _until_nothing_is_staged(root)
        assert_sound(root)

    asyncio.run(run())


def test_completion_may_name_fewer_parts_than_came(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            for named in ((0,), (0, 1), (0, 2), (1, 2)):
                upload_id = await _begin(backend)
                parts = await _send_all(backend, upload_id)
                await backend.uploads.complete(upload_id, [parts[at] for at in named])
                assert await read(backend, "key") == b"".join(BODIES[at] for at in named)
        assert_sound(tmp_path / "data")

    asyncio.run(run())


def test_completion_by_an_only_part_drops_what_was_assembled_of_more(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            upload_id = await _begin(backend)
            parts = [await _send(backend, upload_id, number, HUGE) for number in (1, 2)]
            await _until_staged(root, at_least=1)
            assert (await backend.uploads.complete(upload_id, parts[:1])).size == len(HUGE)
            await _until_nothing_is_staged(root)
            assert await read(backend, "key") == HUGE

    asyncio.run(run())
    assert_sound(root)


def test_parts_that_came_to_another_process_are_taken_in(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as one, EngineBackend(root) as other:
            for completing in (one, other):
                upload_id = await _begin(one)
                parts = [
                    await _send(backend, upload_id, number, BODIES[number - 1])
                    for number, backend in ((1, one), (2, other), (3, one))
                ]
                await completing.uploads.complete(upload_id, parts)
                assert await read(other, "key") == WHOLE
        assert_sound(root)

    asyncio.run(run())


def test_what_is_expected_and_asked_of_the_whole_holds(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            for expected in (WHOLE, SMALL):
                digest = hashlib.sha256(expected).digest()
                options = PutOptions(expected={"sha-256": digest}, digests=frozenset({"md5"}))
                upload_id = await _begin(backend, options)
                parts = await _send_all(backend, upload_id)
                if expected is WHOLE:
                    info = await backend.uploads.complete(upload_id, parts, CompleteOptions())
                    assert info.digests == {"sha-256": digest, "md5": hashlib.md5(WHOLE).digest()}  # noqa: S324  a checksum
                else:
                    with pytest.raises(DigestMismatch):
                        await backend.uploads.complete(upload_id, parts)
        assert_sound(root)

    asyncio.run(run())


@pytest.mark.parametrize("end", ["abort", "expire", "close", "silence"])
def test_an_upload_that_ends_otherwise_leaves_nothing(tmp_path: Path, end: str) -> None:
    root = tmp_path / "data"
    grace = timedelta(seconds=0.2) if end == "silence" else timedelta(hours=1)

    async def run() -> None:
        async with EngineBackend(root, grace=grace) as backend:
            upload_id = await _begin(backend)
            await _send_all(backend, upload_id, (1, 2))
            if end != "silence":  # there it may be gone before it is seen
                await _until_staged(root, at_least=1)
            if end == "abort":
                await backend.uploads.abort(upload_id)
            elif end == "expire":
                assert await backend.uploads.expire((await backend.uploads.get(upload_id)).begun + grace) == 1
            if end != "close":
                await _until_nothing_is_staged(root)
        assert not list((root / "staging").iterdir())
        async with EngineBackend(root) as backend:
            if end in {"close", "silence"}:
                parts = [(part.number, part.etag) for part in (await backend.uploads.get(upload_id)).parts]
                await backend.uploads.complete(upload_id, parts)
                assert await read(backend, "key") == LARGE + SMALL
        assert_sound(root)

    asyncio.run(run())


def test_only_some_uploads_have_a_head_start(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            uploads = [await _begin(backend) for _ in range(9)]
            sent = [await _send_all(backend, upload_id, (1, 3, 2)) for upload_id in uploads]
            assert len([path for path in (root / "staging").glob("*/*") if path.suffix != ".batch"]) <= 4
            for upload_id, parts in zip(uploads, sent, strict=True):
                await backend.uploads.complete(upload_id, parts)
                assert await read(backend, "key") == WHOLE
        assert_sound(root)

    asyncio.run(run())
