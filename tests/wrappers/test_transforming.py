"""What all stores that keep bodies in another form have in common."""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.reading import chunks, read_all
from objectstore.core.streams import chunks as body_chunks
from objectstore.errors import (
    AlreadyExists,
    Corrupted,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    StorageFull,
    Unavailable,
)
from objectstore.testing.faults import Fault, Faulty
from objectstore.testing.suite.harness import MIB, chunked, found, read, sample
from objectstore.values import (
    ONLY_IF_ABSENT,
    Attributes,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)
from objectstore.wrappers import transforming
from objectstore.wrappers.forwarding import COPY, GET, PUT, Forwarding
from objectstore.wrappers.gzipped import Gzipped
from objectstore.wrappers.restricted import Readonly, Writeonly
from objectstore.wrappers.spool import IN_MEMORY, Spool
from wrappers.inner_stores import Bare, Streaming

FULL: Final = Attributes(content_type="text/plain", cache_control="no-store", metadata={"author": "Zoë"})
LARGE: Final = sample(400_000)


class Meanwhile(Forwarding):
    """Does something to the store inside just before its first copy or second reading."""

    def __init__(self, inner: Backend, key: str, body: bytes, attributes: Attributes) -> None:
        super().__init__(inner)
        self._change = (key, body, PutOptions(attributes=attributes))
        self.copies = 0

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        self.copies += 1
        if self.copies == 1:
            await self._inner.put(*self._change)
        return await super().copy(source, target, options)


class Discarding(Forwarding):
    """Takes bodies without keeping them, and says how many bytes there were."""

    taken = 0

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        async for chunk in body_chunks(body):
            self.taken += len(chunk)
        return await super().put(key, b"", PutOptions(attributes=options.attributes))


def test_nothing_but_the_note_stands_beside_the_stored_body() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with Gzipped(inner) as store:
            info = await store.put("key", LARGE, PutOptions(attributes=FULL, digests=frozenset({"md5"})))
            assert (info.attributes, info.size) == (FULL, len(LARGE))
            stored = await inner.head("key")
            assert stored.etag == info.etag
            metadata = dict(stored.attributes.metadata)
            note = metadata.pop("objectstore-body")
            assert note.startswith(f"gzip;stored={stored.size};size={len(LARGE)};md5=")
            assert metadata == FULL.metadata
            assert stored.attributes.content_type == "text/plain"

    asyncio.run(scenario())


def test_an_object_without_a_note_is_decoded_once() -> None:
    async def scenario() -> None:
        inner = Faulty(MemoryBackend({"a": gzip.compress(LARGE), "b": gzip.compress(b"b")}))
        async with Gzipped(inner) as store:
            for _ in range(3):
                page = await store.list(ListQuery(details=True))
                assert [info.size for info in page.objects] == [len(LARGE), 1]
                assert await store.head("a") == page.objects[0]
            assert inner.calls["get"] == 2
            assert await read(store, "a") == LARGE
            assert inner.calls["get"] == 3
            await store.put("a", b"new")
            assert (await store.head("a")).size == 3

    asyncio.run(scenario())


def test_memory_of_objects_without_a_note_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforming, "_REMEMBERED", 2)

    async def scenario() -> None:
        inner = Faulty(MemoryBackend({key: gzip.compress(key.encode()) for key in "abc"}))
        async with Gzipped(inner) as store:
            for key in "abcbc":
                await store.head(key)
            assert inner.calls["get"] == 3
            await store.head("a")
            assert inner.calls["get"] == 4

    asyncio.run(scenario())


def test_a_stream_without_a_note_is_read_once_from_the_store_inside() -> None:
    async def scenario() -> None:
        stored = gzip.compress(LARGE)
        inner = Streaming(MemoryBackend({"key": stored}))
        async with Gzipped(inner) as store:
            assert await read(store, "key") == LARGE
            assert inner.given == len(stored)

    asyncio.run(scenario())


def test_a_reading_without_a_note_is_of_one_version() -> None:
    async def scenario() -> None:
        inner = MemoryBackend({"key": gzip.compress(LARGE)})
        async with Gzipped(Streaming(inner)) as store, store.get("key") as reading:
            await inner.put("key", gzip.compress(b"other"))
            assert await read_all(reading) == LARGE
            assert reading.info.size == len(LARGE)

    asyncio.run(scenario())


def test_a_note_of_another_form_or_size_is_no_note() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        stored = gzip.compress(b"body")
        endless = "9" * 5000
        for text in (
            f"gzip;stored=24;size={endless}",
            "zstd;stored=24;size=9",
            "gzip;stored=9;size=9",
            "gzip",
            "",
            "gzip;stored=24;size=9;sha-256=~",
        ):
            await inner.put("key", stored, PutOptions(attributes=Attributes(metadata={"objectstore-body": text})))
            async with Gzipped(inner) as store:
                info = await store.head("key")
                assert (info.size, info.attributes) == (4, Attributes())
                assert await read(store, "key") == b"body"

    assert len(gzip.compress(b"body")) == 24
    asyncio.run(scenario())


def test_a_note_that_is_not_true_never_gives_a_short_object() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        stored = gzip.compress(LARGE)
        for size in (0, 5, len(LARGE) - 1, len(LARGE) + 1):
            note = {"objectstore-body": f"gzip;stored={len(stored)};size={size}"}
            await inner.put("key", stored, PutOptions(attributes=Attributes(metadata=note)))
            async with Gzipped(inner) as store:
                with pytest.raises(Corrupted, match="another size"):
                    await read(store, "key")

    asyncio.run(scenario())


def test_metadata_by_the_name_of_the_note_comes_back() -> None:
    names = ("objectstore-body", "objectstore-body-", "objectstore-body-x", "objectstore-bodyx", "objectstore-bod")
    attributes = Attributes(metadata={name: f"of {name}" for name in names})

    async def scenario() -> None:
        inner = MemoryBackend()
        async with Gzipped(Gzipped(inner)) as store:
            info = await store.put("key", b"body", PutOptions(attributes=attributes))
            assert info.attributes == attributes
            assert await store.head("key") == info
            assert (await store.copy("key", "copy")).attributes == attributes
            assert (await store.copy("key", "set", CopyOptions(attributes=attributes))).attributes == attributes
            assert gzip.decompress(gzip.decompress(await read(inner, "set"))) == b"body"

    asyncio.run(scenario())


def test_the_coding_that_another_program_told_is_undone() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        attributes = Attributes(content_type="text/plain", content_encoding="GZIP")
        await inner.put("theirs", gzip.compress(b"body"), PutOptions(attributes=attributes))
        async with Gzipped(inner) as store:
            assert (await store.head("theirs")).attributes == Attributes(content_type="text/plain")
            assert await read(store, "theirs") == b"body"
            # Of our own, it is told of the body that we were given.
            ours = await store.put("ours", gzip.compress(b"body"), PutOptions(attributes=attributes))
            assert (await store.head("ours")).attributes == ours.attributes == attributes

    asyncio.run(scenario())


def test_a_store_that_keeps_no_attributes_is_decoded_instead() -> None:
    async def scenario() -> None:
        memory = MemoryBackend()
        async with Gzipped(Bare(memory)) as store:
            assert not store.capabilities.digests
            info = await store.put("key", LARGE)
            assert (await store.head("key")) == info
            assert (await store.list(ListQuery(details=True))).objects == (info,)
            assert await found(store, "key") == (info, LARGE)
            assert (await store.copy("key", "copy")).size == len(LARGE)
        async with Gzipped(Bare(memory)) as store:
            assert (await store.head("key")) == info
            assert await read(store, "copy") == LARGE

    asyncio.run(scenario())


def test_a_store_that_is_only_read_is_read() -> None:
    async def scenario() -> None:
        async with Gzipped(Readonly(MemoryBackend({"key": gzip.compress(LARGE)}))) as store:
            assert not store.capabilities.write
            assert await read(store, "key") == LARGE
            taken = []

            async def body() -> AsyncIterator[bytes]:
                taken.append(1)
                yield b""

            for call in (store.put("new", body()), store.copy("key", "new"), store.delete("key")):
                with pytest.raises(MethodNotAllowed):
                    await call
            assert taken == []

    asyncio.run(scenario())


def test_a_store_that_is_only_written_is_written() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with Gzipped(Writeonly(inner)) as store:
            await store.put("key", b"body", PutOptions(conditions=ONLY_IF_ABSENT))
            with pytest.raises(AlreadyExists):
                await store.put("key", b"body", PutOptions(conditions=ONLY_IF_ABSENT))
        assert gzip.decompress(await read(inner, "key")) == b"body"

    asyncio.run(scenario())


def test_a_body_that_cannot_be_kept_is_not_taken_in() -> None:
    async def scenario() -> None:
        taken = []

        async def body() -> AsyncIterator[bytes]:
            taken.append(1)
            yield b"body"

        async with Gzipped(MemoryBackend({"key": b""})) as store:
            with pytest.raises(AlreadyExists):
                await store.put("key", body(), PutOptions(conditions=ONLY_IF_ABSENT))
            with pytest.raises(PreconditionFailed):
                await store.put("new", body(), PutOptions(conditions=Conditions(if_match="*")))
            assert taken == []

    asyncio.run(scenario())


def test_a_copy_with_other_attributes_has_the_note_of_the_version_copied() -> None:
    async def scenario() -> None:
        memory = MemoryBackend()
        async with Gzipped(memory) as store:
            await store.put("newer", LARGE)
            noted = (await memory.head("newer")).attributes
            await store.put("key", b"older")
            inner = Meanwhile(memory, "key", await read(memory, "newer"), noted)
        async with Gzipped(inner) as store:
            info = await store.copy("key", "copy", CopyOptions(attributes=FULL))
            assert inner.copies == 2
            assert (info.size, info.attributes) == (len(LARGE), FULL)
            assert info.digests["sha-256"] == hashlib.sha256(LARGE).digest()
            assert await found(store, "copy") == (info, LARGE)
            with pytest.raises(AlreadyExists):
                await store.copy("key", "copy", CopyOptions(attributes=FULL, conditions=ONLY_IF_ABSENT))

    asyncio.run(scenario())


class Unconditional(Forwarding):
    """Cannot check conditions together with a write."""

    copies = 0

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, conditions=False)

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        self.copies += 1
        return await super().copy(source, target, options)


def test_a_copy_inside_a_store_without_conditions_is_of_one_version() -> None:
    async def scenario() -> None:
        inner = Unconditional(MemoryBackend())
        async with Gzipped(inner) as store:
            await store.put("key", LARGE)
            info = await store.copy("key", "copy", CopyOptions(attributes=FULL))
            assert inner.copies == 0, "nothing would tie the note to the version copied"
            assert await found(store, "copy") == (info, LARGE)
            assert info.attributes == FULL
            with pytest.raises(PreconditionFailed):
                await store.copy("key", "copy", CopyOptions(attributes=FULL, source=Conditions(if_match=("other",))))

    asyncio.run(scenario())


def test_a_listing_tells_of_damaged_objects_and_leaves_out_removed_ones() -> None:
    class Removing(Forwarding):
        @asynccontextmanager
        async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
            if key == "removed":
                raise NotFound(key)
            async with super().get(key, options) as reading:
                yield reading

    async def scenario() -> None:
        objects = {"damaged": b"damaged", "removed": gzip.compress(b""), "whole": gzip.compress(b"body")}
        async with Gzipped(Removing(MemoryBackend(objects))) as store:
            page = await store.list(ListQuery(details=True))
            assert page.keys == ("damaged", "whole")
            assert [info.size for info in page.objects] == [7, 4]
            assert "sha-256" not in page.objects[0].digests

    asyncio.run(scenario())


def test_a_listing_fails_as_the_store_inside_does() -> None:
    async def scenario() -> None:
        objects = {f"{number}": gzip.compress(b"") for number in range(30)}
        away = Unavailable("away", retry_after=3)
        async with Gzipped(Faulty(MemoryBackend(objects), [Fault("get", call=11, error=away)])) as store:
            with pytest.raises(Unavailable) as raised:
                await store.list(ListQuery(details=True))
            assert raised.value is away

    asyncio.run(scenario())


def test_a_large_body_goes_through_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    size = IN_MEMORY * 3

    async def scenario() -> None:
        inner = Discarding(MemoryBackend())
        async with Gzipped(inner, level=0) as store:
            assert (await store.put("key", chunked(bytes(size)))).size == size
        assert inner.taken > size

    opened = []
    with monkeypatch.context() as patch:
        real = os.open

        def spy(path: str, flags: int, mode: int = 0o777) -> int:
            fd = real(path, flags, mode)
            opened.append((str(path), os.fstat(fd).st_mode & 0o777, os.fstat(fd).st_nlink))
            return fd

        patch.setattr(os, "open", spy)
        asyncio.run(scenario())
    assert [path for path, _, _ in opened if path.startswith(str(tmp_path))], "a temporary file was made"
    assert all(mode == 0o600 for path, mode, _ in opened if path.startswith(str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_memory_stays_flat_both_ways(tmp_path: Path) -> None:
    size = 24 * MIB

    async def body() -> AsyncIterator[bytes]:
        block = os.urandom(256 * 1024)
        for _ in range(size // len(block)):
            yield block

    async def scenario() -> None:
        async with Gzipped(FilesystemBackend(tmp_path / "data"), level=1) as store:
            tracemalloc.start()
            try:
                assert (await store.put("key", body())).size == size
                async with store.get("key") as reading:
                    assert sum([len(chunk) async for chunk in chunks(reading)]) == size
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert peak < 6 * MIB

    asyncio.run(scenario())


def test_no_room_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Spool() as spool:
        monkeypatch.setattr(spool._file, "write", full)
        with pytest.raises(StorageFull, match="TMPDIR"):
            spool.write(b"1")
        assert spool.size == 0


def test_a_temporary_folder_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))

    async def scenario() -> None:
        async with Gzipped(MemoryBackend(), level=0) as store:
            with pytest.raises(Unavailable, match="temporary file"):
                await store.put("key", bytes(IN_MEMORY * 2))
            assert (await store.list(ListQuery())).keys == ()
            await store.put("key", b"small")

    asyncio.run(scenario())
