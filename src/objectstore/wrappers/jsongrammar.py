"""Whether a text is JSON (RFC 8259), looked at as it passes: nothing is built of it, so its size does not matter.

Python's own parser takes more (NaN, Infinity) and needs many times the size of the text in memory.
"""

from __future__ import annotations

import re
from typing import Final

from objectstore.errors import BadRequest

MAX_DEPTH: Final = 1000  # arrays and objects in each other; most parsers stop near there
MAX_NUMBER: Final = 4096  # characters; Python reads whole numbers of up to 4300

_SPACE: Final = r"[ \t\n\r]*+"
_INSIDE: Final = r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'
_STRING: Final = f'"{_INSIDE}"'
# What follows shows that a number is over: the next piece of the text could go on with it.
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+(?=[ \t\n\r,\]}])"
_SCALAR: Final = f"(?:{_STRING}|{_NUMBER}|true|false|null)"


def _around(value: str) -> str:
    """A scalar, or an array or object of such values."""
    member = f"{_STRING}{_SPACE}:{_SPACE}{value}"
    array = rf"\[{_SPACE}(?:{value}{_SPACE}(?:,{_SPACE}{value}{_SPACE})*+)?+\]"
    return rf"(?:{_SCALAR}|{array}|\{{{_SPACE}(?:{member}{_SPACE}(?:,{_SPACE}{member}{_SPACE})*+)?+\}})"


# Most of a text is in runs of values that are not deep, and these are taken at one stroke.
_SHALLOW: Final = _around(_around(_around(_SCALAR)))

_space: Final = re.compile(_SPACE)
_string: Final = re.compile(_STRING)
_inside: Final = re.compile(_INSIDE)
_STROKE: Final = 3  # levels in them
_scalar: Final = re.compile(_SCALAR)
_value: Final = re.compile(_SHALLOW)
_items: Final = re.compile(f"(?:{_SHALLOW}{_SPACE},{_SPACE})*+")
_members: Final = re.compile(f"(?:{_STRING}{_SPACE}:{_SPACE}{_SHALLOW}{_SPACE},{_SPACE})*+")
# What may be the beginning of a scalar, or of an escape in a string, that goes on in the next piece.
_begun: Final = re.compile(r"[-+.0-9eE]+|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?")
_escape: Final = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")


# What has to come next, in words for people.
_VALUE: Final = "a value"
_FIRST_VALUE: Final = "a value or ']'"
_KEY: Final = "a name in quotes"
_FIRST_KEY: Final = "a name in quotes or '}'"
_COLON: Final = "':'"
_BEHIND: Final = "',' or what closes it"
_REST: Final = "the rest of a string"
_REST_OF_KEY: Final = "the rest of a name"


class JsonGrammar:
    """Reads one JSON text piece by piece. Raises BadRequest, saying where, as soon as it is none."""

    def __init__(self) -> None:
        self._closers: list[str] = []  # of the arrays and objects that we are in
        self._next = _VALUE
        self._held = ""
        self._passed = 0  # characters before those held

    def feed(self, text: str) -> None:
        text = self._held + text
        at = 0
        while at < len(text):
            step = self._step(text, at)
            if step is None:
                break
            at = step
        self._held = text[at:]
        self._passed += at
        if len(self._held) > MAX_NUMBER:
            raise self._refusal(0, f"a number has more than {MAX_NUMBER} characters")

    def finish(self) -> None:
        # A number at the end is over now.
        self.feed(" ")
        if self._closers or self._next is not _BEHIND:
            raise BadRequest("the body is not JSON: it ends early")

    def _step(self, text: str, at: int) -> int | None:
        """Where the next step begins; None when the text has to go on first."""
        expected = self._next
        if expected is _REST or expected is _REST_OF_KEY:
            return self._rest(text, at)
        if (behind := _end(_space, text, at)) > at:
            return behind
        if expected is _VALUE or expected is _FIRST_VALUE:
            return self._value(text, at)
        if expected is _KEY or expected is _FIRST_KEY:
            return self._key(text, at)
        if expected is _COLON and text[at] == ":":
            self._next = _VALUE
        elif expected is _BEHIND and not self._closers:
            raise self._refusal(at, "something stands behind it")
        elif expected is _BEHIND and text[at] == ",":
            self._next = _KEY if self._closers[-1] == "}" else _VALUE
        elif expected is _BEHIND and text[at] == self._closers[-1]:
            self._close()
        else:
            raise self._refusal(at, f"{expected} has to come here")
        return at + 1

    def _value(self, text: str, at: int) -> int | None:
        shallow = self._may_take_levels()
        if shallow and self._closers and self._closers[-1] == "]" and (behind := _end(_items, text, at)) > at:
            self._next = _VALUE
            return behind
        if (behind := _end(_value if shallow else _scalar, text, at)) > at:
            self._next = _BEHIND
            return behind
        start = text[at]
        if start in "[{":
            self._enter(at, start)
            return at + 1
        if start == "]" and self._next is _FIRST_VALUE:
            self._close()
            return at + 1
        if start == '"':
            self._next = _REST
            return at + 1
        if _begun.fullmatch(text, at):
            return None
        raise self._refusal(at, f"{self._next} has to come here")

    def _key(self, text: str, at: int) -> int:
        if text[at] == "}" and self._next is _FIRST_KEY:
            self._close()
            return at + 1
        if text[at] != '"':
            raise self._refusal(at, f"{self._next} has to come here")
        if self._may_take_levels() and (behind := _end(_members, text, at)) > at:
            self._next = _KEY
            return behind
        if (behind := _end(_string, text, at)) > at:
            self._next = _COLON
            return behind
        self._next = _REST_OF_KEY
        return at + 1

    def _rest(self, text: str, at: int) -> int | None:
        behind = _end(_inside, text, at)
        if behind > at:
            return behind
        if text[at] == '"':
            self._next = _BEHIND if self._next is _REST else _COLON
            return at + 1
        if _escape.fullmatch(text, at):
            return None
        raise self._refusal(at, "a string has a control character or an unknown escape")

    def _may_take_levels(self) -> bool:
        return len(self._closers) + _STROKE <= MAX_DEPTH

    def _enter(self, at: int, opener: str) -> None:
        if len(self._closers) == MAX_DEPTH:
            raise self._refusal(at, f"it is nested deeper than {MAX_DEPTH} levels")
        self._closers.append("]" if opener == "[" else "}")
        self._next = _FIRST_VALUE if opener == "[" else _FIRST_KEY

    def _close(self) -> None:
        self._closers.pop()
        self._next = _BEHIND

    def _refusal(self, at: int, reason: str) -> BadRequest:
        return BadRequest(f"the body is not JSON: {reason} (character {self._passed + at + 1})")


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where what the pattern finds at this place ends; the place itself when it finds nothing."""
    found = pattern.match(text, at)
    return at if found is None else found.end()
