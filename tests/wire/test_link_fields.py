"""Links as they travel: the request for one, the answer, and the names of downloads."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.errors import InternalError, InvalidKey, InvalidParameter
from objectstore.wire.links import SignedLink, attachment, check_filename, sign_link
from objectstore.wire.replies import Reply, read_link
from objectstore.wire.requests import Request

NONE = {"max_bytes": None, "content_type": None, "filename": None}
ANSWER = {
    "url": "https://data.example.org/objects/a?link=1",
    "path": "/objects/a?link=1",
    "public": False,
    "method": "GET",
    "key": "a",
    "expires_at": "2026-03-01T12:00:00Z",
}


def asked(**given_: object) -> Request:
    return sign_link("a", **({"expires": 60, "method": "GET"} | NONE | given_))  # type: ignore[arg-type]


def test_a_request_says_what_is_asked_and_no_more() -> None:
    request = asked()
    assert (request.method, request.target, request.key) == ("POST", "/links", "a")
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {"key": "a", "method": "GET", "expires_in": 60}


@pytest.mark.parametrize(
    ("expires", "seconds"), [(0.2, 1), (1.5, 2), (timedelta(hours=1), 3600), (timedelta(microseconds=1), 1)]
)
def test_a_lifetime_is_told_in_whole_seconds_and_never_cut(expires: float | timedelta, seconds: int) -> None:
    body = asked(expires=expires).body
    assert isinstance(body, bytes)
    assert json.loads(body)["expires_in"] == seconds


@pytest.mark.parametrize("expires", [0, -1, float("nan"), float("inf"), timedelta(), timedelta(days=-1)])
def test_a_lifetime_that_is_none_is_refused(expires: float | timedelta) -> None:
    with pytest.raises(InvalidParameter):
        asked(expires=expires)


def test_what_cannot_be_asked_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidParameter, match="GET or PUT"):
        asked(method="DELETE")
    with pytest.raises(InvalidKey):
        sign_link("", expires=1, method="GET", max_bytes=None, content_type=None, filename=None)
    with pytest.raises(TypeError):
        sign_link(b"a", expires=1, method="GET", max_bytes=None, content_type=None, filename=None)  # type: ignore[arg-type]


def answered(told: object) -> SignedLink:
    reply = Reply(201, {}, json.dumps(told).encode(), datetime.now(UTC))
    return read_link(reply, asked(), "http://here:8000/prefix")


def test_the_url_goes_below_the_one_that_the_client_uses_unless_the_server_has_one_for_the_public() -> None:
    assert answered(ANSWER).url == "http://here:8000/prefix/objects/a?link=1"
    public = answered(ANSWER | {"public": True})
    assert public == SignedLink(
        url="https://data.example.org/objects/a?link=1",
        method="GET",
        key="a",
        expires=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    assert str(public) == public.url


@pytest.mark.parametrize("told", [[], {}, ANSWER | {"expires_at": "soon"}, ANSWER | {"path": None}, "x", None])
def test_an_answer_that_is_none_is_said_to_be_none(told: object) -> None:
    with pytest.raises(InternalError, match="not that of an object store"):
        answered(told)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("report.pdf", b'attachment; filename="report.pdf"'),
        ("From the beach.jpg", b'attachment; filename="From the beach.jpg"'),
        ("€ rates.csv", b"attachment; filename=\"_ rates.csv\"; filename*=UTF-8''%E2%82%AC%20rates.csv"),
        ('a"b.txt', b"attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("50%.txt", b"attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("a;b=c.txt", b'attachment; filename="a;b=c.txt"'),
    ],
)
def test_a_download_is_named_as_rfc_6266_has_it(name: str, field: bytes) -> None:
    assert attachment(name) == field


names = st.text(min_size=1, max_size=60)


@given(names)
def test_a_name_is_one_header_value_that_gives_it_back_or_is_refused(name: str) -> None:
    try:
        check_filename(name)
    except InvalidParameter:
        return
    field = attachment(name)
    assert re.fullmatch(rb"[\x20-\x7e]+", field)
    found = re.fullmatch(
        rb"attachment; filename=\"([^\"\\%]*)\"(?:; filename\*=UTF-8''([!#$&+\-.^_`|~0-9A-Za-z%]+))?", field
    )
    assert found is not None
    assert (found[1].decode() if found[2] is None else unquote(found[2].decode())) == name


@pytest.mark.parametrize(
    "name",
    ["", "a\r\nb", "a\nb", "a\0", "a\x7f", "a/b", "a\\b", ".", "..", " a", "a ", "a\u202etxt.exe", "\ud800", "é" * 128],
)
def test_a_name_that_could_do_harm_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameter):
        check_filename(name)


def test_a_request_says_all_that_is_asked() -> None:
    request = asked(method="PUT", max_bytes=7, content_type="a/b", filename="f")
    assert request.fields == [(b"content-type", b"application/json")]
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {
        "key": "a",
        "method": "PUT",
        "expires_in": 60,
        "max_bytes": 7,
        "content_type": "a/b",
        "filename": "f",
    }
    with pytest.raises(TypeError, match="a key is a str, not bytes"):
        sign_link(b"a", expires=1, method="GET", max_bytes=None, content_type=None, filename=None)  # type: ignore[arg-type]


def test_a_name_has_one_to_255_bytes() -> None:
    for name in ("a", "a" * 255, "é" * 127):
        assert check_filename(name) == name
    for name in ("", "a" * 256, "é" * 128):
        with pytest.raises(InvalidParameter, match="1 to 255 bytes"):
            check_filename(name)


def test_in_a_name_all_is_encoded() -> None:
    assert attachment("é/X") == b"attachment; filename=\"__X\"; filename*=UTF-8''%C3%A9%2FX"
