"""The results as one HTML page that needs nothing from elsewhere: a chart for each row, and the goals."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from bench.goals import SERVERS
from bench.measurement import RowResult
from bench.report import Report
from bench.table import MARKS, cpu, judged, number, peak, ranked

_NAMES: Final = 230  # widths in pixels
_BARS: Final = 420
_FIGURES: Final = 300
_LINE: Final = 22
_OURS: Final = frozenset(SERVERS)
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .2rem .6rem .2rem 0 }
tr { border-bottom: 1px solid #e3e7ec } p { color: #57606a; margin: .2rem 0 .4rem } h2 { margin: 2rem 0 0 }
svg { max-width: 100%; height: auto } text { font: 13px system-ui, sans-serif; fill: #1c2430 }
.ours { fill: #2563a8 } .other { fill: #a9b8c9 } .spread { stroke: #1c2430 } .missed { color: #b3261e }
"""


def write(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_lines(report)) + "\n")


def _lines(report: Report) -> Iterator[str]:
    yield "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    yield f"<title>objectstore, measured on {escape(report.date[:10])}</title><style>{_STYLE}</style>"
    yield "<h1>objectstore, measured beside its peers</h1>"
    facts = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    yield f"<p>{escape(report.date)}, <code>{escape(report.command)}</code>, {report.rounds} rounds. {escape(facts)}"
    yield "<h2>Wanted and reached</h2><table><tr><th>work<th>wanted<th>on Granian<th>on uvicorn"
    for goal, reached in judged(report.rows):
        yield f"<tr><td>{escape(goal.work)}<td>{escape(goal.wanted)}"
        for value in reached:
            verdict = goal.verdict(value)
            told = "" if value is None else f"{number(value)} {MARKS[verdict]}"
            yield f"<td{' class=missed' if verdict == 'missed' else ''}>{told}"
    yield "</table>"
    for row in report.rows:
        yield f"<h2 id={row.name}>{escape(row.title)}</h2><p>{escape(row.unit)}; {escape(row.how)}."
        yield from _chart(row)
    yield "<h2>Versions</h2><table>"
    for name, version in report.versions.items():
        yield f"<tr><td>{escape(name)}<td>{escape(version)}<td><code>{escape(report.commands.get(name, ''))}</code>"
    yield "</table>"


def _chart(row: RowResult) -> Iterator[str]:
    """A bar for each contestant, the best on top, with a line from the lowest to the highest round."""
    found = ranked(row)
    longest = max((figure.high for _, figure in found), default=0) or 1
    width, height = _NAMES + _BARS + _FIGURES, _LINE * len(found)
    label = escape(row.title)
    yield f"<svg width={width} height={height} viewBox='0 0 {width} {height}' role=img aria-label='{label}'>"
    for place, (name, figure) in enumerate(found):
        top, middle = place * _LINE, place * _LINE + _LINE // 2
        bar, low, high = (_BARS * value / longest for value in (figure.median, figure.low, figure.high))
        ours = name.partition(",")[0].partition("-")[0] in _OURS or "RestStore" in name
        told = ", ".join(filter(None, (number(figure.median), cpu(figure), peak(figure))))
        yield f"<text x=0 y={middle + 5}>{escape(name)}</text>"
        yield f"<rect x={_NAMES} y={top + 3} width={bar:.1f} height={_LINE - 6} class={'ours' if ours else 'other'} />"
        yield f"<line x1={_NAMES + low:.1f} x2={_NAMES + high:.1f} y1={middle} y2={middle} class=spread />"
        yield f"<text x={_NAMES + max(bar, high) + 8:.1f} y={middle + 5}>{escape(told)}</text>"
    yield "</svg>"
