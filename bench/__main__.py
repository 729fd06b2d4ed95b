"""The command line: `python -m bench --help`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Final

from bench import course, load, table
from bench.contestants import ROOT
from bench.rows import large, listing, small, strain
from bench.stage import FULL, QUICK, TINY, opened

_RESULTS: Final = ROOT / "bench" / "results"
_ROWS: Final = (*small.ROWS, *large.ROWS, *listing.ROWS, *strain.ROWS)
_SCALES: Final = {"full": FULL, "quick": QUICK, "tiny": TINY}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the store beside its peers.")
    parser.add_argument("--quick", action="store_const", const="quick", default="full", dest="scale", help="in 2 min")
    parser.add_argument("--tiny", action="store_const", const="tiny", dest="scale", help="only to see that it works")
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="rows whose names begin so")
    parser.add_argument("--contestants", nargs="+", default=[], metavar="NAME", help="nobody else")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--seconds", type=int, metavar="N", help="that a sample of small requests takes")
    parser.add_argument("--folder", type=Path, default=_RESULTS, help="on the disk that is measured")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go")
    arguments = parser.parse_args()
    scale = _SCALES[arguments.scale]
    if arguments.rounds:
        scale = dataclasses.replace(scale, rounds=arguments.rounds)
    if arguments.seconds:
        scale = dataclasses.replace(scale, seconds=arguments.seconds)
    reason = load.missing()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    try:
        rows = course.chosen(_ROWS, arguments.only)
    except LookupError as error:
        parser.error(str(error))
    if arguments.contestants:
        rows = [
            dataclasses.replace(
                row, lanes={name: row.lanes[name] for name in arguments.contestants if name in row.lanes}
            )
            for row in rows
        ]
    with opened(arguments.folder, scale) as stage:
        results = course.measure(stage, rows)
    print("\n".join(table.lines(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
