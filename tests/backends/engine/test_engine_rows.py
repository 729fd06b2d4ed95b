"""Rows of the index and the values that they stand for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given

from objectstore.backends.engine import rows
from objectstore.backends.engine.etags import Etags
from objectstore.backends.engine.rows import PartRow, Row, UploadRow
from objectstore.values import (
    NO_ATTRIBUTES,
    NO_DIGESTS,
    ONLY_IF_ABSENT,
    UNCONDITIONAL,
    Attributes,
    Conditions,
    ObjectInfo,
    Part,
    Upload,
)
from strategies import ATTRIBUTES, TIMES

SHA256 = bytes(range(32))
THEN = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC)
LATER = THEN + timedelta(seconds=1)
AT, AT_LATER = rows.microseconds(THEN), rows.microseconds(LATER)
ROW = Row("é", 1, 3, "e", AT, AT_LATER, SHA256, None, None, None)
MD5 = '{"md5": "AAAAAAAAAAAAAAAAAAAAAA=="}'


def test_times_are_microseconds_since_1970() -> None:
    assert rows.microseconds(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
    assert rows.microseconds(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


@given(TIMES)
def test_times_come_back(time: datetime) -> None:
    at = rows.microseconds(time)
    assert rows.info_of(ROW._replace(created=at, modified=at)).created == time


def test_a_row_is_an_object() -> None:
    info = ObjectInfo(key="é", size=3, etag="e", created=THEN, modified=LATER, digests={"sha-256": SHA256})
    assert rows.info_of(ROW) == info
    assert rows.info_of(ROW).attributes is NO_ATTRIBUTES
    row = ROW._replace(digests=MD5, attributes='{"content_type": "a/b", "metadata": {"x": "ä"}}')
    assert rows.info_of(row) == replace(
        info,
        digests={"sha-256": SHA256, "md5": bytes(16)},
        attributes=Attributes(content_type="a/b", metadata={"x": "ä"}),
    )
    assert dict(rows.info_of(row).digests) == {"sha-256": SHA256, "md5": bytes(16)}


def test_a_row_is_a_part() -> None:
    row = PartRow("id", 7, 1, 3, "e", AT, SHA256, MD5, None)
    found = rows.part_of(row)
    assert found == Part(number=7, size=3, etag="e", modified=THEN, digests=found.digests)
    assert dict(found.digests) == {"sha-256": SHA256, "md5": bytes(16)}


def test_a_row_is_an_upload() -> None:
    row = UploadRow("id", "k", AT, None, None, None, None, None, None, None)
    assert rows.upload_of(row) == Upload(
        upload_id="id",
        key="k",
        begun=THEN,
        attributes=NO_ATTRIBUTES,
        conditions=UNCONDITIONAL,
        parts=(),
        completed=None,
    )
    part = Part(number=1, size=0, etag="p", modified=THEN, digests={})
    full = row._replace(
        attributes='{"content_type": "a/b"}', conditions='{"if_none_match": "*"}', completed=rows.encode_row(ROW)
    )
    assert rows.upload_of(full, (part,)) == Upload(
        upload_id="id",
        key="k",
        begun=THEN,
        attributes=Attributes(content_type="a/b"),
        conditions=ONLY_IF_ABSENT,
        parts=(part,),
        completed=rows.info_of(ROW),
    )


def test_digests_are_kept_in_base64() -> None:
    both = {"sha-256": SHA256, "md5": bytes(16)}
    assert rows.encode_digests(both) == MD5, "the other one has a column"
    assert rows.encode_digests({"sha-256": SHA256}) is None
    assert rows.encode_expected({"md5": bytes(16)}) == MD5
    assert dict(rows.decode_digests(rows.encode_expected(both))) == both
    assert rows.encode_expected({}) is None
    assert rows.decode_digests(None) is NO_DIGESTS
    assert dict(rows.all_digests(SHA256, None)) == {"sha-256": SHA256}


@given(ATTRIBUTES)
def test_attributes_come_back(attributes: Attributes) -> None:
    assert rows.decode_attributes(rows.encode_attributes(attributes)) == attributes


def test_attributes_are_json_that_people_can_read() -> None:
    attributes = Attributes(content_type="a/b", cache_control="", metadata={"x": "ä"})
    text = rows.encode_attributes(attributes)
    assert text == '{"content_type": "a/b", "cache_control": "", "metadata": {"x": "ä"}}'
    assert rows.encode_attributes(NO_ATTRIBUTES) is None
    assert rows.encode_attributes(Attributes()) is None
    assert rows.decode_attributes(None) is NO_ATTRIBUTES


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        (UNCONDITIONAL, None),
        (Conditions(), None),
        (Conditions(if_match="*", if_none_match=("a", "b")), '{"if_match": "*", "if_none_match": ["a", "b"]}'),
        (Conditions(if_match=()), '{"if_match": []}'),
        (
            Conditions(if_modified_since=THEN, if_unmodified_since=LATER),
            f'{{"if_modified_since": "{THEN.isoformat()}", "if_unmodified_since": "{LATER.isoformat()}"}}',
        ),
    ],
)
def test_conditions_come_back(conditions: Conditions, text: str | None) -> None:
    assert rows.encode_conditions(conditions) == text
    assert rows.decode_conditions(text) == conditions
    if text is None:
        assert rows.decode_conditions(text) is UNCONDITIONAL


def test_a_row_comes_back_from_its_record() -> None:
    row = ROW._replace(digests=MD5, attributes='{"content_type": "a/b"}', blob="b")
    text = rows.encode_row(row)
    assert rows.decode_row(text) == row
    assert '"key": "é"' in text
    told = json.loads(text)
    assert told == row._asdict() | {"sha256": SHA256.hex()}


def test_etags_are_96_bits_in_hex_and_never_the_same() -> None:
    source = Etags()
    found = {source.next() for _ in range(1000)} | {Etags().next() for _ in range(50)}
    assert len(found) == 1050
    assert {len(etag) for etag in found} == {24}
    assert all(set(etag) <= set("0123456789abcdef") for etag in found)
    assert any(int(etag, 16) >> 95 for etag in found), "all bits are in use"
