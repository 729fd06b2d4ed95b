"""A run as a value: its rows, and where, when and of what it was. Goes to JSON and comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.measurement import Figure, RowResult, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    date: str  # ISO 8601, UTC
    scale: str
    rounds: int
    command: str
    seconds: float  # that it took
    machine: Mapping[str, str]
    versions: Mapping[str, str]  # by contestant
    commands: Mapping[str, str]  # that started them
    rows: Sequence[RowResult]


def save(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> Report:
    told: dict[str, Any] = json.loads(path.read_text())
    rows = [RowResult(**{**row, "figures": _figures(row["figures"])}) for row in told.pop("rows")]
    return Report(**told, rows=rows)


def _figures(told: Mapping[str, Any]) -> dict[str, Figure]:
    return {name: Figure([Sample(**sample) for sample in figure["samples"]]) for name, figure in told.items()}
