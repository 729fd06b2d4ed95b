"""Byte ranges of an object (RFC 9110 §14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from objectstore.errors import InvalidRange
from objectstore.values import Bounded, ByteRange, From, Last


def resolve(wanted: ByteRange | None, size: int) -> tuple[int, int]:
    """Start and stop (end exclusive) of what `wanted` selects of an object of `size` bytes; all of it for None.

    An end past the object is cut to it. `Last(n)` of a smaller object is all of it (RFC 9110 §14.1.2).

    Raises:
        InvalidRange: it starts at or after `size`, or selects nothing.
    """
    match wanted:
        case None:
            return 0, size
        case Bounded(start, stop):
            found = start, min(stop, size)
        case From(start):
            found = start, size
        case Last(length):
            found = max(0, size - length), size
        case _:
            assert_never(wanted)
    if found[0] >= found[1]:
        raise InvalidRange(size)
    return found


def resolve_all(wanted: Iterable[ByteRange], size: int) -> Sequence[tuple[int, int]]:
    """What several ranges select, in the order asked for, overlapping and touching neighbours joined.

    Ranges that select nothing are left out; joining what overlaps keeps a request from multiplying the
    object (RFC 9110 §14.2, §17.15).

    Raises:
        InvalidRange: none selects anything.
    """
    found: list[tuple[int, int]] = []
    for one in wanted:
        try:
            start, stop = resolve(one, size)
        except InvalidRange:
            continue
        apart = []
        for other_start, other_stop in found:
            if start <= other_stop and other_start <= stop:
                start, stop = min(start, other_start), max(stop, other_stop)
            else:
                apart.append((other_start, other_stop))
        found = [*apart, (start, stop)]
    if not found:
        raise InvalidRange(size)
    return found
