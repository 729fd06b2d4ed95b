"""The figures of a run as Markdown, put into the page that explains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.report import Report
from bench.table import MARKS, cpu, judged, number, peak, ranked, ratio

_BEGIN: Final = "<!-- figures: written by `python -m bench --write-docs`, not by hand -->"
_END: Final = "<!-- end of figures -->"


def write(report: Report, page: Path) -> None:
    """Replace the figures in the page. Raises ValueError when it has no place for them."""
    text = page.read_text()
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {_BEGIN!r} and {_END!r} for the figures to stand between")
    page.write_text("\n".join((before + _BEGIN, *_lines(report), _END + after)))


def _lines(report: Report) -> Iterator[str]:
    yield ""
    minutes = f"{report.seconds / 60:.0f} min"
    yield f"Measured on {report.date[:10]} by `{report.command}`, {report.rounds} rounds, in {minutes}."
    yield ""
    yield from _table(("", ""), report.machine.items())
    yield ""
    yield from _table(("contestant", "version"), report.versions.items())
    yield ""
    yield "### What was wanted and what was reached"
    yield ""
    verdicts = (
        (
            goal.work,
            goal.wanted,
            *("" if value is None else f"{number(value)} {MARKS[goal.verdict(value)]}" for value in reached),
        )
        for goal, reached in judged(report.rows)
    )
    yield from _table(("work", "wanted", "on Granian", "on uvicorn"), verdicts)
    for row in report.rows:
        yield ""
        yield f"### {row.title}"
        yield ""
        yield f"`{row.name}`: {row.how}."
        yield ""
        ours = row.figures.get("granian")
        yield from _table(
            (f"contestant ({row.unit})", "median", "lowest – highest", "CPU each", "memory peak", "ours on Granian"),
            (
                (
                    name,
                    number(figure.median),
                    f"{number(figure.low)} – {number(figure.high)}",
                    cpu(figure),
                    peak(figure),
                    ratio(ours, figure),
                )
                for name, figure in ranked(row)
            ),
        )
    yield ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
