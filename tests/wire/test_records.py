"""JSON bodies, out and back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.listing import decode_cursor
from objectstore.errors import BadRequest, InvalidMetadata
from objectstore.values import DEFAULT_CONTENT_TYPE, Attributes, ListPage, ObjectInfo, Part, Upload
from objectstore.wire.records import (
    dump,
    format_digests,
    format_page,
    format_record,
    format_time,
    parse_attributes,
    parse_digest_map,
    parse_part,
    parse_record,
    parse_time,
    parse_upload,
    part,
    record,
    upload,
)
from strategies import INFOS, KEYS, TIMES

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 42, tzinfo=UTC)
INFO = ObjectInfo(key="k", size=3, etag="e", created=MOMENT, modified=MOMENT, digests={"sha-256": bytes(32)})
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.text(max_size=3), LEAVES, max_size=2)


def _told(info: ObjectInfo) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(dump(record(info)))
    return told


@given(INFOS)
def test_the_text_of_a_record_is_the_record(info: ObjectInfo) -> None:
    assert json.loads(format_record(info)) == record(info)


@given(INFOS)
def test_a_record_brings_the_object_back(info: ObjectInfo) -> None:
    # An object that was given no type is told, and known from then on, as one of the default type.
    shown = replace(info.attributes, content_type=info.attributes.content_type or DEFAULT_CONTENT_TYPE)
    assert parse_record(_told(info)) == replace(info, attributes=shown)


def test_a_record_has_the_members_of_the_contract() -> None:
    assert _told(INFO) == {
        "key": "k",
        "size": 3,
        "etag": "e",
        "content_type": "application/octet-stream",
        "created_at": "2026-03-01T12:00:00.000042Z",
        "modified_at": "2026-03-01T12:00:00.000042Z",
        "digest": {"sha-256": "A" * 43 + "="},
        "metadata": {},
    }


def test_kept_headers_are_in_the_record_when_they_say_something() -> None:
    attributes = Attributes(content_type="text/plain", content_language="", cache_control="no-store")
    told = _told(replace(INFO, attributes=attributes))
    assert (told["content_type"], told["cache_control"]) == ("text/plain", "no-store")
    assert not {"content_language", "content_encoding", "content_disposition"} & set(told)


@given(KEYS)
def test_any_key_travels_in_json(key: str) -> None:
    assert json.loads(dump({"keys": [key]})) == {"keys": [key]}


def test_json_is_compact_and_keys_are_readable_in_it() -> None:
    assert dump({"keys": ["é", "\u2028"], "n": 1}) == '{"keys":["é","\u2028"],"n":1}'.encode()


@pytest.mark.parametrize("name", ["key", "size", "etag", "created_at", "modified_at", "digest"])
@pytest.mark.parametrize("value", [None, True, 1.5, [], "", {"a": 1}], ids=repr)
def test_a_member_of_another_kind_makes_no_record(name: str, value: object) -> None:
    told = _told(INFO)
    if type(value) is type(told[name]) and name in {"key", "etag"}:
        return  # an empty text is a text
    with pytest.raises(BadRequest):
        parse_record(told | {name: value})


@pytest.mark.parametrize("name", ["key", "size", "etag", "created_at", "modified_at", "digest"])
def test_a_missing_member_is_named(name: str) -> None:
    told = _told(INFO)
    del told[name]
    with pytest.raises(BadRequest, match=name):
        parse_record(told)


def test_members_of_a_later_version_are_passed_over() -> None:
    assert parse_record(_told(INFO) | {"version": 7}).key == "k"


@pytest.mark.parametrize("told", [None, [], "record", 7, {}], ids=repr)
def test_what_is_no_object_of_json_is_no_record(told: object) -> None:
    with pytest.raises(BadRequest):
        parse_record(told)


@given(st.dictionaries(st.sampled_from([*_told(INFO), "cache_control"]), VALUES), VALUES)
def test_rubbish_is_a_record_or_refused(members: dict[str, Any], other: Any) -> None:
    for told in (members, _told(INFO) | members, other):
        try:
            info = parse_record(told)
        except BadRequest:
            continue
        assert parse_record(_told(info)).key == info.key


@given(TIMES)
def test_a_time_comes_back_to_the_microsecond(time: datetime) -> None:
    assert parse_time(format_time(time)) == time
    assert len(format_time(time)) == len("2026-03-01T12:00:00.000000Z")


def test_times_are_told_in_utc() -> None:
    there = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(there) == "2026-02-28T23:30:00.000000Z"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T12:00:00.5-00:30", datetime(2026, 3, 1, 12, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01 12:00:00.123456789Z", datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_any_time_of_rfc_3339_is_read(text: str, time: datetime) -> None:
    found = parse_time(text)
    assert found == time
    assert found.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-03-01", "2026-03-01T12:00:00", "2026-02-30T12:00:00Z", "0001-01-01T00:00:00+01:00", "9" * 5000],
    ids=lambda text: text[:30],
)
def test_a_time_without_its_offset_or_sense_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_time(text)


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=64)))
def test_digests_come_back(digests: dict[str, bytes]) -> None:
    assert parse_digest_map(format_digests(digests)) == digests


@pytest.mark.parametrize("told", [{"md5": "?"}, {"md5": "YQ"}, {"md5": "é"}, {"md5": None}, {"md5": 7}, [], None])
def test_digests_that_are_no_base64_are_refused(told: Any) -> None:
    with pytest.raises(BadRequest):
        parse_digest_map(told)


@pytest.mark.parametrize(
    "nothing", [{}, {"content_type": None, "metadata": None}, {"content_type": "", "metadata": {}}]
)
def test_attributes_that_say_nothing_are_none(nothing: dict[str, Any]) -> None:
    assert parse_attributes(nothing) == Attributes()


@pytest.mark.parametrize(
    "told",
    [
        {"content_type": 7},
        {"content_type": ["text/plain"]},
        {"cache_control": {"a": 1}},
        {"cache_control": "a\r\nb"},
        {"metadata": [1]},
        {"metadata": "colour"},
        {"metadata": True},
        {"metadata": {"colour": 7}},
        {"metadata": {"colour": None}},
        {"metadata": {"Colour": "red"}},
        {"metadata": {"colour": "red\r\nSet-Cookie: a"}},
    ],
    ids=str,
)
def test_attributes_that_cannot_be_kept_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises(InvalidMetadata):
        parse_attributes(told)


def test_a_page_tells_where_to_go_on() -> None:
    told = json.loads(format_page(ListPage(keys=("a", "b"), next_start="b\0"), delimited=False, details=False))
    assert told["keys"] == ["a", "b"]
    assert (set(told), told["has_more"]) == ({"keys", "next_cursor", "has_more"}, True)
    assert decode_cursor(str(told["next_cursor"])) == "b\0"


def test_the_last_page_says_so() -> None:
    told = json.loads(format_page(ListPage(keys=()), delimited=False, details=False))
    assert told == {"keys": [], "next_cursor": None, "has_more": False}


def test_a_page_has_prefixes_and_records_when_they_were_asked_for() -> None:
    found = ListPage(keys=("k",), prefixes=("a/",), objects=(INFO,))
    told = json.loads(format_page(found, delimited=True, details=True))
    assert told["prefixes"] == ["a/"]
    assert [parse_record(one).key for one in told["objects"]] == ["k"]
    empty = json.loads(format_page(ListPage(keys=()), delimited=True, details=True))
    assert (empty["prefixes"], empty["objects"]) == ([], [])


def test_an_upload_tells_what_has_arrived() -> None:
    arrived = Part(number=2, size=5, etag="p2", modified=MOMENT, digests={"md5": b"\xff"})
    kept = Attributes(content_type="a/b", cache_control="no-store", metadata={"name": "é"})
    begun = Upload(upload_id="u", key="é/..", begun=MOMENT, attributes=kept, parts=(arrived,))
    time = "2026-03-01T12:00:00.000042Z"
    told = {"n": 2, "size": 5, "etag": "p2", "modified_at": time, "digest": {"md5": "/w=="}}
    assert part(arrived) == told
    assert json.loads(dump(upload(begun))) == {
        "upload_id": "u",
        "key": "é/..",
        "begun_at": time,
        "content_type": "a/b",
        "cache_control": "no-store",
        "metadata": {"name": "é"},
        "parts": [told],
    }
    for one in (
        begun,
        replace(begun, completed=replace(INFO, attributes=kept)),
        Upload(upload_id="u", key="k", begun=MOMENT),
    ):
        assert parse_upload(json.loads(dump(upload(one)))) == one


@pytest.mark.parametrize("told", [None, [], {}, {"upload_id": "u", "key": "k"}, {"n": 1}, "x"])
def test_what_is_no_record_of_an_upload_is_refused(told: object) -> None:
    for parse in (parse_upload, parse_part):
        with pytest.raises(BadRequest):
            parse(told)


def test_json_is_compact_also_where_it_has_no_utf_8() -> None:
    assert dump({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
    assert dump({"a": [1, "\ud800"]}) == b'{"a":[1,"\\ud800"]}'


def test_several_of_a_kind_are_apart() -> None:
    both = replace(INFO, digests={"md5": bytes(16), "sha-256": bytes(32)})
    page = json.loads(format_page(ListPage(keys=("k", "k"), objects=(both, INFO)), delimited=False, details=True))
    assert page["objects"] == [_told(both), _told(INFO)]


@pytest.mark.parametrize("text", ["2026-03-01T12:00:00Z", "2026-03-01T14:00:00+02:00"])
def test_a_time_is_in_utc_wherever_it_runs(text: str) -> None:
    assert parse_time(text).tzinfo is UTC
