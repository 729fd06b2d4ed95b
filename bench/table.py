"""The results as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.measurement import Figure, RowResult


def lines(results: Sequence[RowResult]) -> Iterator[str]:
    """Each row, its contestants from best to worst, with the ratio of ours to each."""
    for result in results:
        yield ""
        yield f"{result.title}, {result.unit}"
        ours = result.figures.get("granian")
        for name, figure in ranked(result):
            yield "  " + "  ".join(
                (
                    f"{name:<28}",
                    f"{number(figure.median):>10}",
                    f"{number(figure.low):>10} – {number(figure.high):<10}",
                    f"{cpu(figure):>12}",
                    f"{peak(figure):>10}",
                    ratio(ours, figure),
                )
            )
        for name, reason in result.missing.items():
            yield f"  {name:<28}  {reason}"


def ranked(result: RowResult) -> list[tuple[str, Figure]]:
    """The contestants, the best first."""
    return sorted(result.figures.items(), key=lambda pair: pair[1].median, reverse=not result.lower_is_better)


def number(value: float) -> str:
    """Three digits are what such measurements are worth."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cpu(figure: Figure) -> str:
    return "" if figure.cpu is None else f"{number(figure.cpu * 1e6)} µs CPU"


def peak(figure: Figure) -> str:
    return "" if figure.peak is None else f"{figure.peak / 2**20:.0f} MiB"


def ratio(ours: Figure | None, figure: Figure) -> str:
    """Ours on Granian as a multiple of this one."""
    return "" if ours is None or not figure.median else f"× {ours.median / figure.median:.2f}"
