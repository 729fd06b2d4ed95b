"""Answers as a client reads them, those that are none of an object store among them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from objectstore.errors import (
    BadRequest,
    Corrupted,
    Forbidden,
    InternalError,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    TooLarge,
    Unsupported,
)
from objectstore.values import Bounded, From, Last, ObjectInfo
from objectstore.wire import replies
from objectstore.wire.errors import format_error
from objectstore.wire.headers import FieldList, format_digest, format_info
from objectstore.wire.records import dump, format_digests, record
from objectstore.wire.replies import Page, Reply, UnfinishedUpload, UploadedPart
from objectstore.wire.requests import Request

NOW = datetime(2024, 5, 6, tzinfo=UTC)
TOLD_NOW = "2024-05-06T00:00:00Z"
DATA = b"0123456789"
SHA256 = hashlib.sha256(DATA).digest()
INFO = ObjectInfo(key="k", size=10, etag="e", created=NOW, modified=NOW, digests={"sha-256": SHA256})
GET = Request("GET", "/objects/k", key="k")
NOT_OURS = r"^the answer {} to GET /objects/k is not that of an object store \({}\): is the base URL right"


def reply(status: int = 200, fields: FieldList | None = None, body: bytes = b"") -> Reply:
    return Reply(status, dict(fields or []), body, NOW)


def told(value: object) -> Reply:
    return reply(body=json.dumps(value).encode())


def whole(body: bytes = DATA, info: ObjectInfo = INFO) -> Reply:
    return reply(200, [*format_info(info), (b"content-length", b"%d" % len(body))], body)


def part(start: int, stop: int, size: int = 10, length: int | None = None) -> Reply:
    body = DATA[start:stop]
    fields = [
        *format_info(INFO),
        (b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size)),
        (b"content-length", b"%d" % (len(body) if length is None else length)),
    ]
    return reply(206, fields, body)


# Errors


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299])
def test_a_success_is_no_error(status: int) -> None:
    assert replies.error_of(reply(status), GET) is None


@pytest.mark.parametrize("status", [300, 301, 305, 307, 308, 399])
def test_a_redirect_is_not_followed_but_told(status: int) -> None:
    error = replies.error_of(reply(status, [(b"location", b"https://elsewhere/\xe9")]), GET)
    assert type(error) is BadRequest
    assert error.message == (
        "the server redirects to 'https://elsewhere/é'; redirects are not followed, since the token would go along: "
        "give the address that it redirects to as the base URL"
    )
    error = replies.error_of(reply(status), GET)
    assert type(error) is BadRequest
    assert "redirects to 'nowhere'" in error.message


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (304, NotModified),
        (400, BadRequest),
        (403, Forbidden),
        (404, NotFound),
        (412, PreconditionFailed),
        (413, TooLarge),
    ],
)
def test_a_status_alone_tells_of_the_key_that_was_asked_for(status: int, kind: type[ObjectStoreError]) -> None:
    error = replies.error_of(reply(status), GET)
    assert type(error) is kind
    assert "redirect" not in error.message
    if isinstance(error, NotFound):
        assert error.key == "k"


PAGE_OF_A_PORTAL = [(b"content-type", b"text/html; charset=utf-8")]


@pytest.mark.parametrize(
    "fields", [PAGE_OF_A_PORTAL, [(b"x-error-code", b"NoSuchBucket")], [(b"x-error-code", b"\xe9")]]
)
def test_nothing_at_a_path_that_is_not_ours_is_no_absent_object(fields: FieldList) -> None:
    error = replies.error_of(reply(404, fields, b"<html>" + b"x" * 100 + b"end"), GET)
    assert type(error) is InternalError
    assert error.message == (
        "the answer 404 to GET /objects/k is not that of an object store (there is nothing at this path): is the base "
        f"URL right, is there a proxy on the way? It begins: '<html>{'x' * 74}'"
    )


@pytest.mark.parametrize(
    "fields", [[], [(b"content-type", b"text/plain")], [(b"x-error-code", b"not_found"), *PAGE_OF_A_PORTAL]]
)
def test_an_absent_object_is_told_by_our_code_or_without_a_page(fields: FieldList) -> None:
    assert type(replies.error_of(reply(404, fields), GET)) is NotFound


def test_a_page_with_another_status_is_an_error_of_that_status() -> None:
    assert type(replies.error_of(reply(403, PAGE_OF_A_PORTAL), GET)) is Forbidden


def test_what_is_shown_of_an_answer_may_be_no_text() -> None:
    assert replies.not_ours(reply(200, body=b"a\xffb"), GET, "why").message.endswith("It begins: 'a\ufffdb'")


# Objects


def test_the_object_of_an_answer_has_its_whole_size() -> None:
    assert replies.read_info(whole(), GET).size == 10
    assert replies.read_info(part(2, 5), GET).size == 10
    assert replies.read_span(whole(), GET) == (0, 10, 10)
    assert replies.read_span(part(2, 5), GET) == (2, 5, 10)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (reply(200), "KeyError.*"),
        (part(2, 5, length=4), "BadRequest.*do not agree.*"),
        (reply(206, [(b"content-length", b"3")]), "KeyError.*content-range.*"),
        (reply(200, [(b"content-length", b"many")]), "ValueError.*"),
    ],
)
def test_an_answer_without_its_span_is_not_ours(answer: Reply, why: str) -> None:
    with pytest.raises(InternalError, match=NOT_OURS.format(answer.status, why)) as told_:
        replies.read_span(answer, GET)
    assert told_.value.__cause__ is not None


def test_a_body_is_all_that_was_wanted() -> None:
    assert replies.read_body(whole(), GET, None) == DATA
    assert replies.read_body(part(2, 5), GET, Bounded(2, 5)) == DATA[2:5]
    assert replies.read_body(part(4, 10), GET, From(4)) == DATA[4:]
    assert replies.read_body(part(7, 10), GET, Last(3)) == DATA[7:]


def test_the_whole_where_a_part_was_wanted_is_unsupported() -> None:
    with pytest.raises(Unsupported, match=r"^the server does not serve ranges: it answered with the whole object$"):
        replies.read_body(whole(), GET, Bounded(2, 5))


@pytest.mark.parametrize("wanted", [None, Bounded(2, 6), From(2), From(20)])
def test_a_part_that_was_not_wanted_is_not_ours(wanted: Bounded | From | None) -> None:
    why = "it carries bytes 2 to 5 of 10, which is not what was asked for"
    with pytest.raises(InternalError, match=NOT_OURS.format(206, why)):
        replies.read_body(part(2, 5), GET, wanted)


def test_a_body_without_an_etag_is_not_ours() -> None:
    with pytest.raises(InternalError, match=NOT_OURS.format(200, "it has no ETag")):
        replies.read_body(reply(200, [(b"content-length", b"1")], b"x"), GET, None)


def test_a_body_that_is_cut_or_wrong_is_corrupted() -> None:
    short = part(2, 5)
    with pytest.raises(Corrupted, match=r"^2 bytes arrived of the 3 announced of 'k'$"):
        replies.read_body(Reply(206, short.fields, b"23", NOW), GET, Bounded(2, 5))
    with pytest.raises(Corrupted, match=r"^what arrived of 'k' has not the SHA-256 digest"):
        replies.read_body(whole(b"0123456780"), GET, None)


@pytest.mark.parametrize(
    "digest",
    [
        None,
        format_digest(SHA256),
        b"md5=:rL0Y20zC+Fzt72VPzMSk2A==:",
        b"md5=:rL0Y20zC+Fzt72VPzMSk2A==:, " + format_digest(SHA256),
        format_digest(SHA256).replace(b"=:", b":"),
    ],
)
def test_a_digest_in_any_form_or_none_is_accepted(digest: bytes | None) -> None:
    fields = {name: value for name, value in whole().fields.items() if name != b"repr-digest"}
    if digest is not None:
        fields[b"repr-digest"] = digest
    assert replies.read_body(Reply(200, fields, DATA, NOW), GET, None) == DATA


def test_a_small_object_comes_with_its_details_or_not_at_all() -> None:
    small = replies.read_small(part(0, 10), GET, Bounded(0, 20))
    assert small is not None
    assert (small[0].etag, small[0].size, small[1]) == ("e", 10, DATA)
    assert replies.read_small(part(0, 5), GET, Bounded(0, 5)) is None
    wrong = Reply(206, part(0, 10).fields, b"9876543210", NOW)
    with pytest.raises(Corrupted):
        replies.read_small(wrong, GET, Bounded(0, 20))


# Listings


def test_a_page_has_what_was_asked_for() -> None:
    page = replies.read_page(
        told({"keys": ["a"], "prefixes": ["b/"], "objects": [record(INFO)], "next_cursor": "c"}), GET
    )
    assert page.objects[0].key == "k"
    assert page == Page(keys=("a",), prefixes=("b/",), objects=page.objects, next_cursor="c")
    assert page.has_more
    for absent in ({}, {"prefixes": None, "objects": None}):
        page = replies.read_page(told({"keys": [], "next_cursor": None, **absent}), GET)
        assert page == Page(keys=())
        assert not page.has_more


@pytest.mark.parametrize(
    "answer",
    [
        {"keys": ["a"]},
        {"next_cursor": None},
        {"keys": "abc", "next_cursor": None},
        {"keys": [1], "next_cursor": None},
        {"keys": ["a"], "prefixes": ["b", None], "next_cursor": None},
        {"keys": ["a"], "objects": [{}], "next_cursor": None},
        [],
    ],
)
def test_what_is_no_page_is_not_ours(answer: object) -> None:
    with pytest.raises(InternalError, match=NOT_OURS.format(200, r"(Key|Type|BadRequest).*\(.*\)")):
        replies.read_page(told(answer), GET)


def test_of_many_keys_each_has_its_outcome() -> None:
    errors = [json.loads(format_error(error)[2])["error"] for error in (NotFound("b"), Forbidden("no"))]
    errors = [errors[0], errors[1] | {"key": "c"}, {"key": "d", "code": "new", "message": "m"}]
    errors.append({"key": "wordless", "code": "not_found"})
    deleted, failed = replies.read_deleted(told({"deleted": ["a"], "errors": errors}), GET)
    assert deleted == ("a",)
    assert {key: type(error) for key, error in failed.items()} == {
        "b": NotFound,
        "c": Forbidden,
        "d": InternalError,
        "wordless": NotFound,
    }
    assert "'wordless'" in failed["wordless"].message
    assert isinstance(failed["b"], NotFound)
    assert failed["b"].key == "b"
    assert failed["c"].message == "no"
    assert failed["d"].message == "m"


# Uploads

PART: dict[str, Any] = {"n": 2, "size": 5, "etag": "p", "digest": format_digests({"sha-256": SHA256})}
UPLOAD: dict[str, Any] = {"upload_id": "id", "key": "k", "begun_at": TOLD_NOW}


def test_a_part_is_known_with_its_digests() -> None:
    found = replies.read_part(told(PART), GET)
    assert (found.number, found.size, found.etag, found.digests) == (2, 5, "p", {"sha-256": SHA256})
    assert replies.read_part(told({"n": 1, "size": 0, "etag": "q"}), GET).digests == {}


def test_an_upload_is_known_with_its_parts_and_outcome() -> None:
    begun = UnfinishedUpload(upload_id="id", key="k", begun=NOW)
    assert replies.read_upload(told(UPLOAD), GET) == begun
    assert replies.read_upload(told(UPLOAD | {"completed": None}), GET) == begun
    found = replies.read_upload(told(UPLOAD | {"parts": [PART], "completed": json.loads(dump(record(INFO)))}), GET)
    assert found.parts == (UploadedPart(number=2, size=5, etag="p"),)
    assert found.completed is not None
    assert (found.completed.key, found.completed.etag) == ("k", "e")


def test_uploads_come_with_the_cursor_of_more() -> None:
    begun = UnfinishedUpload(upload_id="id", key="k", begun=NOW)
    assert replies.read_uploads(told({"uploads": [UPLOAD, UPLOAD], "next_cursor": "c"}), GET) == ((begun, begun), "c")
    assert replies.read_uploads(told({"uploads": [], "next_cursor": None}), GET) == ((), None)
    with pytest.raises(InternalError, match=NOT_OURS.format(200, "KeyError.*next_cursor.*")):
        replies.read_uploads(told({"uploads": []}), GET)
