"""Which names of a tree count, by patterns in the order in which they were given.

The first pattern that matches a name, or a folder that it is in, decides; a name that none matches counts.

    *.csv        a file or folder of such a name, at any depth
    /notes.txt   only at the top; so is every pattern with a slash in it, other than at its end
    raw/         a folder, with all that is in it
    a/**/b       any number of folders between; ** stands for slashes too, * and ? do not
    [a-c] [!a]   one character of these, or not of these
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from objectstore.errors import InvalidParameter


@dataclass(frozen=True)
class Pattern:
    """One pattern, and whether what it matches counts."""

    text: str
    includes: bool

    def __post_init__(self) -> None:
        if not self.text.strip("/"):
            raise InvalidParameter(f"{self.text!r} is no pattern: it matches nothing")

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        text = self.text.rstrip("/")
        anchored = "/" in text
        return re.compile(("" if anchored else "(?:.*/)?") + _translated(text.removeprefix("/")), re.DOTALL)

    def matches(self, name: str) -> bool:
        """Whether it matches the name itself or, as those do that end with a slash, only a folder that it is in."""
        expression = self._expression
        if not self.text.endswith("/") and expression.fullmatch(name):
            return True
        at = name.find("/")
        while at != -1:
            if expression.fullmatch(name, 0, at):
                return True
            at = name.find("/", at + 1)
        return False


@dataclass(frozen=True)
class Selection(Container[str]):
    """The patterns, in order."""

    patterns: Sequence[Pattern] = field(default=())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and next((one.includes for one in self.patterns if one.matches(name)), True)


EVERYTHING = Selection()


def selection(given: Iterable[tuple[bool, str]]) -> Selection:
    """Of pairs: whether it includes, and the text. Raises InvalidParameter."""
    return Selection(tuple(Pattern(text, includes) for includes, text in given))


def _translated(text: str) -> str:
    found, at = [], 0
    while at < len(text):
        char = text[at]
        if text.startswith("**/", at) and (at == 0 or text[at - 1] == "/"):
            found.append("(?:.*/)?")
            at += 3
            continue
        if text.startswith("**", at):
            found.append(".*")
            at += 2
            continue
        at += 1
        if char == "*":
            found.append("[^/]*")
        elif char == "?":
            found.append("[^/]")
        elif char == "[" and (end := text.find("]", at + 1 + text.startswith(("!", "^"), at))) != -1:
            found.append(_one_of(text[at:end]))
            at = end + 1
        elif char == "\\" and at < len(text):
            found.append(re.escape(text[at]))
            at += 1
        else:
            found.append(re.escape(char))
    return "".join(found)


def _one_of(text: str) -> str:
    negated = text.startswith(("!", "^"))
    members = re.sub(r"([\\\[\]^&~|])", r"\\\1", text[negated:])
    expression = f"(?!/)[{'^' if negated else ''}{members}]"
    try:
        re.compile(expression)
    except re.error:
        raise InvalidParameter(f"[{text}] in a pattern is no set of characters") from None
    return expression
