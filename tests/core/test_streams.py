"""Bodies as they flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.streams import blocks, bounded, check_size, chunks, read_all, sized
from objectstore.errors import IncompleteBody, TooLarge
from objectstore.values import Body

CHUNKS = st.lists(st.binary(max_size=6), max_size=10)


class Source:
    """A body in chunks that knows how many were asked of it."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            self.given += 1
            yield part


def _collect(stream: AsyncIterable[bytes]) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [chunk async for chunk in stream]

    return asyncio.run(collect())


def _until_failure(stream: AsyncIterable[bytes], error: type[Exception]) -> tuple[bytes, Exception]:
    async def collect() -> tuple[bytes, Exception]:
        got = b""
        try:
            async for chunk in stream:
                got += chunk
        except error as told:
            return got, told
        pytest.fail(f"no {error.__name__}")

    return asyncio.run(collect())


@given(CHUNKS)
def test_a_body_is_its_chunks_without_the_empty_ones(parts: list[bytes]) -> None:
    assert _collect(chunks(Source(parts))) == [part for part in parts if part]
    assert asyncio.run(read_all(Source(parts))) == b"".join(parts)


@pytest.mark.parametrize(("body", "expected"), [(b"", []), (b"ab", [b"ab"])])
def test_bytes_in_hand_are_one_chunk_or_none(body: bytes, expected: list[bytes]) -> None:
    assert _collect(chunks(body)) == expected
    assert asyncio.run(read_all(body)) == body


@given(CHUNKS)
def test_a_body_of_the_announced_size_passes(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert b"".join(_collect(sized(Source(parts), len(whole)))) == whole
    assert b"".join(_collect(sized(Source(parts), None))) == whole


@given(CHUNKS, st.integers(0, 80))
def test_a_body_of_another_size_is_incomplete(parts: list[bytes], size: int) -> None:
    whole = b"".join(parts)
    if len(whole) == size:
        return
    got, error = _until_failure(sized(Source(parts), size), IncompleteBody)
    assert whole.startswith(got)
    assert len(got) <= size, "no byte above the announced size is let through"
    assert isinstance(error, IncompleteBody)
    assert error.expected == size
    assert (error.received > size) == (len(whole) > size)


def test_nothing_is_read_of_a_body_after_it_proved_too_long() -> None:
    source = Source([b"abc", b"def", b"ghi"])
    _until_failure(sized(source, 4), IncompleteBody)
    assert source.given == 2
    source = Source([b"abc", b"def", b"ghi"])
    _until_failure(bounded(source, 4), TooLarge)
    assert source.given == 2


@given(CHUNKS, st.integers(0, 80))
def test_a_bound_lets_through_what_keeps_to_it(parts: list[bytes], limit: int) -> None:
    whole = b"".join(parts)
    assert b"".join(_collect(bounded(Source(parts), len(whole)))) == whole, "the limit itself is within it"
    if len(whole) <= limit:
        assert b"".join(_collect(bounded(Source(parts), limit))) == whole
        return
    got, error = _until_failure(bounded(Source(parts), limit), TooLarge)
    assert whole.startswith(got)
    assert len(got) <= limit
    assert isinstance(error, TooLarge)
    assert error.limit == limit


@given(CHUNKS, st.integers(1, 12))
def test_blocks_have_their_size(parts: list[bytes], size: int) -> None:
    found = _collect(blocks(Source(parts), size))
    assert b"".join(found) == b"".join(parts)
    assert all(len(block) >= size for block in found[:-1])
    largest = max(map(len, parts), default=0)
    assert all(block and len(block) < size + max(largest, 1) for block in found), "no more is held than needed"


def test_a_chunk_that_is_a_block_is_not_copied() -> None:
    large = bytes(100)
    assert _collect(blocks(Source([large]), 10))[0] is large


@pytest.mark.parametrize("wrapped", ["sized", "bounded", "blocks"])
def test_a_failing_body_fails_with_its_own_error(wrapped: str) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    streams = {
        "sized": lambda body: sized(body, 10),
        "bounded": lambda body: bounded(body, 10),
        "blocks": lambda body: blocks(body, 10),
    }
    with pytest.raises(ConnectionResetError):
        _collect(streams[wrapped](failing()))


def test_bytes_in_hand_are_counted_too() -> None:
    body: Body = b"abc"
    _until_failure(sized(body, 2), IncompleteBody)
    _until_failure(sized(body, 4), IncompleteBody)
    _until_failure(bounded(body, 2), TooLarge)
    assert _collect(blocks(body, 2)) == [b"abc"]


def test_a_size_that_is_given_has_to_be_right() -> None:
    for size in (None, 0, 3):
        check_size(size, size or 0)
    check_size(None, 3)
    for size, received in ((0, 3), (3, 0), (3, 4)):
        with pytest.raises(IncompleteBody) as caught:
            check_size(size, received)
        assert (caught.value.expected, caught.value.received) == (size, received)
