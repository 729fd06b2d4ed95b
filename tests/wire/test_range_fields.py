"""`Range` and `Content-Range`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.errors import BadRequest
from objectstore.values import Bounded, ByteRange, From, Last
from objectstore.wire.ranges import MAX_RANGES, format_content_range, format_range, parse_content_range, parse_ranges

SIZES = st.integers(0, 10**18)
RANGES: st.SearchStrategy[ByteRange] = st.one_of(
    st.tuples(SIZES, st.integers(1, 10**18)).map(lambda pair: Bounded(pair[0], pair[0] + pair[1])),
    SIZES.map(From),
    SIZES.map(Last),
)


@given(RANGES)
def test_a_range_comes_back(wanted: ByteRange) -> None:
    assert parse_ranges(format_range(wanted)) == (wanted,)


@given(st.lists(RANGES, min_size=1, max_size=6), st.data())
def test_several_ranges_are_read_however_they_are_spaced(wanted: Sequence[ByteRange], data: st.DataObject) -> None:
    between = st.sampled_from([b",", b", ", b" ,", b",,", b", ,\t"])
    value = b"bytes="
    for at, one in enumerate(wanted):
        value += data.draw(between) if at else b""
        value += format_range(one).removeprefix(b"bytes=")
    assert parse_ranges(value) == tuple(wanted)


@pytest.mark.parametrize(
    ("value", "ranges"),
    [
        (b"bytes=0-0", (Bounded(0, 1),)),
        (b"bytes=0-499", (Bounded(0, 500),)),
        (b"bytes=500-", (From(500),)),
        (b"bytes=-500", (Last(500),)),
        (b"bytes=-0", (Last(0),)),
        (b"Bytes=0-1", (Bounded(0, 2),)),
        (b"bytes=007-009", (Bounded(7, 10),)),
        (b"bytes=0-1,-5", (Bounded(0, 2), Last(5))),
        (b"bytes=,0-1,", (Bounded(0, 2),)),
    ],
)
def test_each_form_of_a_range_is_read(value: bytes, ranges: tuple[ByteRange, ...]) -> None:
    assert parse_ranges(value) == ranges


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes=-",
        b"bytes=a-b",
        b"bytes=5-3",
        b"bytes=0-1,5-3",
        b"bytes=0-1;2-3",
        b"bytes=0 - 1",
        b"bytes=0--1",
        b"bytes=+0-1",
        b"bytes=0x0-1",
        b"bytes=1_0-20",
        b"bytes=\xb2-3",
        b"bytes=0-1-2",
        b"bytes=0-1\n",
        b"bytes 0-1",
        b"bytes:0-1",
        b"items=0-1",
        b"bytes=0-1, bytes=2-3",
        b"bytes=" + b"9" * 20 + b"-",
        b"bytes=0-" + b"9" * 5000,
        b"bytes=-" + b"9" * 100_000,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_field_that_cannot_be_read_is_ignored(value: bytes | None) -> None:
    assert parse_ranges(value) == ()


def test_more_ranges_than_anyone_needs_are_ignored() -> None:
    some = b"bytes=" + b",".join(b"%d-%d" % (at * 2, at * 2) for at in range(MAX_RANGES))
    assert len(parse_ranges(some)) == MAX_RANGES
    assert parse_ranges(some + b",999-999") == ()
    assert parse_ranges(b"bytes=" + b"0-," * 100_000) == ()


@given(st.text("bytes=,-0123456789 \t", max_size=20).map(str.encode) | st.binary(max_size=30))
def test_rubbish_is_ranges_or_ignored(value: bytes) -> None:
    for prefix in (b"", b"bytes="):
        for one in parse_ranges(prefix + value):
            assert parse_ranges(format_range(one)) == (one,)


@given(st.integers(0, 10**18), st.integers(1, 10**18), st.integers(0, 10**18))
def test_a_content_range_comes_back(start: int, length: int, rest: int) -> None:
    span = (start, start + length, start + length + rest)
    assert parse_content_range(format_content_range(*span)) == span


def test_the_end_in_a_content_range_is_included() -> None:
    assert format_content_range(0, 500, 1234) == b"bytes 0-499/1234"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes */9",
        b"bytes 0-1/*",
        b"bytes 0-1",
        b"bytes=0-1/9",
        b"items 0-1/9",
        b"bytes 5-4/9",
        b"bytes 5-3/9",
        b"bytes 0-9/9",
        b"bytes 9-9/9",
        b"bytes -1/9",
        b"bytes 0-1/9\n",
        b"bytes \xb2-3/9",
        b"bytes 0-1/" + b"9" * 20,
        b"bytes 0-1/" + b"9" * 5000,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_content_range_without_sense_is_refused(value: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_content_range(value)


@given(st.text("bytes 0123456789-/*", max_size=20).map(str.encode) | st.binary(max_size=30))
def test_rubbish_is_a_content_range_or_refused(value: bytes) -> None:
    try:
        start, stop, size = parse_content_range(b"bytes " + value)
    except BadRequest:
        return
    assert 0 <= start < stop <= size
