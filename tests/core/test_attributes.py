"""What may be kept beside the bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from objectstore.core.attributes import MAX_ATTRIBUTES_SIZE, MAX_ENTRIES, check_attributes, fields
from objectstore.errors import InvalidMetadata
from objectstore.values import NO_ATTRIBUTES, Attributes
from strategies import ATTRIBUTES

KEPT = ("content_type", "content_encoding", "content_disposition", "content_language", "cache_control")


def _kept(name: str, value: str) -> Attributes:
    given: dict[str, Any] = {name: value}
    return Attributes(**given)


@given(ATTRIBUTES)
def test_what_headers_can_carry_is_itself(attributes: Attributes) -> None:
    assert check_attributes(attributes) is attributes


@pytest.mark.parametrize("name", KEPT)
def test_every_kept_field_has_its_header(name: str) -> None:
    assert list(fields(_kept(name, "x"))) == [(name.replace("_", "-"), "x")]


def test_what_says_nothing_is_no_field() -> None:
    assert list(fields(NO_ATTRIBUTES)) == []
    assert list(fields(Attributes(content_type="", content_language="", metadata={"a": "b"}))) == []


BAD_VALUES = [
    pytest.param("a\r\nX-Injected: 1", id="CR LF"),
    pytest.param("a\nb", id="LF"),
    pytest.param("a\rb", id="CR"),
    pytest.param("a\0b", id="NUL"),
    pytest.param("a\x1fb", id="last of the C0 controls"),
    pytest.param("a\x7fb", id="DEL"),
    pytest.param("a\tb", id="tab"),
    pytest.param(" a", id="space before"),
    pytest.param("a ", id="space behind"),
    pytest.param("\ud800", id="lone surrogate"),
    pytest.param("a\udcff", id="undecodable byte"),
]


@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize("name", KEPT)
def test_a_field_that_a_header_would_change_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidMetadata, match=name.replace("_", "-")):
        check_attributes(_kept(name, value))


@pytest.mark.parametrize("value", BAD_VALUES)
def test_metadata_that_a_header_would_change_is_refused(value: str) -> None:
    with pytest.raises(InvalidMetadata, match="'colour'"):
        check_attributes(Attributes(metadata={"colour": value}))


@pytest.mark.parametrize("value", ["", "a b", "naïve", "日本", "😀", "\x80", "\xa0", "\u2028", '"quoted"', "a,b;c=d"])
def test_any_other_text_is_metadata(value: str) -> None:
    check_attributes(Attributes(metadata={"colour": value}))


@pytest.mark.parametrize(
    "name", ["", "A", "Colour", "a b", "a:b", "a\n", "\n", "a\r\nb", "a\0", "é", "ﬀ", "a/b", "(a)", "a@b", "\ud800"]
)
def test_a_metadata_name_is_a_token_in_lower_case(name: str) -> None:
    with pytest.raises(InvalidMetadata):
        check_attributes(Attributes(metadata={name: "x"}))


@pytest.mark.parametrize("name", ["a", "0", "-", "_", "a.b", "!#$%&'*+.^_`|~-"])
def test_every_character_of_a_token_may_stand_in_a_name(name: str) -> None:
    check_attributes(Attributes(metadata={name: "x"}))


@pytest.mark.parametrize(("letter", "size"), [("a", 1), ("é", 2), ("😀", 4)])
def test_names_and_values_have_8_kib_together(letter: str, size: int) -> None:
    left = MAX_ATTRIBUTES_SIZE - len("content-type") - len("x/y") - len("name")
    fill = letter * (left // size) + "a" * (left % size)
    check_attributes(Attributes(content_type="x/y", metadata={"name": fill}))
    with pytest.raises(InvalidMetadata, match="8193 bytes"):
        check_attributes(Attributes(content_type="x/y", metadata={"name": fill + "a"}))


def test_every_field_and_entry_counts() -> None:
    half = "a" * (MAX_ATTRIBUTES_SIZE // 2)
    for both in (
        Attributes(content_type=half, cache_control=half),
        Attributes(content_type=half, metadata={"a": half}),
        Attributes(metadata={"a": half, "b": half}),
    ):
        with pytest.raises(InvalidMetadata, match=f"bytes; {MAX_ATTRIBUTES_SIZE} are accepted"):
            check_attributes(both)


def test_metadata_has_no_more_entries_than_programs_read_fields() -> None:
    entries = {f"n{number}": "x" for number in range(MAX_ENTRIES)}
    assert check_attributes(Attributes(metadata=entries)).metadata == entries
    with pytest.raises(InvalidMetadata, match=f"65 entries of metadata; {MAX_ENTRIES} are accepted"):
        check_attributes(Attributes(metadata={**entries, "more": "x"}))
