"""Many at the same time: one wins, nobody sees half an object."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from objectstore.backends import reading
from objectstore.backends.contract import Backend
from objectstore.errors import AlreadyExists, NotFound, PreconditionFailed
from objectstore.testing.suite.harness import (
    LARGE,
    MANY,
    SMALL,
    Suite,
    chunked,
    contract,
    found,
    keys,
    on_folder,
    read,
    require,
    sample,
    settle,
)
from objectstore.values import ONLY_IF_ABSENT, Bounded, Conditions, CopyOptions, FileSpan, GetOptions, PutOptions

CREATE: Final = PutOptions(conditions=ONLY_IF_ABSENT)


class ConcurrencyTests(Suite):
    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @contract("write", "conditions")
    async def test_of_many_creating_a_key_one_wins(self, backend: Backend, size: int) -> None:
        bodies = [sample(size + number, number) for number in range(MANY)]
        records, errors = await settle(backend.put("key", chunked(body), CREATE) for body in bodies)
        assert len(records) == 1
        assert {type(error) for error in errors} == {AlreadyExists}
        assert await found(backend, "key") == (records[0], bodies[records[0].size - size])

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @contract("write", "overwrite", "conditions")
    async def test_of_many_replacing_one_version_one_wins(self, backend: Backend, size: int) -> None:
        base = await backend.put("key", b"base")
        options = PutOptions(conditions=Conditions(if_match=(base.etag,)))
        bodies = [sample(size + number, number) for number in range(MANY)]
        records, errors = await settle(backend.put("key", chunked(body), options) for body in bodies)
        assert len(records) == 1
        assert {type(error) for error in errors} == {PreconditionFailed}
        assert await found(backend, "key") == (records[0], bodies[records[0].size - size])

    @contract("write", "conditions")
    async def test_of_many_copies_and_writes_creating_a_key_one_wins(self, backend: Backend) -> None:
        await backend.put("source", sample(LARGE))
        copies = [backend.copy("source", "key", CopyOptions(conditions=ONLY_IF_ABSENT)) for _ in range(MANY // 2)]
        puts = [backend.put("key", sample(SMALL), CREATE) for _ in range(MANY // 2)]
        records, errors = await settle([*copies, *puts])
        assert len(records) == 1
        assert {type(error) for error in errors} == {AlreadyExists}
        assert await backend.head("key") == records[0]

    @contract("write", "conditions", "delete")
    async def test_of_many_deleting_a_key_one_wins(self, backend: Backend) -> None:
        info = await backend.put("key", sample(LARGE))
        mine = Conditions(if_match=(info.etag,))
        outcomes = await asyncio.gather(*(backend.delete("key", mine) for _ in range(MANY)), return_exceptions=True)
        assert outcomes.count(None) == 1
        assert {type(one) for one in outcomes if one is not None} == {NotFound}

    @contract("write")
    async def test_many_keys_are_written_at_once(self, backend: Backend) -> None:
        bodies = {f"k/{number}": sample(SMALL if number % 2 else LARGE, number) for number in range(MANY)}
        await asyncio.gather(*(backend.put(key, chunked(body)) for key, body in bodies.items()))
        for key, body in bodies.items():
            assert await read(backend, key) == body
        if backend.capabilities.listing:
            assert await keys(backend) == sorted(bodies)

    @contract("write", "overwrite")
    async def test_the_last_of_many_writes_is_the_object(self, backend: Backend) -> None:
        bodies = [sample((SMALL, LARGE)[number % 2] + number, number) for number in range(MANY)]
        records, errors = await settle(backend.put("key", chunked(body)) for body in bodies)
        assert errors == []
        assert len({record.etag for record in records}) == MANY
        stored = await found(backend, "key")
        assert stored is not None
        assert stored[0] in records
        assert stored[1] in bodies

    @contract("write", "overwrite", "delete")
    async def test_readers_see_a_whole_version_while_writers_overwrite_and_delete(self, backend: Backend) -> None:
        await backend.put("key", sample(SMALL))
        done = asyncio.Event()

        async def write(number: int) -> None:
            for turn in range(6):
                await backend.put("key", chunked(sample((SMALL, LARGE)[turn % 2] + turn, number)))
                if turn == 3:
                    await asyncio.gather(backend.delete("key"), return_exceptions=True)

        async def watch() -> int:
            seen = 0
            while not done.is_set():
                stored = await found(backend, "key")
                if stored is not None:
                    info, data = stored
                    assert info.size == len(data)
                    if backend.capabilities.digests:
                        assert info.digests["sha-256"] == hashlib.sha256(data).digest()
                    seen += 1
                await asyncio.sleep(0)
            return seen

        watchers = [asyncio.create_task(watch()) for _ in range(3)]
        try:
            await asyncio.gather(*(write(number) for number in range(3)))
        finally:
            done.set()
            seen = await asyncio.gather(*watchers)
        assert sum(seen) > 0

    @contract("write", "overwrite")
    async def test_a_copy_is_of_one_version_while_writers_overwrite_its_source(self, backend: Backend) -> None:
        versions = [sample((SMALL, LARGE)[number % 2] + number, number) for number in range(8)]
        await backend.put("source", versions[0])
        writes = [backend.put("source", chunked(version)) for version in versions]
        copies = [backend.copy("source", f"copy/{number}") for number in range(8)]
        calls = [call for pair in zip(writes, copies, strict=True) for call in pair]
        _, errors = await settle(calls)
        assert errors == []
        for number in range(8):
            stored = await found(backend, f"copy/{number}")
            assert stored is not None
            assert stored[1] in versions
            if backend.capabilities.digests:
                assert stored[0].digests["sha-256"] == hashlib.sha256(stored[1]).digest()

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write", "overwrite", "delete")
    async def test_an_open_reading_keeps_its_version(self, backend: Backend, size: int) -> None:
        old = await backend.put("key", sample(size, 1))
        async with backend.get("key") as opened:
            await backend.put("key", sample(LARGE, 2))
            assert opened.info == old
            assert await reading.read_all(opened) == sample(size, 1)
        async with backend.get("key") as opened:
            await backend.delete("key")
            assert await reading.read_all(opened) == sample(LARGE, 2)
        with pytest.raises(NotFound):
            await read(backend, "key")

    @contract("write", "overwrite", "delete", "ranges")
    async def test_an_open_reading_of_a_range_keeps_its_version(self, backend: Backend) -> None:
        await backend.put("key", sample(LARGE, 1))
        options = GetOptions(range=Bounded(1000, LARGE - 5))
        async with backend.get("key", options) as first, backend.get("key", options) as second:
            await backend.copy("key", "other")
            await backend.put("key", b"new")
            assert await reading.read_all(first) == sample(LARGE, 1)[1000:-5]
            await backend.delete("key")
            await backend.put("key", sample(LARGE, 2))
            assert await reading.read_all(second) == sample(LARGE, 1)[1000:-5]

    @contract("write", "delete")
    async def test_a_reading_may_be_left_before_its_end(self, backend: Backend) -> None:
        await backend.put("key", sample(LARGE))
        for _ in range(50):
            async with backend.get("key") as opened:
                chunks = reading.chunks(opened)
                await anext(chunks)
                await chunks.aclose()
        assert await read(backend, "key") == sample(LARGE)

    @contract("write", "overwrite", "delete")
    async def test_a_file_offered_by_name_outlives_its_object_for_a_while(self, backend: Backend) -> None:
        await backend.put("key", sample(LARGE, 1))
        async with backend.get("key") as opened:
            content = opened.content
            await backend.put("key", sample(LARGE, 2))
            await backend.delete("key")
        if isinstance(content, FileSpan) and content.path is not None:
            # Just as a server that was given the name, and opens it when it comes to send.
            data = await asyncio.to_thread(Path(content.path).read_bytes)
            assert data[content.start : content.stop] == sample(LARGE, 1)

    @contract("write")
    async def test_an_open_reading_has_an_open_file(self, backend: Backend) -> None:
        await backend.put("key", sample(LARGE, 1))
        async with backend.get("key") as opened:
            if isinstance(opened.content, FileSpan):
                span = opened.content
                assert span.stop - span.start == LARGE
                assert os.pread(span.fd, 10, span.start) == sample(LARGE, 1)[:10]

    @on_folder
    async def test_two_that_share_their_data_see_each_others_writes(self, folder: Path) -> None:
        async with self.backend(folder) as one:
            require(one, "shared", "write", "delete")
            async with self.backend(folder) as other:
                for size in (SMALL, LARGE):
                    info = await one.put("key", sample(size))
                    assert await found(other, "key") == (info, sample(size))
                    await other.delete("key")
                    assert await found(one, "key") is None

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @on_folder
    async def test_of_many_in_two_that_share_their_data_one_wins(self, folder: Path, size: int) -> None:
        async with self.backend(folder) as one:
            require(one, "shared", "write", "overwrite", "conditions")
            async with self.backend(folder) as other:
                both = [one, other] * (MANY // 2)
                records, errors = await settle(backend.put("key", chunked(sample(size)), CREATE) for backend in both)
                assert len(records) == 1
                assert {type(error) for error in errors} == {AlreadyExists}
                options = PutOptions(conditions=Conditions(if_match=(records[0].etag,)))
                records, errors = await settle(backend.put("key", chunked(sample(size)), options) for backend in both)
                assert len(records) == 1
                assert {type(error) for error in errors} == {PreconditionFailed}
                assert await one.head("key") == await other.head("key") == records[0]

    @on_folder
    async def test_opening_beside_a_writer_takes_nothing_from_it(self, folder: Path) -> None:
        async with self.backend(folder) as one:
            require(one, "shared", "write")
            opened, resume = asyncio.Event(), asyncio.Event()

            async def body() -> AsyncIterator[bytes]:
                yield sample(LARGE)
                opened.set()
                await resume.wait()
                yield b"end"

            writing = asyncio.create_task(one.put("key", body()))
            await opened.wait()
            async with self.backend(folder) as other:
                assert await found(other, "key") is None
            resume.set()
            await writing
            assert await read(one, "key") == sample(LARGE) + b"end"
