"""Signed links: whatever they are bound to, nothing else works."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from objectstore.auth.links import (
    SECRET_PARAMETERS,
    Link,
    admit,
    mark_in,
    mark_of,
    redacted,
    sign,
    signing_key,
    value_in,
    verify,
)
from objectstore.auth.scopes import Credential, Scope
from objectstore.core.keys import MAX_KEY_SIZE
from objectstore.errors import InvalidLink, InvalidParameter, LinkExpired, ObjectStoreError

SECRET = b"s" * 32
DIGEST = b"d" * 32
MARK = mark_of(DIGEST)
KEY = signing_key(SECRET, DIGEST)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = int(NOW.timestamp()) + 3600
GET = Link(key="a/b", method="GET", expires=END)
PUT = Link(key="a/b", method="PUT", expires=END, max_bytes=10, content_type="text/plain")
MAKER = Credential(name="maker", scopes=frozenset({"read", "write", "delete"}), mark=MARK)

keys = st.text(min_size=1, max_size=60).filter(lambda text: "\0" not in text)
plain = st.text("abcXYZ019 -._~äé€😀", min_size=1, max_size=40).filter(
    lambda text: text == text.strip() and text[0] != "."
)
expiries = st.integers(0, 1 << 40)
gets = st.builds(Link, key=keys, method=st.just("GET"), expires=expiries, filename=st.none() | plain)
puts = st.builds(
    Link,
    key=keys,
    method=st.just("PUT"),
    expires=expiries,
    max_bytes=st.none() | st.integers(0, 1 << 60),
    content_type=st.none() | st.sampled_from(["text/plain", "image/png; a=b"]),
)
links = gets | puts


@given(links)
def test_what_was_signed_is_what_is_read(link: Link) -> None:
    value = sign(link, MARK, KEY)
    assert verify(value, link.key, KEY) == link
    assert mark_in(value) == MARK


@given(links)
def test_the_parameter_needs_no_percent_encoding_and_bears_all_of_it(link: Link) -> None:
    value = sign(link, MARK, KEY)
    assert quote(value, safe="") == value
    encoded = "".join(f"%{ord(char):02X}" for char in value)
    for query in (f"link={value}", f"link={encoded}", f"a=b&link={value}&utm=c", f"&&link={value}&"):
        assert value_in(query.encode()) == value


def test_a_link_of_everything_as_long_as_can_be_fits() -> None:
    link = Link(key="€" * (MAX_KEY_SIZE // 3), method="GET", expires=1 << 60, filename="\U0001f600" * 63)
    value = sign(link, MARK, KEY)
    assert value_in(f"link={value}".encode()) == value
    assert verify(value, link.key, KEY) == link


@given(links, links)
def test_a_link_holds_for_no_other_key(link: Link, other: Link) -> None:
    assume(link.key != other.key)
    with pytest.raises(InvalidLink):
        verify(sign(link, MARK, KEY), other.key, KEY)


@pytest.mark.parametrize(
    "pair", [("a/b", "a%2Fb"), ("a", "a/"), ("A", "a"), ("é", "e\u0301"), ("a b", "a+b"), ("a//b", "a/b"), (".", "..")]
)
def test_keys_that_look_alike_are_told_apart(pair: tuple[str, str]) -> None:
    for one, other in (pair, pair[::-1]):
        value = sign(replace(GET, key=one), MARK, KEY)
        assert verify(value, one, KEY).key == one
        with pytest.raises(InvalidLink):
            verify(value, other, KEY)


@given(links, st.data())
def test_any_change_of_a_character_breaks_it(link: Link, data: st.DataObject) -> None:
    value = sign(link, MARK, KEY)
    at = data.draw(st.integers(0, len(value) - 1))
    char = data.draw(st.sampled_from("ABCabc0129-_.=%+/ \n"))
    assume(value[at] != char)
    changed = value[:at] + char + value[at + 1 :]
    with pytest.raises(InvalidLink):
        verify(changed, link.key, KEY)


@given(links, links)
def test_the_signature_of_one_link_does_not_fit_another(link: Link, other: Link) -> None:
    assume(link != other)
    text, _, _ = sign(other, MARK, KEY).rpartition(".")
    signature = sign(link, MARK, KEY).rpartition(".")[2]
    with pytest.raises(InvalidLink):
        verify(f"{text}.{signature}", other.key, KEY)


def _fields(value: str) -> list[str]:
    return value.split(".")


def _limits(limits: object) -> str:
    return urlsafe_b64encode(json.dumps(limits).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("link", [GET, PUT], ids=["GET", "PUT"])
@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "2"),
        (0, "01"),
        (1, "GET"),
        (1, "PUT"),
        (1, "DELETE"),
        (1, "get"),
        (2, str(END + 1)),
        (2, f"0{END}"),
        (2, f" {END}"),
        (2, f"{END}_0"),
        (3, mark_of(b"other")),
        (3, ""),
        (4, ""),
        (4, _limits({"max_bytes": 11, "content_type": "text/plain"})),
        (4, _limits({"filename": "other"})),
        (5, ""),
    ],
)
def test_no_field_can_be_replaced(link: Link, at: int, text: str) -> None:
    fields = _fields(sign(link, MARK, KEY))
    if fields[at] == text:
        return
    with pytest.raises(InvalidLink):
        verify(".".join([*fields[:at], text, *fields[at + 1 :]]), link.key, KEY)


def test_what_is_moved_from_a_field_to_its_neighbour_is_another_link() -> None:
    value = sign(GET, MARK, KEY)
    version, method, expires, mark, limits, signature = _fields(value)
    for moved in (
        f"{version}.{method}.{expires}{mark}..{limits}.{signature}",
        f"{version}{method}.{expires}.{mark}.{limits}.{signature}",
        f"{value}.{signature}",
        f".{value}",
    ):
        with pytest.raises(InvalidLink):
            verify(moved, GET.key, KEY)
    with pytest.raises(InvalidLink):
        verify(value, f"{limits}\0{GET.key}", KEY)


def test_the_unused_bits_of_the_signature_are_signed_too() -> None:
    value = sign(GET, MARK, KEY)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = value[:-1] + alphabet[alphabet.index(value[-1]) ^ 1]
    assert urlsafe_b64decode(twin.rpartition(".")[2] + "=") == urlsafe_b64decode(value.rpartition(".")[2] + "=")
    with pytest.raises(InvalidLink):
        verify(twin, GET.key, KEY)


@given(st.binary(min_size=32, max_size=64), st.binary(min_size=32, max_size=32))
def test_another_secret_or_another_token_signs_otherwise(secret: bytes, digest: bytes) -> None:
    assume((secret, digest) != (SECRET, DIGEST))
    value = sign(GET, MARK, KEY)
    for key in {signing_key(secret, digest), signing_key(secret, DIGEST), signing_key(SECRET, digest)} - {KEY}:
        with pytest.raises(InvalidLink):
            verify(value, GET.key, key)


@pytest.mark.parametrize("key", [SECRET, DIGEST, b"", signing_key(DIGEST, SECRET), signing_key(b"", DIGEST)])
def test_neither_the_secret_nor_the_hash_alone_signs(key: bytes) -> None:
    with pytest.raises(InvalidLink):
        verify(sign(GET, MARK, key), GET.key, KEY)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_rubbish_is_refused_as_any_other(text: str) -> None:
    for attempt in (
        lambda: verify(text, "a/b", KEY),
        lambda: mark_in(text + "."),
        lambda: verify(f"1.{text}", "a", KEY),
    ):
        with pytest.raises(InvalidLink) as caught:
            attempt()
        assert caught.value.message == InvalidLink().message


@given(st.binary(max_size=200))
def test_a_query_has_a_link_or_has_none(query: bytes) -> None:
    try:
        value = value_in(query)
    except InvalidLink:
        assert b"link=" in query
    else:
        assert (value is not None) == any(part.startswith(b"link=") for part in query.split(b"&"))


@pytest.mark.parametrize(
    "query", [b"link=a&link=a", b"link=a&link=b", b"link=" + b"a" * 4097, b"link=%80", b"link=\xe9"]
)
def test_a_link_that_is_not_one_text_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidLink):
        value_in(query)


@pytest.mark.parametrize("query", [b"", b"links=a", b"%6Cink=a", b"LINK=a", b"alink=a", b"a=link=b", b"link"])
def test_what_is_only_like_the_parameter_is_none(query: bytes) -> None:
    assert value_in(query) is None


@pytest.mark.parametrize(
    ("link", "method", "scope"),
    [(GET, "GET", "read"), (GET, "HEAD", "read"), (PUT, "PUT", "write")],
)
def test_a_link_allows_its_method_and_its_scope_alone(link: Link, method: str, scope: Scope) -> None:
    credential = admit(link, method, MAKER, NOW)
    assert credential == replace(MAKER, scopes=frozenset({scope}), prefixes=(link.key,))
    for other in {"GET", "HEAD", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "get"} - (
        {"GET", "HEAD"} if link is GET else {"PUT"}
    ):
        with pytest.raises(InvalidLink) as caught:
            admit(link, other, MAKER, NOW)
        assert caught.value.message == InvalidLink().message


@pytest.mark.parametrize(
    "maker",
    [
        replace(MAKER, scopes=frozenset({"delete", "metrics"})),
        replace(MAKER, prefixes=("a/bc",)),
        replace(MAKER, prefixes=()),
    ],
)
def test_what_its_maker_may_no_longer_it_does_not_allow(maker: Credential) -> None:
    for link, method in ((GET, "GET"), (PUT, "PUT")):
        with pytest.raises(InvalidLink) as caught:
            admit(link, method, maker, NOW)
        assert not isinstance(caught.value, LinkExpired)


@pytest.mark.parametrize(
    ("maker", "expires", "after"),
    [
        (MAKER, END, 3600),
        (replace(MAKER, expires=NOW + timedelta(minutes=1)), END, 60),
        (replace(MAKER, expires=NOW + timedelta(days=1)), END, 3600),
    ],
)
def test_a_link_ends_to_the_second(maker: Credential, expires: int, after: int) -> None:
    link = replace(GET, expires=expires)
    end = NOW + timedelta(seconds=after)
    assert admit(link, "GET", maker, end - timedelta(microseconds=1)).scopes == {"read"}
    for now in (end, end + timedelta(days=10000)):
        with pytest.raises(LinkExpired):
            admit(link, "GET", maker, now)


@pytest.mark.parametrize(
    "limits",
    [
        {"method": "GET", "max_bytes": 1},
        {"method": "GET", "content_type": "text/plain"},
        {"method": "PUT", "filename": "a"},
        {"method": "PUT", "max_bytes": -1},
        {"method": "PUT", "content_type": "a\r\nb"},
        {"method": "PUT", "content_type": ""},
        {"method": "PUT", "content_type": "a" * 256},
        {"method": "PUT", "content_type": "\ud800"},
        {"method": "GET", "filename": "a\r\nSet-Cookie: b"},
        {"method": "GET", "filename": "../a"},
    ],
)
def test_limits_that_are_none_are_refused(limits: dict[str, object]) -> None:
    with pytest.raises(InvalidParameter):
        Link(key="a", expires=0, **limits)  # type: ignore[arg-type]


def test_links_do_not_show_the_hash_of_their_token() -> None:
    value = sign(PUT, MARK, KEY)
    for text in (DIGEST.hex(), urlsafe_b64encode(DIGEST).decode().rstrip("="), SECRET.decode()):
        assert text not in value


@given(links, plain)
def test_what_is_logged_has_no_signature(link: Link, word: str) -> None:
    value = sign(link, MARK, KEY)
    path = f"/objects/{quote(link.key)}"
    for target in (f"{path}?link={value}", f"http://a.org{path}?a={quote(word)}&link={value}&b=c"):
        shown = redacted(target)
        assert value.rpartition(".")[2] not in shown
        assert shown.startswith(target.partition("?")[0])
        assert "link=…" in shown
    assert redacted(path) == path
    assert {"link"} == SECRET_PARAMETERS


def test_every_refusal_is_of_the_same_kind() -> None:
    assert issubclass(LinkExpired, InvalidLink)
    assert issubclass(InvalidLink, ObjectStoreError)
