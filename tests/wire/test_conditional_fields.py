"""Entity tags and the fields that make a request conditional."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.errors import BadRequest
from objectstore.values import UNCONDITIONAL, Conditions, Etags
from objectstore.wire.conditions import format_conditions, parse_conditions, parse_etags, parse_if_range
from objectstore.wire.headers import format_etag, http_date, parse_etag
from strategies import ETAGS

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
TIME = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
SECONDS = st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001  bounds are naive
    lambda time: time.replace(microsecond=0)
)
ANY: Etags = "*"
WANTED: st.SearchStrategy[Etags] = st.just(ANY) | st.lists(ETAGS, min_size=1, max_size=4).map(tuple)


@given(ETAGS)
def test_an_etag_comes_back(etag: str) -> None:
    assert parse_etag(format_etag(etag)) == etag
    assert parse_etag(b"W/" + format_etag(etag)) == etag


SPACE = st.text(" \t", max_size=2).map(str.encode)
# What may stand between two tags: a comma at least, empty elements and white space as you like.
BETWEEN = st.lists(SPACE, min_size=2, max_size=4).map(b",".join)
AROUND = st.lists(SPACE, max_size=3).map(b",".join)


@given(st.lists(st.tuples(st.booleans(), ETAGS), min_size=1, max_size=5), st.data())
def test_a_list_of_tags_is_read_however_it_is_spaced(tags: Sequence[tuple[bool, str]], data: st.DataObject) -> None:
    value = data.draw(AROUND)
    for at, (weak, etag) in enumerate(tags):
        value += data.draw(BETWEEN) if at else b""
        value += b"W/" * weak + format_etag(etag)
    value += data.draw(st.just(b"") | BETWEEN | SPACE)
    assert parse_etags(value, strong=False) == tuple(etag for _, etag in tags)
    assert parse_etags(value, strong=True) == tuple(etag for weak, etag in tags if not weak)


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (b"*", "*"),
        (b" * ", "*"),
        (b'"a"', ("a",)),
        (b'"a","b"', ("a", "b")),
        (b'"a,b", "c"', ("a,b", "c")),
        (b'"*"', ("*",)),
        (b'""', ("",)),
        (b', "a",, ,"b",', ("a", "b")),
        (b'W/"a"', ("a",)),
        (b'"\xe9"', ("é",)),
    ],
)
def test_a_condition_is_a_star_or_tags(value: bytes, tags: Etags) -> None:
    assert parse_etags(value, strong=False) == tags


def test_weak_tags_match_nothing_where_strong_ones_are_compared() -> None:
    assert parse_etags(b'W/"a", W/"b"', strong=True) == ()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b",",
        b" , ,",
        b"a",
        b'"a',
        b'a"',
        b"'a'",
        b'"a" "b"',
        b'"a"b',
        b'"a";"b"',
        b'"a b"',
        b'"a\tb"',
        b'"a\x00b"',
        b'"a\x7fb"',
        b'w/"a"',
        b'W / "a"',
        b'W/W/"a"',
        b"*, *",
        b'*, "a"',
        b'"a", *',
        b'"a"\n"b"',
        b'"a"\n',
        b"," * 10_000,
        b" " * 10_000 + b"x",
        b'"a",' * 1000 + b"x",
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_list_that_cannot_be_read_is_refused(value: bytes) -> None:
    for strong in (False, True):
        with pytest.raises(BadRequest):
            parse_etags(value, strong=strong)


@given(st.text('W/"*, \tab\x00é', max_size=12).map(lambda text: text.encode("latin-1")) | st.binary(max_size=20))
def test_rubbish_is_tags_or_refused(value: bytes) -> None:
    try:
        tags = parse_etags(value, strong=False)
    except BadRequest:
        return
    assert parse_etags(dict(format_conditions(Conditions(if_match=tags)))[b"if-match"], strong=True) == tags


CONDITIONS = st.builds(
    Conditions,
    if_match=st.none() | WANTED,
    if_none_match=st.none() | WANTED,
    if_modified_since=st.none() | SECONDS,
    if_unmodified_since=st.none() | SECONDS,
)


@given(CONDITIONS)
def test_conditions_come_back(conditions: Conditions) -> None:
    assert parse_conditions(dict(format_conditions(conditions))) == conditions


def test_without_conditions_there_is_one_value_for_none() -> None:
    assert parse_conditions({b"host": b"h"}) is UNCONDITIONAL
    assert format_conditions(UNCONDITIONAL) == []


def test_each_field_is_its_condition() -> None:
    fields = {
        b"if-match": b'"a"',
        b"if-none-match": b'W/"b"',
        b"if-modified-since": DATE,
        b"if-unmodified-since": b"Mon, 07 Nov 1994 08:49:37 GMT",
    }
    assert parse_conditions(fields) == Conditions(
        if_match=("a",),
        if_none_match=("b",),
        if_modified_since=TIME,
        if_unmodified_since=TIME.replace(day=7),
    )


@pytest.mark.parametrize("name", [b"if-match", b"if-none-match"])
def test_a_condition_on_tags_is_never_ignored(name: bytes) -> None:
    for value in (b"", b"abc", b'"abc'):
        with pytest.raises(BadRequest):
            parse_conditions({name: value})


@pytest.mark.parametrize("name", [b"if-modified-since", b"if-unmodified-since"])
def test_a_condition_on_a_time_that_is_none_is_ignored(name: bytes) -> None:
    assert parse_conditions({name: b"yesterday"}) == UNCONDITIONAL


def test_a_list_that_nothing_matches_is_sent_as_a_tag_that_nothing_has() -> None:
    assert format_conditions(Conditions(if_match=())) == [(b"if-match", b'""')]


@pytest.mark.parametrize("etag", ['"quoted"', 'a", "b', "a b", "a\r\nx-injected: 1", "a\0", "€", "\ud800", "\x7f"])
def test_what_is_no_etag_is_not_sent(etag: str) -> None:
    for conditions in (Conditions(if_match=("fine", etag)), Conditions(if_none_match=(etag,))):
        with pytest.raises(BadRequest, match="without quotes"):
            format_conditions(conditions)


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (b'"a"', "a"),
        (b'""', ""),
        (b'"\xe9"', "é"),
        (DATE, TIME),
        (b'W/"a"', None),
        (b'"a', None),
        (b'a"', None),
        (b'"a", "b"', None),
        (b'"a"\n', None),
        (b"*", None),
        (b"", None),
        (b"yesterday", None),
    ],
)
def test_if_range_is_one_strong_tag_or_a_time(value: bytes, held: str | datetime | None) -> None:
    assert parse_if_range(value) == held


@given(ETAGS, SECONDS)
def test_a_validator_of_a_response_is_one_of_if_range(etag: str, time: datetime) -> None:
    assert parse_if_range(format_etag(etag)) == etag
    assert parse_if_range(http_date(time)) == time


@given(st.binary(max_size=30))
def test_rubbish_in_if_range_holds_nothing(value: bytes) -> None:
    assert isinstance(parse_if_range(value), str | datetime | None)


def test_what_is_to_match_is_compared_strongly() -> None:
    conditions = parse_conditions({b"if-match": b'W/"a", "b"', b"if-none-match": b'W/"a", "b"'})
    assert (conditions.if_match, conditions.if_none_match) == (("b",), ("a", "b"))


def test_an_etag_that_no_header_can_carry_is_told() -> None:
    assert format_conditions(Conditions(if_match=("\xff",))) == [(b"if-match", b'"\xff"')]
    with pytest.raises(BadRequest, match="'Ā' is no etag"):
        format_conditions(Conditions(if_match=("Ā",)))
