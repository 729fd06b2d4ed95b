"""Base64: what is stored is what the standard library makes and takes."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import Corrupted, InvalidRange, NotFound, NotModified, PreconditionFailed
from objectstore.testing.suite.harness import chunked, read, sample
from objectstore.values import Bounded, Conditions, From, Last, ListQuery, PutOptions
from objectstore.wrappers.base64ed import Base64Decoder, Base64ed, Base64Encoder
from wrappers.inner_stores import Streaming

LARGE: Final = sample(300_001)


def decoded(data: bytes, step: int = 1000) -> bytes:
    decoder = Base64Decoder()
    pieces = [piece for at in range(0, len(data), step) for piece in decoder.feed(data[at : at + step])]
    return b"".join(pieces) + decoder.finish()


@given(st.lists(st.binary(max_size=7)))
def test_chunks_of_any_size_are_encoded_as_one(parts: list[bytes]) -> None:
    encoder = Base64Encoder()
    stored = b"".join(map(encoder.feed, parts)) + encoder.finish()
    assert stored == base64.b64encode(b"".join(parts))


@given(st.binary(max_size=50), st.integers(1, 60), st.integers(1, 80))
def test_lines_of_any_length_are_decoded(body: bytes, step: int, line: int) -> None:
    stored = base64.b64encode(body)
    lines = b"".join(stored[at : at + line] + b"\r\n" for at in range(0, len(stored), line))
    assert decoded(stored, step) == decoded(lines, step) == body


@pytest.mark.parametrize("step", [1, 2, 4, 1000])
@pytest.mark.parametrize(
    "stored",
    [b"YQ", b"YQ=", b"YQ==YQ==", b"YQ===", b"Y", b"=", b"YQ==x", b"YQ-_", b"YWJj*WJj", b"\xff\xff\xff\xff", b"Y=Q="],
)
def test_what_is_not_base64_is_damage(stored: bytes, step: int) -> None:
    with pytest.raises(Corrupted):
        decoded(stored, step)


def test_files_of_other_programs_are_objects(tmp_path: Path) -> None:
    (tmp_path / "line").write_bytes(base64.b64encode(LARGE))
    (tmp_path / "lines").write_bytes(base64.encodebytes(LARGE))
    (tmp_path / "empty").write_bytes(b"")

    async def scenario() -> None:
        async with Base64ed(FilesystemBackend(tmp_path)) as store:
            page = await store.list(ListQuery(details=True))
            assert {info.key: info.size for info in page.objects} == {"empty": 0, "line": 300_001, "lines": 300_001}
            for key in ("line", "lines"):
                assert await read(store, key) == LARGE
                assert await read(store, key, Bounded(100, 70_000)) == LARGE[100:70_000]
            await store.put("ours", LARGE)

    asyncio.run(scenario())
    assert (tmp_path / "ours").read_bytes() == base64.b64encode(LARGE)


def test_a_range_reads_no_more_than_the_characters_that_it_is_in() -> None:
    async def scenario() -> None:
        inner = Streaming(MemoryBackend({"foreign": base64.b64encode(LARGE)}))
        async with Base64ed(inner) as store:
            await store.put("key", chunked(LARGE))
            await store.head("foreign")
            for key in ("key", "foreign"):
                for start, stop in ((0, 1), (1, 2), (2, 3), (2, 5), (200_000, 200_100), (299_998, 300_001)):
                    inner.given = 0
                    assert await read(store, key, Bounded(start, stop)) == LARGE[start:stop]
                    assert inner.given <= (stop - start) * 4 // 3 + 8
            for ending in (1, 2, 3, 4):
                assert await read(store, "key", Last(ending)) == LARGE[-ending:]
            assert await read(store, "key", From(5)) == LARGE[5:]

    asyncio.run(scenario())


@given(st.binary(min_size=1, max_size=20), st.integers(0, 25), st.integers(1, 25))
def test_ranges_are_slices(body: bytes, start: int, length: int) -> None:
    async def scenario() -> None:
        async with Base64ed(MemoryBackend()) as store:
            await store.put("key", body)
            if start >= len(body):
                with pytest.raises(InvalidRange) as raised:
                    await read(store, "key", Bounded(start, start + length))
                assert raised.value.size == len(body)
            else:
                assert await read(store, "key", Bounded(start, start + length)) == body[start : start + length]

    asyncio.run(scenario())


def test_a_range_is_read_under_conditions() -> None:
    async def scenario() -> None:
        async with Base64ed(MemoryBackend()) as store:
            info = await store.put("key", b"body")
            with pytest.raises(NotModified):
                await read(store, "key", From(1), Conditions(if_none_match=(info.etag,)))
            with pytest.raises(PreconditionFailed):
                await read(store, "key", From(1), Conditions(if_match=("other",)))
            with pytest.raises(NotFound):
                await read(store, "absent", From(1))
            assert await read(store, "key", From(1), Conditions(if_match=(info.etag,))) == b"ody"

    asyncio.run(scenario())


def test_damage_in_a_range_is_told() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with Base64ed(inner) as store:
            await store.put("key", LARGE)
            noted = await inner.head("key")
            stored = bytearray(await read(inner, "key"))
            stored[1000] = ord("*")
            await inner.put("key", bytes(stored), PutOptions(attributes=noted.attributes))
            with pytest.raises(Corrupted, match="key"):
                await read(store, "key", Bounded(700, 800))
            assert await read(store, "key", Bounded(1000, 1100)) == LARGE[1000:1100]

    asyncio.run(scenario())
