"""What targets share: an error that is not the parser's own fails, and so does a property that does not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def attempt(parse: Callable[[], T], *expected: type[Exception]) -> T | None:
    """What `parse` gives; None when it refuses with one of the errors that it is to refuse with."""
    try:
        return parse()
    except expected:
        return None


def holds(fact: object, *shown: object) -> None:
    """Fail unless it does."""
    if not fact:
        raise AssertionError(shown)


def text_of(data: bytes) -> str:
    """A text, and for many inputs one with characters that no encoding has."""
    return data.decode("utf-8", "surrogateescape")


def json_of(data: bytes) -> Any:
    """The value of JSON; None when it is none."""
    return attempt(lambda: json.loads(data), ValueError, RecursionError)
