"""What does not fit together is refused, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, assert_sound, blob_files, stream
from backends.engine.test_engine_writing import Gate, held_up
from objectstore.backends.engine.backend import EngineBackend
from objectstore.errors import DigestMismatch, IncompleteBody, InvalidMetadata, InvalidPart, UploadNotFound
from objectstore.values import Attributes, Body, CopyOptions, ListQuery, PutOptions

PLAIN = PutOptions()
LAST = "\U0010ffff"


def with_store(root: Path, act: Callable[[EngineBackend], Awaitable[None]]) -> None:
    async def run() -> None:
        async with EngineBackend(root) as backend:
            await act(backend)

    asyncio.run(run())


@pytest.mark.parametrize("data", [SMALL, LARGE, HUGE], ids=["small", "large", "huge"])
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_body_of_another_size_than_told_is_not_stored(tmp_path: Path, data: bytes, difference: int) -> None:
    async def act(backend: EngineBackend) -> None:
        options = PutOptions(size=len(data) + difference)
        bodies: list[Body] = [data, stream(data)]
        for body in bodies:
            with pytest.raises(IncompleteBody):
                await backend.put("key", body, options)
        upload_id = (await backend.uploads.begin("key", PLAIN)).upload_id
        with pytest.raises(IncompleteBody):
            await backend.uploads.put_part(upload_id, 1, data, options)
        assert (await backend.uploads.get(upload_id)).parts == ()
        assert (await backend.list(ListQuery())).keys == ()
        assert blob_files(tmp_path / "data") == set()

    with_store(tmp_path / "data", act)
    assert_sound(tmp_path / "data")


def test_small_bodies_in_any_form_are_compared_with_their_digest(tmp_path: Path) -> None:
    async def act(backend: EngineBackend) -> None:
        wrong = PutOptions(expected={"sha-256": bytes(32)})
        bodies: list[Body] = [SMALL, stream(SMALL), LARGE]
        for body in bodies:
            with pytest.raises(DigestMismatch):
                await backend.put("key", body, wrong)
        await backend.put("key", stream(SMALL))

    with_store(tmp_path / "data", act)
    assert_sound(tmp_path / "data")


def test_attributes_are_looked_at_before_anything_is_written(tmp_path: Path) -> None:
    async def act(backend: EngineBackend) -> None:
        bad = Attributes(metadata={"a name": "with a space"})
        good = Attributes(metadata={"name": "value"})
        with pytest.raises(InvalidMetadata):
            await backend.put("key", SMALL, PutOptions(attributes=bad))
        await backend.put("key", SMALL, PutOptions(attributes=good))
        with pytest.raises(InvalidMetadata):
            await backend.copy("key", "other", CopyOptions(attributes=bad))
        assert (await backend.copy("key", "other", CopyOptions(attributes=good))).attributes == good
        assert (await backend.list(ListQuery())).keys == ("key", "other")

    with_store(tmp_path / "data", act)


def test_only_parts_that_arrived_make_an_object_in_their_order(tmp_path: Path) -> None:
    async def act(backend: EngineBackend) -> None:
        uploads = backend.uploads
        upload_id = (await uploads.begin("key", PutOptions(size=2 * len(SMALL)))).upload_id
        for number in (0, 10_001):
            with pytest.raises(InvalidPart, match="1 to 10000"):
                await uploads.put_part(upload_id, number, SMALL, PLAIN)
        one, two, three = [
            (number, (await uploads.put_part(upload_id, number, SMALL, PLAIN)).etag) for number in (1, 2, 3)
        ]
        named: list[tuple[list[tuple[int, str]], str]] = [
            ([], "none was named"),
            ([two, one], "ascending"),
            ([one, one], "ascending"),
            ([one, (4, "etag")], "not arrived"),
            ([one, (2, "etag")], "sent again"),
        ]
        for parts, words in named:
            with pytest.raises(InvalidPart, match=words):
                await uploads.complete(upload_id, parts)
        with pytest.raises(IncompleteBody):
            await uploads.complete(upload_id, [one, two, three])
        assert (await uploads.complete(upload_id, [one, two])).size == 2 * len(SMALL)
        with pytest.raises(UploadNotFound):
            await uploads.put_part(upload_id, 4, SMALL, PLAIN)
        with pytest.raises(UploadNotFound):
            await uploads.get("another")

    with_store(tmp_path / "data", act)


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


def test_a_page_of_uploads_ends_at_its_limit(tmp_path: Path) -> None:
    async def act(backend: EngineBackend) -> None:
        begun = {(await backend.uploads.begin(f"a/{number}", PLAIN)).upload_id for number in range(5)}
        await backend.uploads.begin("b", PLAIN)
        found: list[str] = []
        start: str | None = ""
        while start is not None:
            page = await backend.uploads.list(prefix="a/", start=start, limit=2)
            assert len(page.uploads) <= 2
            found += [one.upload_id for one in page.uploads]
            start = page.next_start
        assert sorted(found) == sorted(begun)

    with_store(tmp_path / "data", act)


def test_a_group_after_which_no_key_can_come_ends_the_listing(tmp_path: Path) -> None:
    async def act(backend: EngineBackend) -> None:
        await backend.put("a", SMALL)
        await backend.put(f"{LAST}{LAST}b", SMALL)
        page = await backend.list(ListQuery(delimiter=LAST))
        assert (page.keys, page.prefixes, page.next_start) == (("a",), (LAST,), None)

    with_store(tmp_path / "data", act)
