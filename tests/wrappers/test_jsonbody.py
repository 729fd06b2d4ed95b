"""JSON, compared with the parser of the standard library."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import BadRequest, IncompleteBody
from objectstore.testing.suite.harness import chunked, found, read
from objectstore.values import PutOptions
from objectstore.wrappers.jsonbody import JsonOnly
from objectstore.wrappers.jsongrammar import MAX_DEPTH, MAX_NUMBER, JsonGrammar

VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)
# Pieces of texts, whole and broken.
TOKENS: Final = st.lists(
    st.sampled_from(
        [
            '"',
            "\\",
            "\\u00e9",
            "\\u00",
            "\\n",
            "\\x",
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            '"k":',
            '"s"',
            "[]",
            "{}",
            "[1, 2",
            "}]",
        ]
    )
    | st.sampled_from(["1", "0", "-", ".", "e", "+", "12.5e-3", "true", "fals", "e", "null", "nul", "NaN", '{"a": ['])
    | st.sampled_from([" ", "\n", "\t", "\x00", "a", "\ufeff", "é", "\u00a0"]),
    max_size=9,
).map("".join)


def is_json(text: str) -> bool:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


def passes(text: str, step: int) -> bool:
    grammar = JsonGrammar()
    try:
        for at in range(0, len(text), step):
            grammar.feed(text[at : at + step])
        grammar.finish()
    except BadRequest:
        return False
    return True


@settings(max_examples=500)
@given(TOKENS, st.integers(1, 12))
@example("", 1)
@example("01", 1)
@example("-", 1)
@example('"\\', 1)
@example("[1,]", 1)
@example('{"a":1,}', 2)
@example("1 2", 1)
def test_what_is_json_is_what_the_standard_library_says(text: str, step: int) -> None:
    assert passes(text, step) == passes(text, 1000) == is_json(text)


@given(VALUES, st.sampled_from([None, 2]), st.booleans(), st.integers(1, 50))
def test_json_passes_however_it_is_cut(value: Any, indent: int | None, ascii_only: bool, step: int) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert passes(text, step)
    assert passes(f" {text}\r\n", step)
    assert not passes(text + "]", step)
    if isinstance(value, dict | list):
        assert not passes(text[:-1], step)


@pytest.mark.parametrize("step", [1, 64, 100_000])
def test_nesting_has_an_end(step: int) -> None:
    for opener, closer in (("[", "]"), ('{"a":', "}")):
        middle = "0"
        assert passes(opener * MAX_DEPTH + middle + closer * MAX_DEPTH, step)
        assert not passes(opener * (MAX_DEPTH + 1) + middle + closer * (MAX_DEPTH + 1), step)


def test_a_long_number_is_refused_and_long_space_and_strings_are_not() -> None:
    assert passes("1" * MAX_NUMBER, 7)
    assert not passes("1" * (MAX_NUMBER + 2), 7)
    assert passes("[" + " " * 10_000 + '"' + "é\\n" * 10_000 + '"' + " " * 10_000 + "]", 7)
    assert passes('{"' + "é\\n" * 10_000 + '"' + " " * 10_000 + ":1}", 7)


@pytest.mark.parametrize("step", [1, 1000])
def test_an_error_says_where_it_is(step: int) -> None:
    grammar = JsonGrammar()
    text = '{"é": [1, 2}'
    with pytest.raises(BadRequest, match=r"',' or what closes it has to come here \(character 12\)"):  # noqa: PT012  in pieces
        for at in range(0, len(text), step):
            grammar.feed(text[at : at + step])


def test_what_is_held_between_pieces_is_small() -> None:
    grammar = JsonGrammar()
    text = json.dumps([{"name": "x" * 50, "deep": [[[[number]]]]} for number in range(2000)])
    for at in range(0, len(text), 100):
        grammar.feed(text[at : at + 100])
        assert len(grammar._held) < 20
    grammar.finish()


def test_bytes_are_kept_as_they_came(tmp_path: Path) -> None:
    body = b'{ "b":1.0,\n "a": [ 1e2 ], "a": "\\u00e9" }\n'
    (tmp_path / "theirs").write_bytes(b"not JSON")
    large = json.dumps([{"id": number, "tags": ["a", {"b": None}]} for number in range(30_000)]).encode()

    async def scenario() -> None:
        async with JsonOnly(FilesystemBackend(tmp_path)) as store:
            info = await store.put("key", body)
            assert await found(store, "key") == (info, body)
            await store.put("large", chunked(large, 1001))
            assert await read(store, "large") == large
            cut = chunked(large[:-1])
            for refused in (b"", b"{", b"\xff", b"NaN", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), cut, b"[1] x"):
                with pytest.raises(BadRequest):
                    await store.put("key", refused)
            assert await found(store, "key") == (info, body)
            assert await read(store, "theirs") == b"not JSON"

    asyncio.run(scenario())
    assert (tmp_path / "key").read_bytes() == body


def test_a_body_that_was_cut_is_told_to_be_cut() -> None:
    async def scenario() -> None:
        async with JsonOnly(MemoryBackend()) as store:
            for body in (b'{"a"', chunked(b'{"a"')):
                with pytest.raises(IncompleteBody):
                    await store.put("key", body, PutOptions(size=8))

    asyncio.run(scenario())
