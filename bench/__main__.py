"""The command line: `python -m bench --help`."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench import catalogue, course, document, load, machine, page, report, table
from bench.contestants import ROOT
from bench.processes import LOAD_CORES
from bench.rows.row import Row
from bench.stage import FULL, QUICK, TINY, Scale, opened

_RESULTS: Final = ROOT / "bench" / "results"
_PAGE: Final = ROOT / "docs" / "performance.md"
_SCALES: Final = {"full": FULL, "quick": QUICK, "tiny": TINY}


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.write_docs is not None:
        document.write(report.load(arguments.write_docs), _PAGE)
        return 0
    reason = load.missing()
    if reason is not None:
        print(f"python -m bench: {reason}", file=sys.stderr)
        return 2
    try:
        rows = _rows(arguments)
    except LookupError as error:
        print(f"python -m bench: {error}", file=sys.stderr)
        return 2
    # Programs of a user were compiled before; where this is set, each start would compile them again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Loads that are no programs of their own run here.
    os.sched_setaffinity(0, LOAD_CORES)
    # What was started is ended and what was written is removed, also then.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(143))
    return 0 if _run(arguments, rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the store beside what a user would pick instead, and print one table.",
        epilog=f"rows: {', '.join(row.name for row in (*catalogue.ROWS, *catalogue.ON_REQUEST))}",
    )
    parser.add_argument("--quick", action="store_const", const="quick", default="full", dest="scale", help="in 2 min")
    parser.add_argument("--tiny", action="store_const", const="tiny", dest="scale", help="only to see that it works")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="ROW", help="these rows, or those whose names begin so"
    )
    parser.add_argument("--contestants", nargs="+", default=[], metavar="NAME", help="nobody else")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--seconds", type=int, metavar="N", help="that a sample of small requests takes")
    parser.add_argument("--ten-million", action="store_true", help="also list among 10 M keys (minutes, 5 GB of disk)")
    parser.add_argument("--folder", type=Path, default=_RESULTS, help="on the disk that is measured")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=_RESULTS / "latest.json",
        help="where the results go, and FILE.html",
    )
    parser.add_argument(
        "--write-docs",
        type=Path,
        metavar="FILE",
        help="measure nothing: put the results of FILE into the documentation",
    )
    return parser


def _rows(arguments: argparse.Namespace) -> list[Row]:
    names = arguments.only or (catalogue.QUICK if arguments.scale == "quick" else ())
    rows = course.chosen((*catalogue.ROWS, *catalogue.ON_REQUEST), names) if names else list(catalogue.ROWS)
    if arguments.ten_million:
        rows += [row for row in catalogue.ON_REQUEST if row not in rows]
    if not arguments.contestants:
        return rows
    kept = [{name: row.lanes[name] for name in row.lanes if name in arguments.contestants} for row in rows]
    return [dataclasses.replace(row, lanes=lanes) for row, lanes in zip(rows, kept, strict=True) if lanes]


def _scale(arguments: argparse.Namespace) -> Scale:
    scale = _SCALES[arguments.scale]
    return dataclasses.replace(
        scale, rounds=arguments.rounds or scale.rounds, seconds=arguments.seconds or scale.seconds
    )


def _run(arguments: argparse.Namespace, rows: Sequence[Row]) -> bool:
    """Measure, print and save; whether nothing failed."""
    scale, date, began = _scale(arguments), datetime.now(UTC), time.monotonic()
    described = machine.describe(ROOT)
    with opened(arguments.folder, scale) as stage:
        results = course.measure(stage, rows)
        made = report.Report(
            date=date.isoformat(timespec="seconds"),
            scale=arguments.scale,
            rounds=scale.rounds,
            command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
            seconds=time.monotonic() - began,
            machine=described,
            versions=stage.versions,
            commands=stage.commands,
            rows=results,
        )
    print("\n".join(table.lines(results)))
    report.save(made, arguments.json)
    page.write(made, arguments.json.with_suffix(".html"))
    print(f"\nin {arguments.json} and {arguments.json.with_suffix('.html')}", file=sys.stderr)
    return not any(row.failed for row in results)


if __name__ == "__main__":
    sys.exit(main())
