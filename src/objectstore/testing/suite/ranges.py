"""Parts of objects, compared with slices of bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import InvalidRange, NotFound
from objectstore.testing.suite.harness import LARGE, REFUSED, SMALL, Suite, contract, read, sample
from objectstore.values import Bounded, ByteRange, From, GetOptions, Last

STOCK: Final[Mapping[str, bytes]] = {"empty": b"", "one": b"1", "small": sample(SMALL), "large": sample(LARGE)}
ALL: Final = ("one", "small", "large")


class RangeTests(Suite):
    @pytest.mark.parametrize("key", ALL)
    @contract("ranges", objects=STOCK)
    async def test_a_range_is_a_slice(self, backend: Backend, key: str) -> None:
        whole = STOCK[key]
        size = len(whole)
        ranges: list[tuple[ByteRange, bytes]] = [
            (Bounded(0, 1), whole[:1]),
            (Bounded(0, size), whole),
            (Bounded(size - 1, size), whole[-1:]),
            (Bounded(size // 3, size // 2 + 1), whole[size // 3 : size // 2 + 1]),
            (Bounded(0, size + 1), whole),
            (Bounded(size - 1, 2**62), whole[-1:]),
            (From(0), whole),
            (From(size // 2), whole[size // 2 :]),
            (From(size - 1), whole[-1:]),
            (Last(1), whole[-1:]),
            (Last(size), whole),
            (Last(size + 1), whole),
            (Last(2**62), whole),
            (Last(size // 2 + 1), whole[-(size // 2 + 1) :]),
        ]
        for wanted, expected in ranges:
            assert await read(backend, key, wanted) == expected, wanted

    @contract("ranges", objects=STOCK)
    async def test_a_reading_says_where_it_starts_and_stops(self, backend: Backend) -> None:
        wanted: list[tuple[ByteRange, tuple[int, int]]] = [
            (Bounded(100, 200), (100, 200)),
            (From(100), (100, LARGE)),
            (Last(100), (LARGE - 100, LARGE)),
            (Bounded(5, LARGE * 2), (5, LARGE)),
        ]
        for one, expected in wanted:
            async with backend.get("large", GetOptions(range=one)) as reading:
                assert (reading.start, reading.stop) == expected
                assert reading.info == await backend.head("large")

    @pytest.mark.parametrize("key", STOCK)
    @contract("ranges", objects=STOCK)
    async def test_a_range_that_selects_nothing_is_refused_with_the_size(self, backend: Backend, key: str) -> None:
        size = len(STOCK[key])
        for wanted in (Bounded(size, size + 1), Bounded(size + 5, 2**62), From(size), From(2**62), Last(0)):
            with pytest.raises(InvalidRange) as raised:
                await read(backend, key, wanted)
            assert raised.value.size == size

    @contract("ranges", objects=STOCK)
    async def test_nothing_can_be_selected_of_an_empty_object(self, backend: Backend) -> None:
        for wanted in (Bounded(0, 1), From(0), Last(1)):
            with pytest.raises(InvalidRange):
                await read(backend, "empty", wanted)
        assert await read(backend, "empty") == b""

    @contract("ranges", objects=STOCK)
    async def test_a_range_of_an_absent_object_is_not_found(self, backend: Backend) -> None:
        with pytest.raises(NotFound):
            await read(backend, "absent", From(0))

    @contract(without="ranges", objects=STOCK)
    async def test_an_undeclared_range_is_refused(self, backend: Backend) -> None:
        for wanted in (Bounded(0, 1), From(1), Last(1)):
            with pytest.raises(REFUSED):
                await read(backend, "small", wanted)
        assert await read(backend, "small") == STOCK["small"]
