"""The report of a scrub: a line of JSON for each body that was verified, with its digest and when that was.

It is evidence of fixity, and the source of a manifest as BagIt wants it (RFC 8493 §2.1.3). The file is written in
pieces, each a gzip member of its own, so that one cut short is told by where the last whole piece ends.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from objectstore.backends.engine.directory import FILE_MODE
from objectstore.backends.engine.stored import Fault, Stored
from objectstore.errors import Corrupted
from objectstore.wire.records import format_time

_LONGEST_NAME: Final = 255  # bytes of a file's name, on the file systems that there are
_LONGEST_PATH: Final = 4096 - 256  # bytes; room for the folder that the bag is in
_LEVEL: Final = 3  # digests do not shrink, so more is waste


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A body, and how it was found."""

    kind: str  # object, or part of an unfinished upload
    key: str  # of a part: `upload/number`
    size: int  # bytes
    sha256: str  # as it was stored; of a sound one, also as it was read
    verified: str  # RFC 3339
    status: str  # ok, or what is wrong
    message: str = ""

    @property
    def sound(self) -> bool:
        return self.status == "ok"


def verified(stored: Stored, fault: Fault | None, at: datetime) -> Verified:
    return Verified(
        kind="part" if stored.part else "object",
        key=stored.name,
        size=stored.size,
        sha256=stored.sha256.hex(),
        verified=format_time(at),
        status="ok" if fault is None else fault.kind,
        message="" if fault is None else fault.message,
    )


def append(path: Path, size: int, lines: Iterable[Verified]) -> int:
    """Let the report be its first `size` bytes and these lines, durably but for its name; how many bytes that is.

    Raises OSError.
    """
    piece = gzip.compress("".join(map(_line, lines)).encode(), _LEVEL, mtime=0)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE)
    with os.fdopen(fd, "wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size + len(piece)


def read(path: Path, size: int | None = None) -> Iterator[Verified]:
    """The lines of a report, or of its first `size` bytes; none when there is no report. Raises Corrupted, OSError."""
    try:
        raw = path.open("rb", buffering=0)
    except FileNotFoundError:
        return
    with raw, io.BufferedReader(_Head(raw, sys.maxsize if size is None else size)) as head:
        try:
            with gzip.open(head) as lines:
                for line in lines:
                    yield Verified(**json.loads(line))
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, TypeError) as error:
            raise Corrupted(f"the report {path} is damaged ({error}); scrub again") from None


class _Head(io.RawIOBase):
    """The first bytes of a file."""

    def __init__(self, file: io.RawIOBase, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what a reader with a buffer gives it
        count = self._file.readinto(buffer[: min(len(buffer), self._left)]) or 0
        self._left -= count
        return count


def unfit(key: str) -> str | None:
    """Why no file can have this key for its path in a bag; None if one can."""
    segments = key.split("/")
    if "\0" in key:
        return "it has a NUL in it"
    if any(segment in {"", ".", ".."} for segment in segments):
        return "it has an empty part, or one that is . or .."
    if any(len(segment.encode()) > _LONGEST_NAME for segment in segments) or len(key.encode()) > _LONGEST_PATH:
        return "it is too long"
    return None


class Manifest:
    """The lines of `manifest-sha256.txt`, of bodies in the order of their keys. What is left out is remembered."""

    def __init__(self) -> None:
        self.left_out: list[tuple[str, str]] = []  # key, and why
        self._above: list[str] = []  # the keys listed that the one at hand begins with

    def line(self, one: Verified) -> str | None:
        """The line of this body, without an end; None when it is left out, or is a part, which is no file yet."""
        if one.kind != "object":
            return None
        while self._above and not one.key.startswith(self._above[-1]):
            self._above.pop()
        reason = one.message or one.status if not one.sound else unfit(one.key) or self._shadowed(one.key)
        if reason is not None:
            self.left_out.append((one.key, reason))
            return None
        self._above.append(one.key)
        path = one.key.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        return f"{one.sha256}  data/{path}"

    def _shadowed(self, key: str) -> str | None:
        above = next((other for other in self._above if key.startswith(f"{other}/")), None)
        return None if above is None else f"there is an object {above!r}, which no folder can be beside"


def _line(one: Verified) -> str:
    facts = {
        "kind": one.kind,
        "key": one.key,
        "size": one.size,
        "sha256": one.sha256,
        "verified": one.verified,
        "status": one.status,
    }
    return json.dumps({**facts, "message": one.message} if one.message else facts, ensure_ascii=False) + "\n"
