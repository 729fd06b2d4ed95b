"""Many small reads as a few larger ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore.core.coalescing import Span, coalesce

READS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda read: (read[0], sum(read))), max_size=8)


@pytest.mark.parametrize(
    ("reads", "spans"),
    [
        ([], []),
        ([(0, 10), (10, 20)], [Span(0, 20, (0, 1))]),
        ([(30, 40), (0, 10)], [Span(0, 40, (1, 0))]),
        ([(0, 10), (31, 40)], [Span(0, 10, (0,)), Span(31, 40, (1,))]),
        ([(0, 50), (10, 20), (40, 70)], [Span(0, 70, (0, 1, 2))]),
        ([(0, 90), (95, 120)], [Span(0, 90, (0,)), Span(95, 120, (1,))]),
        ([(0, 150), (140, 300)], [Span(0, 300, (0, 1))]),
        ([(5, 6), (5, 6)], [Span(5, 6, (0, 1))]),
        ([(0, 90), (95, 100)], [Span(0, 100, (0, 1))]),
        ([(0, 90), (90, 101)], [Span(0, 90, (0,)), Span(90, 101, (1,))]),
        ([(80, 90), (95, 105)], [Span(80, 105, (0, 1))]),
    ],
)
def test_reads_that_are_near_come_together(reads: list[tuple[int, int]], spans: list[Span]) -> None:
    assert coalesce(reads, max_gap=20, max_size=100) == spans


@given(READS, st.integers(0, 10), st.integers(0, 40))
def test_every_read_is_in_one_span_whatever_the_limits(
    reads: list[tuple[int, int]], max_gap: int, max_size: int
) -> None:
    spans = coalesce(reads, max_gap, max_size)
    assert sorted(number for span in spans for number in span.wanted) == list(range(len(reads)))
    for span in spans:
        wanted = [reads[number] for number in span.wanted]
        assert (span.start, span.stop) == (min(start for start, _ in wanted), max(stop for _, stop in wanted))
    assert [span.start for span in spans] == sorted(span.start for span in spans)
