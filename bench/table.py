"""The results in words: as tables for a terminal, and the pieces that other forms share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.goals import GOALS, SERVERS, Goal, Results, Verdict
from bench.measurement import Figure, RowResult

MARKS: dict[Verdict, str] = {"reached": "✓", "reached, and then": "✓✓", "missed": "✗", "not measured": "–"}


def lines(rows: Sequence[RowResult]) -> Iterator[str]:
    """Each row with its contestants from best to worst, then the goals."""
    for row in rows:
        yield ""
        yield f"{row.title}, {row.unit}"
        ours = row.figures.get("granian")
        for name, figure in ranked(row):
            spread = f"{number(figure.low)} – {number(figure.high)}"
            yield (
                f"  {name:<30} {number(figure.median):>10}   {spread:<20} {cpu(figure):>12} {peak(figure):>9}"
                f"  {ratio(ours, figure)}"
            )
        for name, reason in row.missing.items():
            yield f"  {name:<30} {reason}"
        for name, reason in row.failed.items():
            yield f"  {name:<30} FAILED: {reason}"
    yield ""
    yield f"  {'':<62} {'wanted':<62} {'granian':>12} {'uvicorn':>12}"
    for goal, reached in judged(rows):
        told = " ".join(f"{_told(goal, value):>12}" for value in reached)
        yield f"  {goal.work:<62} {goal.wanted:<62} {told}"


def judged(rows: Sequence[RowResult]) -> Iterator[tuple[Goal, list[float | None]]]:
    """The goals of which anything was measured, with what each server reached."""
    results = Results(rows)
    for goal in GOALS:
        reached = [goal.reach(results, server) for server in SERVERS]
        if any(value is not None for value in reached):
            yield goal, reached


def _told(goal: Goal, value: float | None) -> str:
    return "" if value is None else f"{number(value)} {MARKS[goal.verdict(value)]:<2}"


def ranked(row: RowResult) -> list[tuple[str, Figure]]:
    """The contestants, the best first."""
    return sorted(row.figures.items(), key=lambda pair: pair[1].median, reverse=not row.lower_is_better)


def number(value: float) -> str:
    """Three digits are what such measurements are worth."""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def cpu(figure: Figure) -> str:
    """Processor time of the server for one operation."""
    if figure.cpu is None:
        return ""
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if figure.cpu * scale >= 1:
            return f"{number(figure.cpu * scale)} {unit}"
    return f"{number(figure.cpu * 1e6)} µs"


def peak(figure: Figure) -> str:
    return "" if figure.peak is None else f"{figure.peak / 2**20:.0f} MiB"


def ratio(ours: Figure | None, figure: Figure) -> str:
    """Ours on Granian as a multiple of this one."""
    return "" if ours is None else f"× {ours.over(figure):.2f}"
