"""Every key is its own: stored and kept apart from all others, or refused without a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import InvalidKey, NotFound
from objectstore.testing.suite.harness import Suite, contract, found, keys, read
from objectstore.values import ONLY_IF_ABSENT, PutOptions

ODD_KEYS: Final[tuple[str, ...]] = (
    # Slashes and dots: what a path would normalise.
    *("a", "a/", "a//", "a//b", "a/b", "a/b/", "a/b/c", "/", "//", "/a", "//a", "/a/b", "b/c/", "b/c"),
    *(
        ".",
        "..",
        "./a",
        "../a",
        "a/.",
        "a/..",
        "a/./b",
        "a/../b",
        "../../../../../../tmp/out",
        "/..",
        "...",
        "a/...",
        "./.",
    ),
    # What a URL would decode, cut off or re-encode.
    *(
        "%",
        "%2F",
        "a%2Fb",
        "a%2fb",
        "%00",
        "%25",
        "%2E%2E",
        "?",
        "#",
        "?#",
        "a?b#c",
        "a b",
        "a+b",
        "a&b=c;d",
        "é%C3%A9",
    ),
    # White space and controls.
    *(
        " ",
        " a",
        "a ",
        "  ",
        "\t",
        "\n",
        "a\nb",
        "\r\n",
        "\x01",
        "\x1f",
        "\x7f",
        "\x85",
        "a\u2028b",
        "\u200b",
        "\ufeff",
        "\u202e",
    ),
    # What shells, Windows, SQL and patterns find special.
    *(
        "\\",
        "a\\b",
        "..\\a",
        "a:b",
        "CON",
        "nul.txt",
        "a.",
        "*",
        "[a]",
        "a_b",
        "_",
        "a%b",
        "'; --",
        '"`$(x)',
        "~",
        "-rf",
        "{}",
        "<a>",
    ),
    # Hidden and temporary files.
    *(
        ".hidden",
        ".a/b",
        "a/.b",
        ".tmp",
        "a.tmp",
        "a~",
        "#a#",
        ".git/config",
        "a.part",
        "a.json",
        ".meta",
        ".meta/a",
        ".staging/x",
    ),
    # Case, and Unicode composed, decomposed, folded and outside the first plane.
    *(
        "A",
        "A/b",
        "a/B",
        "É",
        "é",
        "e\u0301",
        "ß",
        "ss",
        "SS",
        "ı",
        "i",
        "I",
        "İ",
        "😀",
        "a/😀/b",
        "\ud7ff",
        "\ue000",
        "\uffff",
        "\U00010000",
    ),
    *("\U0010ffff", "ﬁ", "fi", "日本語/キー", "Ａ"),
    # Long ones: segments beyond what file systems name, and the longest key.
    *("s" * 200, "s" * 254, "s" * 255, "s" * 256, "s" * 300, "s" * 301, "d/" + "s" * 300 + "/e", "é" * 128, "é" * 300),
    *("k" * 1023, "k" * 1024, "k/" * 512, "/" * 1024, "😀" * 256, "k/" * 511 + "kk", "%" * 1024, "." * 1024),
)

# Neighbours that a backend might take for one, or for a file and a folder of the same name.
RIVALS: Final[tuple[tuple[str, ...], ...]] = (
    ("a", "a/b"),
    ("a", "a/"),
    ("a/b", "a/b/c", "a"),
    ("a/b", "a//b", "a/./b", "/a/b"),
    ("a", "A"),
    ("é", "e\u0301"),
    ("a/../b", "b"),
    ("%2F", "/", "%252F"),
    ("a%2Fb", "a/b"),
    ("x" * 300, "x" * 301, "x" * 255),
    ("a ", "a"),
    ("a.", "a"),
    ("..", ".", "..."),
)


def _body(key: str) -> bytes:
    return b"body of " + key.encode()


async def _store(backend: Backend, names: Sequence[str]) -> list[str]:
    """The keys among `names` that the backend takes, each stored with its own body."""
    taken = []
    for name in names:
        try:
            await backend.put(name, _body(name))
        except InvalidKey:
            continue
        taken.append(name)
    return taken


async def _hold_exactly(backend: Backend, taken: Sequence[str], names: Sequence[str]) -> None:
    for name in names:
        if name in taken:
            stored = await found(backend, name)
            assert stored is not None, name
            assert (stored[0].key, stored[1]) == (name, _body(name))
        else:
            with pytest.raises((NotFound, InvalidKey)):
                await backend.head(name)
    if backend.capabilities.listing:
        assert await keys(backend) == sorted(taken, key=str.encode)


class KeyTests(Suite):
    @contract("write")
    async def test_plain_keys_are_stored(self, backend: Backend) -> None:
        plain = ["a", "b.txt", "c/d", "c/e/f.tar.gz", "with-dash_and.dot", "2026/01/02", "UPPER"]
        assert await _store(backend, plain) == plain
        await _hold_exactly(backend, plain, plain)

    @contract("write", "delete")
    async def test_a_key_alone_is_stored_as_it_is_or_refused_without_a_trace(self, backend: Backend) -> None:
        for key in ODD_KEYS:
            taken = await _store(backend, [key])
            await _hold_exactly(backend, taken, [key])
            if taken:
                await backend.delete(key)
                await _hold_exactly(backend, [], [key])

    @pytest.mark.parametrize("backwards", [False, True])
    @contract("write")
    async def test_all_keys_live_side_by_side(self, backend: Backend, backwards: bool) -> None:
        names = ODD_KEYS[::-1] if backwards else ODD_KEYS
        assert len(set(names)) == len(names)
        taken = await _store(backend, names)
        await _hold_exactly(backend, taken, names)

    @pytest.mark.parametrize("rivals", RIVALS, ids=ascii)
    @pytest.mark.parametrize("backwards", [False, True])
    @contract("write")
    async def test_rivals_are_kept_apart(self, backend: Backend, rivals: tuple[str, ...], backwards: bool) -> None:
        names = rivals[::-1] if backwards else rivals
        taken = await _store(backend, names)
        await _hold_exactly(backend, taken, names)
        if backend.capabilities.delete:
            for name in tuple(taken):
                await backend.delete(name)
                taken.remove(name)
                await _hold_exactly(backend, taken, names)

    @pytest.mark.parametrize("rivals", RIVALS, ids=ascii)
    @contract("write", "delete")
    async def test_a_deleted_key_makes_room_for_its_rivals(self, backend: Backend, rivals: tuple[str, ...]) -> None:
        for name in rivals:
            [*taken] = await _store(backend, [name])
            await _hold_exactly(backend, taken, rivals)
            for one in taken:
                await backend.delete(one)

    @pytest.mark.parametrize("rivals", RIVALS, ids=ascii)
    @contract("write", "conditions")
    async def test_only_if_absent_looks_at_the_very_key(self, backend: Backend, rivals: tuple[str, ...]) -> None:
        for name in rivals:
            try:
                await backend.put(name, _body(name), PutOptions(conditions=ONLY_IF_ABSENT))
            except InvalidKey:
                continue
            assert await read(backend, name) == _body(name)

    @pytest.mark.parametrize("rivals", RIVALS, ids=ascii)
    @contract("write", "delete")
    async def test_an_absent_rival_is_not_found(self, backend: Backend, rivals: tuple[str, ...]) -> None:
        here, *absent = rivals
        taken = await _store(backend, [here])
        for name in absent:
            for attempt in (
                backend.head(name),
                read(backend, name),
                backend.delete(name),
                backend.copy(name, "target"),
            ):
                with pytest.raises((NotFound, InvalidKey)):
                    await attempt
            [error] = await backend.delete_many([name])
            assert isinstance(error, NotFound | InvalidKey)
        await _hold_exactly(backend, taken, rivals)

    @contract("write")
    async def test_a_copy_to_a_key_that_cannot_be_held_is_refused_without_a_trace(self, backend: Backend) -> None:
        await backend.put("source", b"1")
        taken = ["source"]
        for name in ODD_KEYS:
            try:
                await backend.copy("source", name)
            except InvalidKey:
                continue
            taken.append(name)
            assert await read(backend, name) == b"1"
        if backend.capabilities.listing:
            assert await keys(backend) == sorted(taken, key=str.encode)
