"""Ranges against the plain idea of them: which indices of the bytes are meant."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.ranges import resolve, resolve_all
from objectstore.errors import InvalidRange
from objectstore.values import Bounded, ByteRange, From, Last

NUMBERS = st.integers(0, 30)
RANGES: st.SearchStrategy[ByteRange] = st.one_of(
    st.tuples(NUMBERS, st.integers(1, 30)).map(lambda pair: Bounded(pair[0], pair[0] + pair[1])),
    NUMBERS.map(From),
    NUMBERS.map(Last),
)


def _meant(wanted: ByteRange, size: int) -> list[int]:
    indices = list(range(size))
    match wanted:
        case Bounded(start, stop):
            return [index for index in indices if start <= index < stop]
        case From(start):
            return [index for index in indices if start <= index]
        case Last(length):
            return indices[::-1][:length][::-1]


@given(RANGES, st.integers(0, 40))
def test_a_range_selects_the_bytes_that_are_meant(wanted: ByteRange, size: int) -> None:
    meant = _meant(wanted, size)
    if meant:
        assert list(range(*resolve(wanted, size))) == meant
    else:
        with pytest.raises(InvalidRange) as told:
            resolve(wanted, size)
        assert told.value.size == size


@pytest.mark.parametrize("size", [0, 1, 100])
def test_no_range_selects_all(size: int) -> None:
    assert resolve(None, size) == (0, size)


@pytest.mark.parametrize("wanted", [Bounded(0, 1), From(0), Last(1), Last(10)])
def test_nothing_can_be_selected_of_an_empty_object(wanted: ByteRange) -> None:
    with pytest.raises(InvalidRange):
        resolve(wanted, 0)


def test_an_end_past_the_object_is_cut() -> None:
    assert resolve(Bounded(5, 10**18), 10) == (5, 10)
    assert resolve(Last(10**18), 10) == (0, 10)


@given(st.lists(RANGES, max_size=8), st.integers(0, 40))
def test_several_ranges_select_each_byte_once(wanted: Sequence[ByteRange], size: int) -> None:
    meant = {index for one in wanted for index in _meant(one, size)}
    if not meant:
        with pytest.raises(InvalidRange):
            resolve_all(wanted, size)
        return
    spans = resolve_all(wanted, size)
    assert sorted(index for span in spans for index in range(*span)) == sorted(meant)
    ends = sorted(spans)
    assert all(before[1] < after[0] for before, after in pairwise(ends)), "joined where they touch"


def test_ranges_apart_keep_the_order_asked_for() -> None:
    assert list(resolve_all([From(90), Bounded(0, 5), Bounded(40, 50)], 100)) == [(90, 100), (0, 5), (40, 50)]


def test_a_range_joins_all_that_it_bridges() -> None:
    assert list(resolve_all([Bounded(0, 10), Bounded(20, 30), Bounded(60, 70), Bounded(5, 20)], 100)) == [
        (60, 70),
        (0, 30),
    ]


def test_ranges_that_touch_are_joined_in_either_order() -> None:
    assert list(resolve_all([Bounded(0, 10), Bounded(10, 20)], 100)) == [(0, 20)]
    assert list(resolve_all([Bounded(10, 20), Bounded(0, 10)], 100)) == [(0, 20)]


def test_ranges_that_select_nothing_are_left_out() -> None:
    assert list(resolve_all([From(100), Last(0), Bounded(3, 4)], 100)) == [(3, 4)]


@pytest.mark.parametrize(("start", "stop"), [(5, 5), (5, 3), (-1, 3), (-3, -1)])
def test_bounds_have_an_order(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="start < stop"):
        Bounded(start, stop)


def test_a_range_does_not_count_backwards() -> None:
    with pytest.raises(ValueError, match="Last counts from the end"):
        From(-1)
    with pytest.raises(ValueError, match="not negative"):
        Last(-1)
