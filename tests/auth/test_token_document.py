from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectstore.auth.document import (
    TokenDocument,
    added,
    find,
    format_document,
    parse_document,
    removed,
    replaced,
)
from objectstore.auth.scopes import SCOPES
from objectstore.auth.tokens import Allowance, TokenRecord
from objectstore.core.rates import Window
from objectstore.errors import ConfigurationError

TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=0))
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=2))
BAD_QUOTAS: tuple[Any, ...] = (
    {},
    None,
    5,
    "50GB",
    {"bytes": "50GB"},
    {"bytes": -1},
    {"objects": True},
    {"bytes": 1, "files": 2},
)
SIZES = st.integers(0, 2**60)
RECORDS = st.builds(
    TokenRecord,
    name=st.text("aé-._", min_size=1, max_size=8),
    digest=st.binary(min_size=32, max_size=32),
    created=TIMES,
    expires=st.none() | TIMES,
    scopes=st.frozensets(st.sampled_from(SCOPES), min_size=1),
    prefixes=st.lists(st.text("aé/", max_size=4), min_size=1, max_size=3).map(tuple),
    rate=st.sampled_from([None, (), (Window(10, 1),), (Window(10, 1), Window(500, 3600))]),
    quota=st.builds(Allowance, size=st.none() | SIZES, objects=st.none() | SIZES),
    others=st.dictionaries(st.sampled_from(["note", "colour"]), JSON),
)
DOCUMENTS = st.builds(
    TokenDocument,
    st.lists(RECORDS, max_size=4, unique_by=(lambda one: one.name, lambda one: one.digest)).map(tuple),
    st.dictionaries(st.sampled_from(["comment", "keys"]), JSON),
)


def record(name: str = "someone", digest: bytes = bytes(32)) -> TokenRecord:
    created = datetime(2026, 5, 1, tzinfo=UTC)
    return TokenRecord(name=name, digest=digest, created=created, expires=None, scopes=frozenset({"read"}))


def members(**changed: Any) -> dict[str, Any]:
    plain = {
        "name": "someone",
        "sha256": "0" * 64,
        "created": "2026-05-01T12:00:00Z",
        "expires": "2026-05-02T12:00:00+02:00",
        "scopes": ["read"],
    }
    return {name: value for name, value in {**plain, **changed}.items() if value is not ...}


def parse(*tokens: Any, **others: Any) -> TokenDocument:
    return parse_document(json.dumps({"version": 1, "tokens": tokens, **others}).encode())


@settings(deadline=None)
@given(DOCUMENTS)
def test_a_document_survives_its_file(document: TokenDocument) -> None:
    assert parse_document(format_document(document)) == document


def test_what_a_later_version_wrote_is_kept_through_an_edit() -> None:
    old = parse(members(rate="10/second"), keys={"a": 1})
    new = json.loads(format_document(added(old, record("other", b"\1" * 32))))
    assert new["keys"] == {"a": 1}
    assert [one.get("rate") for one in new["tokens"]] == ["10/second", None]


def test_an_unbound_token_has_no_prefixes_in_the_file() -> None:
    assert "prefixes" not in json.loads(format_document(TokenDocument((record(),))))["tokens"][0]


def test_times_are_read_in_any_zone_and_held_in_utc() -> None:
    assert parse(members()).records[0].expires == datetime(2026, 5, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff\xff\xff\xff\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it does not hold a JSON object"),
        (b"{}", "its version is None, and this program knows version 1"),
        (b'{"version": 2, "tokens": []}', "its version is 2, and this program knows version 1"),
        (b'{"version": 1}', 'it has no list "tokens"'),
        (b'{"version": 1, "tokens": {}}', 'it has no list "tokens"'),
        (b'{"version": 1, "tokens": [3]}', "token 1 is not a JSON object"),
    ],
)
def test_contents_that_are_no_token_file_are_refused(contents: bytes, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(complaint)):
        parse_document(contents)


@pytest.mark.parametrize(
    ("member", "value", "wanted"),
    [
        ("name", ..., "a text"),
        ("name", 3, "a text"),
        ("sha256", "xyz", "64 hexadecimal digits"),
        ("sha256", "00" * 31, "64 hexadecimal digits"),
        ("created", "yesterday", "a time"),
        ("created", "2026-05-01T12:00:00", "a time"),
        ("expires", ..., "a time"),
        ("expires", 1_800_000_000, "a time"),
        ("scopes", "read", "a list of read, write, delete, metrics"),
        ("scopes", ["raed"], "a list of read, write, delete, metrics"),
        ("scopes", [], "a list of read, write, delete, metrics"),
        ("prefixes", [], "a list of at least one text, or left out for every key"),
        ("prefixes", [1], "a list of at least one text"),
        ("prefixes", "a/", "a list of at least one text"),
        ("rate", "often", "a rate such as 100/second"),
        ("rate", 10, "a rate such as 100/second"),
        ("rate", None, "a rate such as 100/second"),
        *[("quota", value, 'an object with a number of "bytes"') for value in BAD_QUOTAS],
    ],
)
def test_a_member_that_cannot_be_used_is_named(member: str, value: object, wanted: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f'token 2: "{member}" has to be {wanted}')):
        parse(members(name="first", sha256="1" * 64), members(**{member: value}))


def test_two_tokens_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tokens named 'someone'"):
        parse(members(), members(sha256="1" * 64))


def test_one_token_under_two_names_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="same hash"):
        parse(members(), members(name="other"))


def test_a_taken_name_is_not_added_again() -> None:
    with pytest.raises(ConfigurationError, match="already a token named 'someone'"):
        added(TokenDocument((record(),)), record(digest=b"\1" * 32))


def test_a_removed_record_leaves_the_others_in_order() -> None:
    document = TokenDocument(tuple(record(name, name.encode() * 32) for name in "abc"))
    assert [one.name for one in removed(document, "b").records] == ["a", "c"]


def test_a_replaced_record_keeps_its_place() -> None:
    document = TokenDocument(tuple(record(name, name.encode() * 32) for name in "abc"))
    changed = record("b", b"\1" * 32)
    assert replaced(document, changed).records == (document.records[0], changed, document.records[2])


def test_an_absent_name_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(ConfigurationError, match="no token named 'x'; there are 'a', 'b'"):
        find(TokenDocument((record("a", b"a" * 32), record("b", b"b" * 32))), "x")
