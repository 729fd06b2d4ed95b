"""Requests as they go over the wire, built without one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from objectstore.client.sources import Chunks, InHand
from objectstore.errors import BadRequest, InvalidKey, InvalidMetadata, InvalidParameter
from objectstore.values import (
    NO_ATTRIBUTES,
    ONLY_IF_ABSENT,
    UNCONDITIONAL,
    Attributes,
    Bounded,
    Conditions,
    From,
    Last,
)
from objectstore.wire import requests
from objectstore.wire.headers import format_digest
from objectstore.wire.requests import Request, framing

SHA256 = format_digest(hashlib.sha256(b"abc").digest())
THEN = datetime(2024, 5, 6, tzinfo=UTC)


def put(conditions: Conditions = UNCONDITIONAL, attributes: Attributes = NO_ATTRIBUTES) -> Request:
    return requests.put_object("k", InHand(b"abc"), attributes, conditions)


def test_a_put_tells_length_digest_and_attributes() -> None:
    request = put(attributes=Attributes(content_type="text/plain", metadata={"a": "ä"}))
    assert (request.method, request.target, request.key) == ("PUT", "/objects/k", "k")
    assert dict(request.fields) == {
        b"content-type": b"text/plain",
        b"x-object-meta-a": "ä".encode(),
        b"repr-digest": SHA256,
    }
    assert framing(request) == [(b"content-length", b"3")]


def test_a_put_of_unknown_length_is_chunked_and_tells_no_digest() -> None:
    request = requests.put_object("k", Chunks([b"abc"]), NO_ATTRIBUTES, UNCONDITIONAL)
    assert request.fields == []
    assert framing(request) == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("conditions", "field"),
    [
        (ONLY_IF_ABSENT, (b"if-none-match", b"*")),
        (Conditions(if_match=("a", "b")), (b"if-match", b'"a", "b"')),
        (Conditions(if_unmodified_since=THEN), (b"if-unmodified-since", b"Mon, 06 May 2024 00:00:00 GMT")),
    ],
    ids=["absent", "match", "time"],
)
def test_a_conditional_write_is_not_idempotent(conditions: Conditions, field: tuple[bytes, bytes]) -> None:
    for request in (
        put(conditions),
        requests.copy_object("a", "b", NO_ATTRIBUTES, conditions),
        requests.delete_object("k", conditions),
    ):
        assert field in request.fields
        assert not request.idempotent


def test_an_unconditional_write_is_idempotent() -> None:
    # Also one whose conditions were given and say nothing.
    assert put().idempotent
    assert put(Conditions()).idempotent
    assert requests.delete_object("k", UNCONDITIONAL).idempotent


@pytest.mark.parametrize(
    ("wanted", "field"), [(Bounded(2, 5), b"bytes=2-4"), (From(7), b"bytes=7-"), (Last(3), b"bytes=-3")], ids=repr
)
def test_a_get_asks_for_a_range(wanted: Bounded | From | Last, field: bytes) -> None:
    assert requests.get_object("k", wanted).fields == [(b"range", field)]


def test_a_get_has_conditions_and_no_body() -> None:
    request = requests.get_object("k", None, Conditions(if_none_match=("e",), if_modified_since=THEN))
    assert dict(request.fields) == {
        b"if-none-match": b'"e"',
        b"if-modified-since": b"Mon, 06 May 2024 00:00:00 GMT",
    }
    assert framing(request) == []
    assert request.idempotent
    assert (request.method, request.target, request.key) == ("GET", "/objects/k", "k")


def test_a_head_and_a_delete_name_their_object() -> None:
    then = Conditions(if_match=("e",))
    for request, method in ((requests.head_object("k", then), "HEAD"), (requests.delete_object("k", then), "DELETE")):
        assert (request.method, request.target, request.key, request.body) == (method, "/objects/k", "k", None)
        assert request.fields == [(b"if-match", b'"e"')]


def test_a_copy_names_its_source_encoded_and_has_an_empty_body() -> None:
    request = requests.copy_object("a b/../ä", "t", Attributes(content_type="x/y"), UNCONDITIONAL)
    assert (request.method, request.target) == ("PUT", "/objects/t")
    assert request.key == "a b/../ä", "the one that may be absent"
    assert dict(request.fields) == {b"x-copy-from": b"a%20b%2F%2E%2E%2F%C3%A4", b"content-type": b"x/y"}
    assert framing(request) == [(b"content-length", b"0")]


def test_a_batch_names_its_keys() -> None:
    request = requests.delete_objects(["a/b", "ä"])
    assert (request.method, request.target, request.key) == ("POST", "/objects/delete", "")
    assert request.fields == [(b"content-type", b"application/json")]
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {"keys": ["a/b", "ä"]}
    assert framing(request) == [(b"content-length", b"%d" % len(request.body))]


def test_a_listing_leaves_away_what_is_not_asked() -> None:
    asked = {"prefix": "", "delimiter": "", "cursor": None, "start_after": None, "details": False}
    request = requests.list_objects(limit=1, **asked)  # type: ignore[arg-type]
    assert (request.method, request.target) == ("GET", "/objects?limit=1")


def test_a_listing_encodes_what_is_asked() -> None:
    request = requests.list_objects(
        prefix="a b&ä", delimiter="/", limit=1000, cursor="x+y=", start_after="#", details=True
    )
    assert request.target == (
        "/objects?limit=1000&prefix=a%20b%26%C3%A4&delimiter=%2F&cursor=x%2By%3D&start_after=%23&details=true"
    )


def test_an_upload_begins_with_what_the_object_is_to_be() -> None:
    attributes = Attributes(content_type="a/b", cache_control="no-store", metadata={"x": "y"})
    request = requests.begin_upload("k/ä", attributes, Conditions(if_match=("e1", "e2"), if_none_match="*"))
    assert (request.method, request.target, request.key) == ("POST", "/uploads", "k/ä")
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {
        "key": "k/ä",
        "content_type": "a/b",
        "cache_control": "no-store",
        "metadata": {"x": "y"},
        "if_match": '"e1", "e2"',
        "if_none_match": "*",
    }


def test_an_upload_tells_size_and_digests_when_they_are_known() -> None:
    request = requests.begin_upload("k", NO_ATTRIBUTES, UNCONDITIONAL, size=0, expected={"crc32": b"abcd"})
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {"key": "k", "size": 0, "digest": {"crc32": "YWJjZA=="}}


def test_an_upload_has_no_conditions_on_times() -> None:
    with pytest.raises(InvalidParameter, match="etags only"):
        requests.begin_upload("k", NO_ATTRIBUTES, Conditions(if_unmodified_since=THEN))


def test_an_upload_id_is_one_segment() -> None:
    body = InHand(b"abc")
    request = requests.put_part("a/../b", 7, body)
    assert (request.method, request.target, request.body) == ("PUT", "/uploads/a%2F..%2Fb/parts/7", body)
    assert dict(requests.put_part("id", 1, InHand(b"abc")).fields) == {b"repr-digest": SHA256}
    assert requests.abort_upload("id").target == "/uploads/id"
    assert (requests.get_upload("id").method, requests.get_upload("id").target) == ("GET", "/uploads/id")
    assert requests.list_uploads("c&/d").target == "/uploads?limit=1000&cursor=c%26%2Fd"
    assert (requests.list_uploads(None).method, requests.list_uploads(None).target) == ("GET", "/uploads?limit=1000")


def test_a_completion_names_the_parts_in_order() -> None:
    request = requests.complete_upload("id", [(2, "b"), (1, "a")])
    assert request.target == "/uploads/id/complete"
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {"parts": [{"n": 2, "etag": "b"}, {"n": 1, "etag": "a"}]}


BUILDERS: dict[str, Callable[[Any], object]] = {
    "put": lambda key: requests.put_object(key, InHand(b""), NO_ATTRIBUTES, UNCONDITIONAL),
    "get": requests.get_object,
    "head": requests.head_object,
    "delete": lambda key: requests.delete_object(key, UNCONDITIONAL),
    "delete many": lambda key: requests.delete_objects([key]),
    "copy from": lambda key: requests.copy_object(key, "k", NO_ATTRIBUTES, UNCONDITIONAL),
    "copy to": lambda key: requests.copy_object("k", key, NO_ATTRIBUTES, UNCONDITIONAL),
    "begin": lambda key: requests.begin_upload(key, NO_ATTRIBUTES, UNCONDITIONAL),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_what_is_no_key_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(InvalidKey):
        BUILDERS[name]("")
    with pytest.raises(TypeError, match="a key is a str, not bytes"):
        BUILDERS[name](b"k")


def test_what_cannot_travel_is_refused_before_anything_is_sent() -> None:
    attributes = Attributes(metadata={"a": "b\nc"})
    with pytest.raises(InvalidMetadata):
        put(attributes=attributes)
    with pytest.raises(InvalidMetadata):
        requests.begin_upload("k", attributes, UNCONDITIONAL)
    with pytest.raises(BadRequest):
        put(Conditions(if_match=('quo"te',)))


@pytest.mark.parametrize("limit", [0, 1001])
def test_a_page_has_a_limit(limit: int) -> None:
    with pytest.raises(InvalidParameter, match="1 to 1000"):
        requests.list_objects(prefix="", delimiter="", limit=limit, cursor=None, start_after=None, details=False)
