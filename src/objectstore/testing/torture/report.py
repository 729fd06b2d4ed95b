"""What a run has to tell: numbers for programs, and for people who look for a defect the history of the key."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from objectstore import __version__
from objectstore.testing.torture.run import Outcome
from objectstore.testing.torture.verdict import Violation, told

FILE: Final = "report.json"


def summary(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON has it, without histories."""
    options, tally = outcome.options, outcome.tally
    return {
        "version": __version__,
        "began": outcome.began.isoformat(timespec="seconds"),
        "seed": options.seed,
        "server": options.server,
        "workers": options.workers,
        "clients": options.clients,
        "seconds": round(tally.seconds, 1),
        "kills": tally.killed,
        "kills_by_step": dict(sorted(tally.kills.items())),
        "requests": tally.answered + tally.unanswered,
        "unanswered": tally.unanswered,
        "operations": tally.events,
        "undecided": tally.undecided,
        "looks": tally.looks,
        "visits": dict(sorted(tally.visits.items())),
        "largest": tally.largest,
        "violations": len(outcome.violations),
    }


def write(outcome: Outcome) -> Path:
    """Write the report of a run that found something beside its data directory."""
    path = outcome.options.folder / FILE
    document = summary(outcome) | {
        "last_kill": outcome.last_kill,
        "violations": [_violation(violation) for violation in outcome.violations],
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def _violation(violation: Violation) -> dict[str, Any]:
    return {
        "message": violation.message,
        "key": violation.key,
        "initial": violation.initial,
        "history": [asdict(event) | {"told": told(event)} for event in violation.history],
        "order": [told(event) for event in violation.order],
    }
