"""Many small reads as a few larger ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `stop` (end exclusive) that are read at once; `wanted` are the numbers of the reads in it."""

    start: int
    stop: int
    wanted: tuple[int, ...]


def coalesce(reads: Iterable[tuple[int, int]], max_gap: int, max_size: int) -> list[Span]:
    """The spans that cover the reads (start and stop, end exclusive), in the order of their starts.

    Reads with at most `max_gap` bytes between them share a span, unless it grew beyond `max_size` bytes by that;
    those that overlap share one whatever its size.
    """
    spans: list[Span] = []
    for number, (start, stop) in sorted(enumerate(reads), key=lambda read: read[1]):
        last = spans[-1] if spans else None
        if last is not None and start < last.stop:
            spans[-1] = Span(last.start, max(last.stop, stop), (*last.wanted, number))
        elif last is not None and start - last.stop <= max_gap and stop - last.start <= max_size:
            spans[-1] = Span(last.start, stop, (*last.wanted, number))
        else:
            spans.append(Span(start, stop, (number,)))
    return spans
