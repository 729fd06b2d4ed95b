"""Keys in URLs: whatever lies on the way, the same key comes out."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.keys import decode_key
from objectstore.errors import InvalidKey
from objectstore.wire.paths import key_of, object_path, quote_key, unquote_key
from strategies import KEYS

BASE = "http://store.example:8000"
# What the URL standard of WHATWG calls a single-dot and a double-dot segment, in lower case.
SINGLE = {".", "%2e"}
DOUBLE = {"..", ".%2e", "%2e.", "%2e%2e"}


def _tidied(path: str) -> str:
    """The path as a browser sends it."""
    found: list[str] = []
    first, *segments = path.split("/")
    for at, segment in enumerate(segments):
        last = at == len(segments) - 1
        if segment.lower() in DOUBLE:
            found = found[:-1] + [""] * last
        elif segment.lower() in SINGLE:
            found += [""] * last
        else:
            found.append(segment)
    return "/".join([first, *found])


def _spelled_out(path: str) -> str:
    """The path after a library has decoded what needs no encoding (RFC 3986 §6.2.2.2)."""
    for character in "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
        path = path.replace(f"%{ord(character):02X}", character)
    return path


@given(KEYS)
def test_a_key_comes_out_as_it_went_in(key: str) -> None:
    path = object_path(key)
    assert key_of(path.encode("ascii")) == key
    assert unquote_key(quote_key(key)) == key


@given(KEYS)
def test_a_path_has_only_the_characters_of_one(key: str) -> None:
    allowed = set("/%-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    assert set(quote_key(key)) <= allowed


@given(KEYS)
def test_the_http_library_sends_the_path_as_it_is(key: str) -> None:
    url = httpx2.URL(BASE + object_path(key))
    assert key_of(url.raw_path) == key


@given(KEYS)
def test_resolving_references_leaves_the_path_alone(key: str) -> None:
    url = urljoin(BASE + "/elsewhere/", BASE + object_path(key))
    assert key_of(urlsplit(url).path.encode()) == key


@given(KEYS.filter(lambda key: key not in {".", ".."}))
def test_a_browser_leaves_the_path_alone(key: str) -> None:
    assert _tidied(object_path(key)) == object_path(key)


@given(KEYS.filter(lambda key: key not in {".", ".."}))
def test_decoding_and_then_tidying_leaves_the_key_alone(key: str) -> None:
    assert key_of(_tidied(_spelled_out(object_path(key))).encode()) == key


@given(KEYS, KEYS)
def test_two_keys_never_share_a_path(one: str, other: str) -> None:
    assert (quote_key(one) == quote_key(other)) == (one == other)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b.c", "/objects/a/b.c"),
        ("/a", "/objects//a"),
        ("a//b/", "/objects/a//b/"),
        ("..", "/objects/%2E%2E"),
        (".", "/objects/%2E"),
        ("../a", "/objects/%2E%2E%2Fa"),
        ("a/..", "/objects/a%2F%2E%2E"),
        ("a/./b/c/../../d", "/objects/a%2F%2E%2Fb/c%2F%2E%2E%2F%2E%2E%2Fd"),
        ("a/.../.b/b.", "/objects/a/.../.b/b."),
        ("%2E", "/objects/%252E"),
        ("a?b#c d+e", "/objects/a%3Fb%23c%20d%2Be"),
        ("é/~", "/objects/%C3%A9/~"),
        ("a\\..\\b", "/objects/a%5C..%5Cb"),
    ],
)
def test_a_path_is_as_plain_as_it_can_be(key: str, path: str) -> None:
    assert object_path(key) == path


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b"a%2Fb", "a/b"),
        (b"a%2fb", "a/b"),
        (b"%252F", "%2F"),
        (b"a+b", "a+b"),
        (b"a%2Bb", "a+b"),
        (b"%E2%82%AC", "€"),
        ("€".encode(), "€"),
        (b"a/../b", "a/../b"),
        (b"//", "//"),
        (b"a;v=1&b", "a;v=1&b"),
    ],
)
def test_a_path_is_decoded_once(raw: bytes, key: str) -> None:
    assert key_of(b"/objects/" + raw) == key


NO_KEYS = [
    pytest.param(b"", id="empty"),
    pytest.param(b"%", id="percent at the end"),
    pytest.param(b"100%", id="percent after digits"),
    pytest.param(b"%2", id="one digit"),
    pytest.param(b"a%zzb", id="no digits"),
    pytest.param(b"%2%46", id="percent in place of a digit"),
    pytest.param(b"%+f", id="a sign in place of a digit"),
    pytest.param(b"%u20AC", id="escape of JavaScript"),
    pytest.param(b"%00", id="NUL"),
    pytest.param(b"a%00.txt", id="NUL within"),
    pytest.param(b"%C0%AF", id="overlong slash"),
    pytest.param(b"%c0%80", id="overlong NUL"),
    pytest.param(b"%ED%A0%80", id="surrogate"),
    pytest.param(b"%FF", id="no UTF-8"),
    pytest.param(b"%E2%82", id="cut short"),
    pytest.param(b"k" * 1025, id="too long"),
    pytest.param(b"%C3%A9" * 513, id="too long when decoded"),
]


@pytest.mark.parametrize("raw", NO_KEYS)
def test_a_path_without_a_key_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidKey):
        key_of(b"/objects/" + raw)
    with pytest.raises(InvalidKey):
        unquote_key(raw.decode("latin-1"))


def test_a_malformed_percent_says_how_to_write_one() -> None:
    with pytest.raises(InvalidKey, match="%25"):
        key_of(b"/objects/100%")


def test_a_long_key_counts_after_decoding() -> None:
    assert key_of(b"/objects/" + b"%C3%A9" * 512) == "é" * 512


@pytest.mark.parametrize("text", ["é", "a/€", "\udce9"])
def test_a_key_in_a_header_is_percent_encoded(text: str) -> None:
    # Read as Latin-1 or as UTF-8 it would name two different objects.
    with pytest.raises(InvalidKey, match="percent-encoded"):
        unquote_key(text)


@pytest.mark.parametrize("key", ["", "a\0", "\ud800", "k" * 1025])
def test_what_is_no_key_has_no_path(key: str) -> None:
    with pytest.raises(InvalidKey):
        object_path(key)
    with pytest.raises(InvalidKey):
        quote_key(key)


PIECES = st.sampled_from([b"%", b"%2", b"%2F", b"%c0", b"%00", b"%E2%82%AC", b"\xff", b"a", b"/", b"..", b"zz"])


@given(st.lists(PIECES, max_size=8).map(b"".join) | st.binary(max_size=30))
def test_rubbish_is_a_key_or_refused(raw: bytes) -> None:
    try:
        key = key_of(b"/objects/" + raw)
    except InvalidKey:
        return
    assert decode_key(key.encode()) == key
    assert key_of(object_path(key).encode()) == key
