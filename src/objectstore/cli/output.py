"""What commands print: data on stdout, everything else on stderr."""

from __future__ import annotations

import json as json_format
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from objectstore.errors import ObjectStoreError, Unauthenticated
from objectstore.values import ObjectInfo
from objectstore.wire.errors import details
from objectstore.wire.records import record

PROGRAM: Final = "objectstore"
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs: one document a line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but data and errors.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How a command tells of what it does."""

    json: bool = False
    quiet: bool = False
    data_is_taken: bool = False  # stdout is for an object

    def say(self, message: str) -> None:
        """A remark for people, to stderr; neither programs nor the quiet want it."""
        if not (self.json or self.quiet):
            print(printable(message), file=sys.stderr, flush=True)  # noqa: T201  the place that prints

    def line(self, text: str) -> None:
        """A line of data, to stdout. A terminal is spared control characters, a pipe gets the text as it is."""
        print(printable(text) if sys.stdout.isatty() else text)  # noqa: T201  the place that prints

    def document(self, value: Mapping[str, object]) -> None:
        """A line of JSON, to stdout."""
        print(as_json(value))  # noqa: T201  the place that prints

    def error(self, error: Exception) -> None:
        """What went wrong, to stderr: in words, or as `{"error": …}` when JSON is wanted."""
        if self.json:
            print(as_json({"error": told(error)}), file=sys.stderr, flush=True)  # noqa: T201  the place that prints
        else:
            complain(in_words(error))


def complain(message: str) -> None:
    """What went wrong, to stderr: a line, or several where several things did."""
    for line in message.split("\n"):
        print(f"{PROGRAM}: {printable(line)}", file=sys.stderr, flush=True)  # noqa: T201  the place that prints


def described(info: ObjectInfo) -> dict[str, object]:
    """The record of an object that was asked for alone: such an answer does not tell when the key was created."""
    told = record(info)
    del told["created_at"]
    return told


def as_json(value: Mapping[str, object]) -> str:
    text = json_format.dumps(value, ensure_ascii=False)
    # The name of a file may be no UTF-8; the escape that stands for it is one of JSON, too.
    return text.encode("utf-8", "backslashreplace").decode()


def in_words(error: Exception) -> str:
    """The error as a sentence: `report.pdf: No such file or directory` for those of the system."""
    if isinstance(error, OSError) and error.errno is not None:
        reason = os.strerror(error.errno)
        return f"{error.filename}: {reason}" if error.filename else reason
    if isinstance(error, Unauthenticated):
        return "the server wants a valid token: objectstore login keeps one; or set OBJECTSTORE_TOKEN, or use --token"
    return str(error) or type(error).__name__


def told(error: Exception) -> dict[str, object]:
    """The error for programs."""
    if isinstance(error, ObjectStoreError):
        return details(error)
    return {"code": "os_error" if isinstance(error, OSError) else "usage", "message": in_words(error)}


def printable(text: str) -> str:
    r"""`text` with control characters as escapes such as `\x1b`, so that a key cannot steer the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def human_size(size: int) -> str:
    """`size` bytes, short enough for a column: `999 B`, `1.5 KiB`, `23 MiB`."""
    if size < 1024:
        return f"{size} B"
    scaled = float(size)
    for unit in _UNITS:
        scaled /= 1024
        # What would need four digits goes one unit up.
        if scaled < 999.5 or unit == _UNITS[-1]:
            break
    return f"{scaled:.1f} {unit}" if scaled < 9.95 else f"{scaled:.0f} {unit}"
