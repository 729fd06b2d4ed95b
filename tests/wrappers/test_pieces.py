"""Bodies in pieces of one size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from objectstore.errors import IncompleteBody
from objectstore.testing.suite.harness import chunked, sample
from objectstore.values import Body
from objectstore.wrappers.pieces import PIECE, pieces


async def collected(body: Body, size: int | None = None) -> list[bytes]:
    return [piece async for piece in pieces(body, size)]


@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
@pytest.mark.parametrize("chunk", [1000, PIECE, 2 * PIECE + 1])
def test_pieces_are_of_one_size_but_the_last(length: int, chunk: int) -> None:
    data = sample(length)
    expected = [data[at : at + PIECE] for at in range(0, length, PIECE)]
    assert asyncio.run(collected(data)) == expected
    assert asyncio.run(collected(chunked(data, chunk), length)) == expected


@pytest.mark.parametrize(("length", "announced"), [(0, 1), (5, 4), (5, 6), (PIECE, PIECE + 1), (PIECE + 1, PIECE)])
def test_a_body_of_another_size_ends_badly(length: int, announced: int) -> None:
    for body in (sample(length), chunked(sample(length))):
        with pytest.raises(IncompleteBody) as raised:
            asyncio.run(collected(body, announced))
        assert raised.value.expected == announced


def test_a_body_that_does_not_end_is_given_up() -> None:
    given: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while len(given) < 100:
            given.append(1)
            yield bytes(1000)

    with pytest.raises(IncompleteBody):
        asyncio.run(collected(endless(), 2500))
    assert len(given) == 3
