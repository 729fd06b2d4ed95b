"""Text in and out as UTF-8, stored in an encoding of choice."""

from __future__ import annotations

import asyncio
import encodings.aliases
from pathlib import Path
from typing import Final

import pytest

from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import BadRequest, ConfigurationError, Corrupted, IncompleteBody
from objectstore.testing.suite.harness import chunked, found, read
from objectstore.values import Bounded, FileSpan, ListQuery, PutOptions
from objectstore.wrappers.textencoding import Reencoded, TextDecoder, TextEncoder, stored_as_text

TEXT: Final = "Zoë, 日本, 😀, \ufeff, end\n"
LATIN: Final = "Grüße\r\n" * 20_000


def _is_of_characters(codec: str) -> bool:
    try:
        "".encode(codec)
    except (LookupError, UnicodeError):
        return False
    return True


ENCODINGS: Final = sorted(filter(_is_of_characters, set(encodings.aliases.aliases.values())))


def encoded(encoding: str, body: bytes, step: int) -> bytes:
    encoder = TextEncoder(encoding)
    pieces = [encoder.feed(body[at : at + step]) for at in range(0, len(body), step)]
    return b"".join(pieces) + encoder.finish()


def decoded(encoding: str, stored: bytes, step: int) -> bytes:
    decoder = TextDecoder(encoding)
    pieces = [piece for at in range(0, len(stored), step) for piece in decoder.feed(stored[at : at + step])]
    return b"".join(pieces) + decoder.finish()


def test_files_of_other_programs_are_objects(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(LATIN.encode("latin-1"))

    async def scenario() -> None:
        async with stored_as_text(FilesystemBackend(tmp_path), "latin-1") as store:
            size = len(LATIN.encode())
            assert [info.size for info in (await store.list(ListQuery(details=True))).objects] == [size]
            assert await read(store, "theirs") == LATIN.encode()
            assert await read(store, "theirs", Bounded(100_000, 100_010)) == LATIN.encode()[100_000:100_010]
            assert (await store.put("ours", chunked(LATIN.encode(), 3))).size == size
            for body in ("€".encode(), b"\xff", "ü".encode()[:1]):
                with pytest.raises(BadRequest):
                    await store.put("refused", body)
            assert await found(store, "refused") is None

    asyncio.run(scenario())
    assert (tmp_path / "ours").read_bytes() == LATIN.encode("latin-1")


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "gb18030"])
def test_encodings_of_all_characters_take_all_text(encoding: str, step: int) -> None:
    stored = encoded(encoding, TEXT.encode(), step)
    assert stored.decode(encoding) == TEXT
    assert decoded(encoding, stored, step) == TEXT.encode()
    assert decoded(encoding, TEXT.encode(encoding), step) == TEXT.encode()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_comes_back_as_it_is_or_is_refused(encoding: str) -> None:
    kept = 0
    for text in ("plain text", "a.b-c" * 30, "¥ and \\", "‾~", "Ünï", "日本", "+AOk- +", "\\u00e9", TEXT, ""):
        for step in (1, 4, 1000):
            try:
                stored = encoded(encoding, text.encode(), step)
            except BadRequest:
                continue
            kept += 1
            assert decoded(encoding, stored, step) == text.encode()
    assert kept > 0


def test_a_character_that_would_come_back_as_another_is_refused() -> None:
    assert "¥".encode("shift_jis").decode("shift_jis") != "¥"
    with pytest.raises(BadRequest, match="another"):
        encoded("shift_jis", "¥".encode(), 10)


def test_text_of_which_something_would_be_lost_is_refused() -> None:
    assert "a\x1b$B".encode("iso2022_jp").decode("iso2022_jp") == "a"
    with pytest.raises(BadRequest, match="come back"):
        encoded("iso2022_jp", b"a\x1b$B", 10)


def test_stored_text_in_another_encoding_is_damage() -> None:
    for stored in (b"\xff", b"a\0b"):
        with pytest.raises(Corrupted, match="utf-16"):
            decoded("utf-16-le", stored, 10)


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "u8"])
def test_utf_8_is_stored_as_it_comes(encoding: str, tmp_path: Path) -> None:
    body = TEXT.encode() * 10_000
    (tmp_path / "theirs").write_bytes(b"not text \xff")

    async def scenario() -> None:
        async with stored_as_text(FilesystemBackend(tmp_path), encoding) as store:
            info = await store.put("key", chunked(body, 5))
            async with store.get("key") as reading:
                assert reading.info == info
                assert isinstance(reading.content, FileSpan)
            for refused in (b"\xff", body + b"\xc3", chunked(body + b"\xff", 100), b"\xed\xa0\x80"):
                with pytest.raises(BadRequest, match="UTF-8"):
                    await store.put("key", refused)
            assert await found(store, "key") == (info, body)
            # What is there is given out as it is.
            assert await read(store, "theirs") == b"not text \xff"

    asyncio.run(scenario())
    assert (tmp_path / "key").read_bytes() == body


def test_a_body_cut_in_a_character_is_told_to_be_cut() -> None:
    async def scenario() -> None:
        async with stored_as_text(MemoryBackend()) as store:
            with pytest.raises(IncompleteBody):
                await store.put("key", chunked("ü".encode()[:1]), PutOptions(size=2))

    asyncio.run(scenario())


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "base64", "rot13", "", "a\0b", "zip", "undefined"])
def test_what_is_no_encoding_of_characters_is_told(encoding: str) -> None:
    with pytest.raises(ConfigurationError, match="latin-1"):
        stored_as_text(MemoryBackend(), encoding)
    with pytest.raises(ConfigurationError):
        Reencoded(MemoryBackend(), encoding)
