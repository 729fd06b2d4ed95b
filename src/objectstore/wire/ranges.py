"""The header fields of ranges ⇄ values, as `headers` has those of objects."""

from __future__ import annotations

import re
from typing import Final

from objectstore.errors import BadRequest
from objectstore.values import Bounded, ByteRange, From, Last

MAX_RANGES: Final = 64  # a request for more is answered with the whole object (RFC 9110 §14.2 allows it)

_RANGE: Final = re.compile(rb"(\d*)-(\d*)", re.ASCII)


def parse_ranges(value: bytes | None) -> tuple[ByteRange, ...]:
    """The ranges of a `Range` field; none when it is absent, malformed, in another unit or immoderate.

    A field that cannot be read is ignored (RFC 9110 §14.2), as is one with more than MAX_RANGES ranges.
    """
    if value is None:
        return ()
    unit, _, listed = value.partition(b"=")
    if unit.strip().lower() != b"bytes":
        return ()
    if listed.count(b",") >= MAX_RANGES:
        return ()
    ranges: list[ByteRange] = []
    for item in listed.split(b","):
        spec = item.strip(b" \t")
        if not spec:
            continue
        one = _range(spec)
        if one is None:
            return ()
        ranges.append(one)
    return tuple(ranges)


def _range(spec: bytes) -> ByteRange | None:
    found = _RANGE.fullmatch(spec)
    # No size has 20 digits; int() of thousands would take its time.
    if found is None or max(len(found[1]), len(found[2])) > 19:
        return None
    first, last = found[1], found[2]
    if first and last:
        return Bounded(int(first), int(last) + 1) if int(first) <= int(last) else None
    if first:
        return From(int(first))
    return Last(int(last)) if last else None


def format_range(wanted: ByteRange) -> bytes:
    match wanted:
        case Bounded(start, stop):
            return b"bytes=%d-%d" % (start, stop - 1)
        case From(start):
            return b"bytes=%d-" % start
        case Last(length):  # pragma: no branch  the type checker proves that there is no other
            return b"bytes=-%d" % length


def format_content_range(start: int, stop: int, size: int) -> bytes:
    return b"bytes %d-%d/%d" % (start, stop - 1, size)


def parse_content_range(value: bytes) -> tuple[int, int, int]:
    """Start, stop (end exclusive) and size in bytes of a `Content-Range`. Raises BadRequest."""
    found = re.fullmatch(rb"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", value)
    if found is not None:
        start, stop, size = int(found[1]), int(found[2]) + 1, int(found[3])
        if start < stop <= size:
            return start, stop, size
    raise BadRequest("a Content-Range that cannot be read")
