"""What a run has to tell, as numbers for programs and as lines for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from objectstore import __version__
from objectstore.testing.soak.run import Outcome
from objectstore.testing.soak.vitals import Vitals

FILE: Final = "report.json"
_SHARES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("longest", 1.0))


def summary(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON has it."""
    options, record = outcome.options, outcome.record
    warm = outcome.lives[0][len(outcome.lives[0]) // 2] if outcome.lives and outcome.lives[0] else None
    last = outcome.lives[-1][-1] if outcome.lives and outcome.lives[-1] else None
    return {
        "version": __version__,
        "began": outcome.began.isoformat(timespec="seconds"),
        "seed": options.seed,
        "server": options.server,
        "workers": options.workers,
        "idle": options.idle,
        "active": options.active,
        "seconds": round(outcome.seconds, 1),
        "requests": record.requests.total(),
        "requests_by_kind": dict(sorted(record.requests.items())),
        "statuses": dict(sorted(record.statuses.items())),
        "refused": record.refused,
        "unanswered": record.unanswered,
        "restarts": outcome.restarts,
        "under_way_at_restart": record.under_way,
        "held_at_restart": outcome.held_at_end,
        "ending": round(outcome.ending, 2),
        "away": round(outcome.away, 2),
        "sent": record.sent,
        "received": record.received,
        "connections": record.opened,
        "idle_ended": record.idle_ended,
        "idle_asked": record.idle_asked,
        "verified": record.verified,
        "latency": {name: round(record.percentile(share), 5) for name, share in _SHARES},
        "memory": {
            "fresh": _memory(outcome.fresh),
            "holding_idle": _memory(outcome.holding),
            "warm": _memory(warm),
            "last": _memory(last),
            "left": _memory(outcome.left),
            "largest": max((one.proportional for life in outcome.lives for one in life), default=None),
            "per_idle_connection": None if outcome.per_idle is None else round(outcome.per_idle),
            "growth_per_hour": None if outcome.growth is None else round(outcome.growth.per_hour),
        },
        "files": [None if one is None else one.files for one in (outcome.fresh, last, outcome.left)],
        "threads": [None if one is None else one.threads for one in (outcome.fresh, last, outcome.left)],
        "tasks": list(outcome.tasks),
        "wrong": outcome.wrong,
    }


def write(outcome: Outcome) -> Path:
    """Write the report of a run that found something beside its data directory."""
    path = outcome.options.folder / FILE
    looks = [[[round(one.at, 1), one.resident, one.proportional, one.files] for one in life] for life in outcome.lives]
    document = summary(outcome) | {"complaints": outcome.record.complaints, "looks": looks}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return path


def lines(outcome: Outcome) -> Sequence[str]:
    """The same in words."""
    told, record = summary(outcome), outcome.record
    kinds = ", ".join(f"{count} {kind}" for kind, count in told["requests_by_kind"].items())
    latency = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in told["latency"].items())
    memory = told["memory"]
    found = [
        f"{told['requests']} requests answered in {outcome.seconds:.0f} s: {kinds}",
        (
            f"{record.refused} refused as too many at once; {_size(record.sent)} sent, "
            f"{_size(record.received)} received and compared"
        ),
        f"latency: {latency}",
    ]
    if outcome.restarts:
        found.append(
            f"restarted after SIGTERM: {record.under_way} requests were under way, and {outcome.held_at_end} uploads "
            f"for certain; ended after {outcome.ending:.1f} s, answered after {outcome.away:.1f} s; "
            f"{record.unanswered} came to it meanwhile"
        )
    found.append(
        f"{outcome.held} idle connections held, {record.idle_asked} requests on them, "
        f"{record.idle_ended} closed in time for silence"
    )
    if outcome.fresh is not None:
        found += [
            "memory (PSS): "
            + ", ".join(
                f"{_size(memory[name]['pss'])} {what}"
                for name, what in (
                    ("fresh", "at the start"),
                    ("holding_idle", "with the idle connections"),
                    ("warm", "warm"),
                    ("last", "at the end of the load"),
                    ("left", "when all had gone"),
                )
                if memory[name] is not None
            ),
            *(
                []
                if outcome.growth is None or not outcome.growth.tells
                else [f"memory grew by {memory['growth_per_hour'] / 2**20:.1f} MiB an hour after it was warm"]
            ),
            (
                f"at the start, under load, in the end: files {told['files']}, "
                f"threads {told['threads']}; tasks {told['tasks']}"
            ),
        ]
    found.append(f"{record.verified} keys were looked at in the end")
    return found


def _memory(one: Vitals | None) -> dict[str, int] | None:
    return None if one is None else {"rss": one.resident, "pss": one.proportional}


def _size(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
