"""The table of errors, outward and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore import errors
from objectstore.errors import ObjectStoreError
from objectstore.wire.errors import RULES, Rule, details, format_error, parse_error, parse_retry_after, rule_of
from objectstore.wire.headers import http_date
from test_errors import BASES, EXAMPLES, ids, tree

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JUNK = st.dictionaries(
    st.sampled_from([b"retry-after", b"x-error-code", b"etag", b"content-range", b"allow"]), st.binary(max_size=30)
)


def _data(error: ObjectStoreError) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "retry_after"}


def _code(error: ObjectStoreError) -> dict[bytes, bytes]:
    """What is left for a HEAD, of which a proxy has kept the code alone."""
    return {b"x-error-code": dict(format_error(error)[1])[b"x-error-code"]}


def test_every_error_has_a_row_of_its_own() -> None:
    assert {rule.error for rule in RULES} == set(tree()) - BASES


def test_no_row_is_there_twice() -> None:
    assert len({rule.error for rule in RULES}) == len(RULES)
    assert len({rule.code for rule in RULES}) == len(RULES)


# The contract with everyone who wrote a client of their own.
CONTRACT = {
    304: {"not_modified"},
    400: {
        "bad_request",
        "digest_mismatch",
        "incomplete_body",
        "invalid_cursor",
        "invalid_digest",
        "invalid_key",
        "invalid_metadata",
        "invalid_part",
    },
    401: {"invalid_link", "link_expired", "unauthenticated"},
    403: {"forbidden"},
    404: {"not_found", "upload_not_found"},
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    411: {"length_required"},
    412: {"already_exists", "precondition_failed"},
    413: {"too_large"},
    416: {"invalid_range"},
    422: {"invalid_parameter"},
    429: {"rate_limited"},
    500: {"configuration_error", "corrupted", "internal_error"},
    501: {"unsupported"},
    503: {"not_ready", "overloaded", "unavailable"},
    507: {"quota_exceeded", "storage_full"},
}


def test_the_table_is_the_one_of_the_contract() -> None:
    statuses = {rule.status for rule in RULES}
    assert {status: {rule.code for rule in RULES if rule.status == status} for status in statuses} == CONTRACT


@pytest.mark.parametrize("error", EXAMPLES, ids=ids)
def test_an_error_comes_back_as_it_went(error: ObjectStoreError) -> None:
    status, fields, body = format_error(error)
    back = parse_error(status, dict(fields), body, now=NOW)
    assert type(back) is type(error)
    assert _data(back) == (_data(error) if status != 304 else _data(error) | {"message": back.message})
    assert str(back) == back.message
    assert back.args == (back.message,)


@pytest.mark.parametrize("error", EXAMPLES, ids=ids)
def test_a_head_tells_by_its_code(error: ObjectStoreError) -> None:
    status, fields, _ = format_error(error)
    back = parse_error(status, dict(fields), b"", key="asked", now=NOW)
    assert type(back) is type(error)
    assert set(_data(back)) == set(_data(error))
    assert back.message


@pytest.mark.parametrize("error", EXAMPLES, ids=ids)
def test_the_code_alone_is_enough(error: ObjectStoreError) -> None:
    back = parse_error(format_error(error)[0], _code(error), b"", key="asked", now=NOW)
    assert type(back) is type(error)
    assert set(_data(back)) == set(_data(error))


@pytest.mark.parametrize("error", EXAMPLES, ids=ids)
def test_a_response_describes_its_body(error: ObjectStoreError) -> None:
    status, pairs, body = format_error(error)
    fields = dict(pairs)
    assert len(fields) == len(pairs)
    assert isinstance(body, bytes)
    assert all(isinstance(text, bytes) for pair in pairs for text in pair)
    if status == 304:
        assert (body, b"content-length" in fields) == (b"", False)
        return
    told = json.loads(body)["error"]
    assert fields[b"content-type"] == b"application/json"
    assert int(fields[b"content-length"]) == len(body)
    assert told["code"] == fields[b"x-error-code"].decode() == rule_of(error).code
    assert told["message"] == error.message


def test_a_kind_from_elsewhere_travels_as_the_nearest_above_it() -> None:
    class Elsewhere(errors.StorageFull):
        """Of a wrapper that is not ours."""

    class Unheard(ObjectStoreError):
        """Of no kind at all."""

    assert rule_of(Elsewhere("full")).code == "storage_full"
    assert rule_of(Unheard("?")).code == "internal_error"
    assert format_error(errors.Retryable("?"))[0] == 500


@pytest.mark.parametrize(
    ("error", "field", "value"),
    [
        (errors.Unauthenticated(), b"www-authenticate", b"Bearer"),
        (errors.InvalidRange(7), b"content-range", b"bytes */7"),
        (errors.MethodNotAllowed("no", ("GET", "HEAD")), b"allow", b"GET, HEAD"),
        (errors.NotModified("tag"), b"etag", b'"tag"'),
        (errors.Unavailable("away"), b"retry-after", b"1"),
        (errors.RateLimited("slow", retry_after=0.2), b"retry-after", b"1"),
        (errors.RateLimited("slow", retry_after=30), b"retry-after", b"30"),
        (errors.RateLimited("slow", retry_after=-3), b"retry-after", b"0"),
    ],
)
def test_the_fields_that_a_status_asks_for_are_there(error: ObjectStoreError, field: bytes, value: bytes) -> None:
    assert dict(format_error(error)[1])[field] == value


def test_only_what_fits_is_told() -> None:
    assert b"allow" not in dict(format_error(errors.MethodNotAllowed("no"))[1])
    assert details(errors.NotFound("k")) == {"code": "not_found", "message": errors.NotFound("k").message, "key": "k"}
    assert set(details(errors.Forbidden("no"))) == {"code", "message"}


def test_an_error_about_a_key_that_is_none_can_be_told() -> None:
    status, fields, body = format_error(errors.NotFound("\ud800"))
    back = parse_error(status, dict(fields), body, now=NOW)
    assert isinstance(back, errors.NotFound)
    assert back.key == "\ud800"


BY_STATUS = [
    (302, errors.BadRequest),
    (304, errors.NotModified),
    (400, errors.BadRequest),
    (401, errors.Unauthenticated),
    (403, errors.Forbidden),
    (404, errors.NotFound),
    (405, errors.MethodNotAllowed),
    (408, errors.RequestTimeout),
    (411, errors.LengthRequired),
    (412, errors.PreconditionFailed),
    (413, errors.TooLarge),
    (416, errors.InvalidRange),
    (418, errors.BadRequest),
    (422, errors.InvalidParameter),
    (429, errors.RateLimited),
    (499, errors.BadRequest),
    (500, errors.InternalError),
    (501, errors.Unsupported),
    (502, errors.Unavailable),
    (503, errors.Unavailable),
    (504, errors.Unavailable),
    (505, errors.InternalError),
    (507, errors.StorageFull),
]
FOREIGN = [
    b"",
    b"<html><head><title>502 Bad Gateway</title></head></html>",
    b"null",
    b"[]",
    b'"error"',
    b"17",
    b"{}",
    b'{"error": null}',
    b'{"error": "not found"}',
    b'{"error": []}',
    b'{"error": {"code": null, "message": null}}',
    b'{"error": {"code": [], "message": {}}}',
    b'{"error": {"code": "no_such_code", "message": ""}}',
    b'{"detail": "Not Found"}',
    b'{"error": {"code": "not',
    b"\xff\xfe\x00",
    b"\x00" * 7,
    b"[" * 100_000,
    b'{"error":' * 100_000,
    b"9" * 10_000,
]


@pytest.mark.parametrize(("status", "expected"), BY_STATUS)
def test_an_answer_without_a_code_tells_by_its_status(status: int, expected: type[ObjectStoreError]) -> None:
    for body in FOREIGN:
        error = parse_error(status, {b"content-type": b"text/html"}, body, key="asked", now=NOW)
        assert type(error) is expected
        assert error.message
        assert getattr(error, "key", "asked") == "asked"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, errors.NotFound("asked").message),
        (412, errors.PreconditionFailed("asked").message),
        (401, errors.Unauthenticated().message),
        (413, "the server answered 413"),
        (502, "the server answered 502"),
    ],
)
def test_without_words_of_the_server_the_message_says_what_is_known(status: int, message: str) -> None:
    assert parse_error(status, {}, b"", key="asked", now=NOW).message == message


def test_a_head_that_finds_the_object_there_says_so() -> None:
    error = parse_error(412, {b"x-error-code": b"already_exists"}, b"", key="asked", now=NOW)
    assert error.message == errors.AlreadyExists("asked").message


def test_numbers_that_are_not_told_are_zero() -> None:
    too_large = parse_error(413, {b"x-error-code": b"too_large"}, b"", now=NOW)
    incomplete = parse_error(400, {b"x-error-code": b"incomplete_body"}, b"", now=NOW)
    assert isinstance(too_large, errors.TooLarge)
    assert isinstance(incomplete, errors.IncompleteBody)
    assert (too_large.limit, incomplete.expected, incomplete.received) == (0, 0, 0)


def test_words_of_an_unknown_code_are_kept() -> None:
    body = b'{"error": {"code": "no_such_path", "message": "there is nothing at this path"}}'
    error = parse_error(404, {}, body, key="asked", now=NOW)
    assert isinstance(error, errors.NotFound)
    assert (error.key, error.message) == ("asked", "there is nothing at this path")


def test_a_code_counts_only_with_its_status() -> None:
    body = b'{"error": {"code": "not_found", "message": "no"}}'
    assert type(parse_error(503, {}, body, now=NOW)) is errors.Unavailable


@pytest.mark.parametrize("size", [b'"7"', b"7.5", b"true", b"null", b"{}"])
def test_data_of_another_type_are_not_taken(size: bytes) -> None:
    body = b'{"error": {"code": "invalid_range", "message": "no", "size": %b}}' % size
    error = parse_error(416, {b"content-range": b"bytes */9"}, body, now=NOW)
    assert isinstance(error, errors.InvalidRange)
    assert error.size == 9
    assert type(error.size) is int


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (b"bytes */9", 9),
        (b"bytes */" + b"9" * 19, 10**19 - 1),
        (b"bytes */", 0),
        (b"bytes */*", 0),
        (b"bytes 0-1/9", 0),
        (b"bytes */" + b"9" * 20, 0),
    ],
)
def test_the_size_of_a_range_that_cannot_be_is_read_from_its_field(value: bytes, size: int) -> None:
    error = parse_error(416, {b"content-range": value}, b"", now=NOW)
    assert isinstance(error, errors.InvalidRange)
    assert error.size == size


@pytest.mark.parametrize(
    ("value", "allowed"), [(b"GET, HEAD", ("GET", "HEAD")), (b"GET,,HEAD ,", ("GET", "HEAD")), (b" ", ()), (b"", ())]
)
def test_allowed_methods_are_a_list(value: bytes, allowed: tuple[str, ...]) -> None:
    error = parse_error(405, {b"allow": value}, b"", now=NOW)
    assert isinstance(error, errors.MethodNotAllowed)
    assert error.allowed == allowed


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (b"0", 0.0),
        (b"120", 120.0),
        (b" 5 ", 5.0),
        (http_date(NOW + timedelta(seconds=90)), 90.0),
        (http_date(NOW - timedelta(days=1)), 0.0),
        (b"Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        (b"Sun Mar  1 12:00:30 2026", 30.0),
        (b"", None),
        (b"-1", None),
        (b"1.5", None),
        (b"soon", None),
        (b"\xb2", None),
        (b"9" * 9, 999_999_999.0),
        (b"9" * 10, None),
        (b"9" * 5000, None),
    ],
)
def test_both_forms_of_retry_after_are_seconds(value: bytes | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds
    for status in (429, 503):
        error = parse_error(status, {} if value is None else {b"retry-after": value}, b"", now=NOW)
        assert isinstance(error, errors.Retryable)
        assert error.retry_after == seconds


def test_the_clock_may_be_of_any_zone() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5)))
    assert parse_retry_after(http_date(NOW + timedelta(seconds=7)), there) == 7.0


@given(st.integers(300, 599), JUNK, st.binary(max_size=60))
def test_rubbish_becomes_some_error(status: int, fields: dict[bytes, bytes], body: bytes) -> None:
    error = parse_error(status, fields, body, key="k", now=NOW)
    assert format_error(error)[0] >= 300, "and can be passed on"


AWKWARD = st.sampled_from(["", "€", "\ud800", "a\r\nb", '"'])
LEAVES = st.none() | st.booleans() | st.integers() | AWKWARD | st.lists(st.integers(), max_size=2)
MEMBERS = st.fixed_dictionaries({}, optional={name: LEAVES for rule in RULES for name in (*rule.data, "message")})


@given(st.sampled_from(RULES), MEMBERS, JUNK)
def test_members_of_any_type_become_an_error(rule: Rule, members: dict[str, Any], fields: dict[bytes, bytes]) -> None:
    body = json.dumps({"error": {"code": rule.code, **members}}).encode()
    error = parse_error(rule.status, fields, body, key="k", now=NOW)
    assert type(error) is rule.error
    assert format_error(error)[0] == rule.status, "and can be passed on"


def test_who_sent_too_slowly_is_hung_up_on() -> None:
    _, found, _ = format_error(errors.RequestTimeout())
    assert (b"connection", b"close") in found


def test_data_that_are_not_told_are_plain() -> None:
    def told_by_code(status: int, code: bytes) -> dict[str, Any]:
        return _data(parse_error(status, {b"x-error-code": code}, b"", now=NOW)) | {"message": ""}

    assert told_by_code(404, b"not_found") == {"message": "", "key": ""}
    assert told_by_code(404, b"upload_not_found") == {"message": "", "upload_id": ""}
    assert told_by_code(400, b"digest_mismatch") == {"message": "", "algorithm": "sha-256"}
    assert told_by_code(405, b"method_not_allowed") == {"message": "", "allowed": ()}
    assert told_by_code(304, b"not_modified") == {"message": "", "etag": ""}
    assert told_by_code(507, b"quota_exceeded") == {"message": "", "prefix": "", "resource": "", "limit": 0, "used": 0}
