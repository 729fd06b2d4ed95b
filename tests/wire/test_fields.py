"""Header fields as a whole, dates, kept attributes, and the fields of a response."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.attributes import MAX_ATTRIBUTES_SIZE
from objectstore.errors import BadRequest, InvalidMetadata, ObjectStoreError
from objectstore.values import DEFAULT_CONTENT_TYPE, NO_ATTRIBUTES, Attributes, ObjectInfo
from objectstore.wire.headers import (
    fields_of,
    format_attributes,
    format_info,
    http_date,
    parse_attributes,
    parse_http_date,
    parse_info,
)
from strategies import ATTRIBUTES, INFOS, TIMES

MOMENT = datetime(1994, 11, 6, 8, 49, 37, 500_000, tzinfo=UTC)
SHOWN = MOMENT.replace(microsecond=0)
INFO = ObjectInfo(key="k", size=3, etag="e", created=MOMENT, modified=MOMENT, digests={"sha-256": bytes(32)})


# Repeated fields


@pytest.mark.parametrize("name", [b"if-match", b"content-digest", b"cache-control", b"accept", b"set-cookie", b"x-any"])
def test_lines_of_a_list_are_joined_in_their_order(name: bytes) -> None:
    assert fields_of([(name, b"a"), (b"host", b"h"), (name, b"b"), (name, b"a")]) == {name: b"a, b, a", b"host": b"h"}


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"content-length",
        b"content-type",
        b"content-md5",
        b"etag",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"last-modified",
        b"x-copy-from",
        b"x-object-meta-colour",
    ],
)
def test_what_is_one_value_cannot_be_two(name: bytes) -> None:
    with pytest.raises(BadRequest, match=name.decode()):
        fields_of([(name, b"a"), (name, b"b")])
    assert fields_of([(name, b"a"), (name, b"a")]) == {name: b"a"}


PAIRS = st.lists(st.tuples(st.sampled_from([b"a", b"if-match", b"etag", b"\xff", b""]), st.binary(max_size=3)))


@given(PAIRS)
def test_any_fields_are_read_or_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    try:
        found = fields_of(iter(pairs))
    except BadRequest:
        assert len(dict(pairs)) < len(pairs)
        return
    assert set(found) == {name for name, _ in pairs}
    for name, value in found.items():
        first = next(one for other, one in pairs if other == name)
        assert value.startswith(first)


# Dates


@given(TIMES)
def test_a_date_is_cut_to_its_second(time: datetime) -> None:
    assert parse_http_date(http_date(time)) == time.replace(microsecond=0)


@pytest.mark.parametrize("year", [1000, 1969, 1970, 9999])
def test_a_date_is_rounded_down_in_any_century(year: int) -> None:
    last = datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert parse_http_date(http_date(last)) == last.replace(microsecond=0)


def test_a_date_is_written_in_the_preferred_form() -> None:
    assert http_date(MOMENT) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(MOMENT.astimezone(timezone(timedelta(hours=-5)))) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    "value", [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"]
)
def test_all_three_forms_of_a_date_are_read(value: bytes) -> None:
    found = parse_http_date(value)
    assert found == SHOWN
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"yesterday",
        b"0",
        b"1757000000",
        b'"etag"',
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 25:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:60 GMT",
        b"Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 +99999999999999999999",
        b"Sun, 06 Nov " + b"9" * 5000 + b" 08:49:37 GMT",
        b"S\xfcn, 06 Nov 1994 08:49:37 GMT",
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_date_that_is_none_is_as_good_as_absent(value: bytes | None) -> None:
    assert parse_http_date(value) is None


PIECES = st.sampled_from([b"Sun", b",", b" ", b"06", b"Nov", b"94", b"1994", b":", b"08:49:37", b"GMT", b"-", b"+9999"])


@given(st.lists(PIECES, max_size=12).map(b"".join) | st.binary(max_size=40))
def test_rubbish_is_a_date_or_none(value: bytes) -> None:
    found = parse_http_date(value)
    assert found is None or found.utcoffset() == timedelta(0)


# Attributes


@given(ATTRIBUTES)
def test_attributes_travel_in_headers(attributes: Attributes) -> None:
    sent = fields_of(format_attributes(attributes))
    assert parse_attributes(sent) == attributes


@given(ATTRIBUTES)
def test_no_attribute_breaks_out_of_its_line(attributes: Attributes) -> None:
    for name, value in format_attributes(attributes):
        assert not set(name + value) & set(b"\r\n\0")


def test_without_attributes_there_is_one_value_for_none() -> None:
    assert parse_attributes({b"host": b"h", b"content-length": b"3"}) is NO_ATTRIBUTES
    assert parse_attributes({b"content-type": b"", b"cache-control": b""}) is NO_ATTRIBUTES


def test_values_are_utf_8() -> None:
    disposition = "attachment; filename=\"naïve.txt\"; filename*=UTF-8''na%C3%AFve.txt"
    found = parse_attributes({b"content-disposition": disposition.encode(), b"x-object-meta-wo": "Köln, 日本".encode()})
    assert found == Attributes(content_disposition=disposition, metadata={"wo": "Köln, 日本"})


def test_metadata_may_be_empty_text() -> None:
    assert parse_attributes({b"x-object-meta-empty": b""}).metadata == {"empty": ""}


@pytest.mark.parametrize(
    "fields",
    [
        {b"content-type": b"text/\xff"},
        {b"x-object-meta-a": b"\xe9"},
        {b"x-object-meta-\xe9": b"a"},
        {b"x-object-meta-": b"a"},
        {b"x-object-meta-a": b"a\r\nset-cookie: b"},
        {b"x-object-meta-a": b"a\0"},
        {b"x-object-meta-a b": b"c"},
        {b"x-object-meta-\xc3\xa9": b"c"},
        {b"cache-control": b"a" * (MAX_ATTRIBUTES_SIZE + 1)},
    ],
    ids=lambda fields: repr(fields)[:50],
)
def test_attributes_that_cannot_be_kept_are_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(InvalidMetadata):
        parse_attributes(fields)


NAMES = st.sampled_from(
    [b"content-type", b"etag", b"last-modified", b"x-modified-at", b"repr-digest", b"cache-control"]
)
META_NAMES = st.binary(max_size=5).map(lambda name: b"x-object-meta-" + name)


@given(st.dictionaries(NAMES | META_NAMES, st.binary(max_size=12)))
def test_rubbish_is_kept_or_refused(fields: dict[bytes, bytes]) -> None:
    try:
        found = parse_attributes(fields)
    except InvalidMetadata:
        return
    assert parse_attributes(dict(format_attributes(found))) == found


# Whole responses


def test_what_is_added_to_the_fields_of_one_answer_is_not_in_the_next() -> None:
    format_info(INFO).append((b"content-length", b"1"))
    assert b"content-length" not in dict(format_info(INFO))


@given(INFOS)
def test_of_two_objects_that_differ_in_anything_each_has_its_own_fields(info: ObjectInfo) -> None:
    # They have one hash, so this is a matter of how they compare.
    other = replace(info, modified=info.modified + timedelta(seconds=1))
    assert hash(other) == hash(info)
    assert format_info(info) != format_info(other)


@given(INFOS)
def test_a_response_tells_all_of_the_object(info: ObjectInfo) -> None:
    found = parse_info(info.key, fields_of(format_info(info)), info.size)
    shown = replace(info.attributes, content_type=info.attributes.content_type or DEFAULT_CONTENT_TYPE)
    assert found == replace(info, attributes=shown)


def test_a_server_that_tells_one_time_in_seconds_is_believed() -> None:
    fields = {name: value for name, value in format_info(INFO) if not name.endswith(b"-at")}
    found = parse_info("k", fields, 3)
    assert (found.created, found.modified) == (SHOWN, SHOWN)


def test_a_response_has_the_fields_of_the_contract() -> None:
    assert dict(format_info(INFO)) == {
        b"etag": b'"e"',
        b"last-modified": b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"x-created-at": b"1994-11-06T08:49:37.500000Z",
        b"x-modified-at": b"1994-11-06T08:49:37.500000Z",
        b"accept-ranges": b"bytes",
        b"content-type": b"application/octet-stream",
        b"repr-digest": b"sha-256=:" + b"A" * 43 + b"=:",
        b"x-content-type-options": b"nosniff",
        b"content-security-policy": b"sandbox",
    }


@pytest.mark.parametrize("content_type", [None, "", "text/plain"])
def test_there_is_always_one_content_type(content_type: str | None) -> None:
    fields = format_info(replace(INFO, attributes=Attributes(content_type=content_type)))
    told = [value.decode() for name, value in fields if name == b"content-type"]
    assert told == [content_type or DEFAULT_CONTENT_TYPE]


def test_an_object_without_a_digest_is_told_without() -> None:
    fields = dict(format_info(replace(INFO, digests={"md5": bytes(16)})))
    assert b"repr-digest" not in fields
    assert parse_info("k", fields, 3).digests == {}


@pytest.mark.parametrize("missing", [b"etag", b"last-modified"])
def test_an_answer_of_something_else_is_told_apart(missing: bytes) -> None:
    fields = {name: value for name, value in format_info(INFO) if name != missing}
    with pytest.raises(BadRequest, match="is this URL an object store"):
        parse_info("k", fields, 3)


def test_a_proxy_that_weakens_the_etag_does_not_change_it() -> None:
    assert parse_info("k", dict(format_info(INFO)) | {b"etag": b'W/"e"'}, 3).etag == "e"


@given(st.dictionaries(NAMES | META_NAMES, st.binary(max_size=30)))
def test_a_response_of_rubbish_is_read_or_refused(fields: dict[bytes, bytes]) -> None:
    told = {b"etag": b'"e"', b"last-modified": http_date(MOMENT)} | fields
    try:
        info = parse_info("k", told, 3)
    except ObjectStoreError:
        return
    assert (info.key, info.size) == ("k", 3)
