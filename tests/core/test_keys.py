"""What a key may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.keys import check_key, decode_key
from objectstore.errors import InvalidKey
from strategies import KEYS


@given(KEYS)
def test_a_legal_key_is_itself(key: str) -> None:
    assert check_key(key) == key
    assert decode_key(key.encode()) == key


@pytest.mark.parametrize("key", ["/a", "a//b", "a/../b", "..", ".", "a", "a/", "%", "?", "#", " ", "\n", "😀", "\x7f"])
def test_nothing_but_nul_is_special(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["k" * 1024, "é" * 512, "€" * 341 + "k", "😀" * 256])
def test_a_key_may_have_1024_bytes(key: str) -> None:
    assert check_key(key) == key
    assert decode_key(key.encode()) == key


@pytest.mark.parametrize("key", ["", "\0", "a\0b", "\ud800", "a\udfff", "k" * 1025, "é" * 512 + "k", "😀" * 257])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey):
        check_key(key)


def test_the_size_is_told_in_bytes() -> None:
    with pytest.raises(InvalidKey, match=r"has 1026$"):
        check_key("é" * 513)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a\x00", id="nul"),
        pytest.param(b"\xc0\xaf", id="overlong slash"),
        pytest.param(b"\xc0\x80", id="overlong nul"),
        pytest.param(b"\xe0\x80\xaf", id="longer overlong slash"),
        pytest.param(b"\xed\xa0\x80", id="surrogate"),
        pytest.param(b"\xed\xa0\xbd\xed\xb8\x80", id="surrogate pair"),
        pytest.param(b"\xf4\x90\x80\x80", id="past the last code point"),
        pytest.param(b"\xe2\x82", id="cut short"),
        pytest.param(b"\x80", id="continuation alone"),
        pytest.param(b"\xff", id="no UTF-8 at all"),
    ],
)
def test_bytes_that_spell_no_key_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidKey):
        decode_key(raw)


@given(st.binary(max_size=60))
def test_bytes_spell_one_key_or_none(raw: bytes) -> None:
    try:
        key = decode_key(raw)
    except InvalidKey:
        return
    assert key.encode() == raw
