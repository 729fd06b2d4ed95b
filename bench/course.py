"""Runs rows: in each round every contestant once, so that what the machine does meanwhile meets all of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

from bench.contestants import CONTESTANTS
from bench.measurement import Figure, LoadError, RowResult, Sample
from bench.rows.row import Row
from bench.stage import Missing, Stage


def measure(stage: Stage, rows: Iterable[Row]) -> list[RowResult]:
    """All rows, one after the other; tells on stderr how it goes."""
    wanted = list(rows)
    # A lane is named after its contestant, with more words around it where there are several of one.
    stage.seeds = {
        name: {seed for row in wanted for seed in row.seeds if any(name in lane for lane in row.lanes)}
        for name in CONTESTANTS
    }
    return [_measure(stage, row) for row in wanted]


def _measure(stage: Stage, row: Row) -> RowResult:
    began = time.monotonic()
    samples: dict[str, list[Sample]] = {}
    missing: dict[str, str] = {}
    failed: dict[str, str] = {}
    first = 0 if row.once or row.warms_up or not stage.scale.warm_up else 1
    for turn in range(first, 1 if row.once else stage.scale.turns):
        for name, lane in row.lanes.items():
            if name in missing or name in failed:
                continue
            try:
                sample = lane(stage, turn)
            except Missing as reason:
                missing[name] = str(reason)
            except (LoadError, OSError, subprocess.SubprocessError) as reason:
                # The others are measured all the same; what this one did before says nothing.
                failed[name] = str(reason)
                samples.pop(name, None)
                print(f"{row.title}: {name} failed: {reason}", file=sys.stderr, flush=True)
            else:
                if row.once or not stage.warms_up(turn):
                    samples.setdefault(name, []).append(sample)
    figures = {name: Figure(found) for name, found in samples.items()}
    _tell(row, figures, time.monotonic() - began)
    return RowResult(
        name=row.name,
        title=row.title,
        unit=row.unit,
        how=row.how,
        figures=figures,
        missing=missing,
        failed=failed,
    )


def _tell(row: Row, figures: dict[str, Figure], seconds: float) -> None:
    found = "  ".join(f"{name} {figure.median:,.4g}" for name, figure in figures.items())
    print(f"{row.title} ({row.unit}): {found}  [{seconds:.0f} s]", file=sys.stderr, flush=True)


def chosen(rows: Sequence[Row], names: Iterable[str]) -> list[Row]:
    """The rows of these names; a name that no row has stands for all rows whose names begin so.

    Raises:
        LookupError: there is none, with the names that there are.
    """
    found: set[str] = set()
    for name in names:
        exact = {row.name for row in rows if row.name == name}
        matching = exact or {row.name for row in rows if row.name.startswith(name)}
        if not matching:
            raise LookupError(f"there is no row {name!r}; there are {', '.join(row.name for row in rows)}")
        found |= matching
    return [row for row in rows if row.name in found]
