"""What the clients saw: counts, latencies and complaints, added up over all of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

_STEPS: Final = 20  # buckets in which a latency grows by a factor of e: about 5 % each
_TOLD: Final = 50  # complaints that are kept in words


@dataclass(slots=True)
class Record:
    """Of one client, one process, or all."""

    requests: Counter[str] = field(default_factory=Counter)  # answered, by kind
    statuses: Counter[str] = field(default_factory=Counter)  # of these
    refused: int = 0  # answered 503 as there were too many at once
    unanswered: int = 0  # for the server was told to end; what was written is looked at
    under_way: int = 0  # requests that were under way then, in all
    sent: int = 0  # bytes of bodies
    received: int = 0
    opened: int = 0  # connections
    idle_ended: int = 0  # silent connections that the server closed in time
    idle_asked: int = 0  # requests on connections that are kept
    verified: int = 0  # keys that were looked at in the end
    latencies: Counter[int] = field(default_factory=Counter)  # by bucket
    wrong: Counter[str] = field(default_factory=Counter)  # by kind
    complaints: list[str] = field(default_factory=list)  # the first of these in words

    def answered(self, kind: str, status: int, seconds: float) -> None:
        self.requests[kind] += 1
        self.statuses[str(status)] += 1
        self.latencies[round(math.log(max(seconds, 1e-6) * 1e6) * _STEPS)] += 1

    def complain(self, kind: str, message: str) -> None:
        self.wrong[kind] += 1
        if len(self.complaints) < _TOLD:
            self.complaints.append(f"{kind}: {message}")

    def percentile(self, share: float) -> float:
        """Seconds that this share of the requests stayed under; 0 when there were none."""
        left = share * self.latencies.total()
        for bucket in sorted(self.latencies):
            left -= self.latencies[bucket]
            if left <= 0:
                return math.exp(bucket / _STEPS) / 1e6
        return 0.0


def merged(records: Iterable[Record]) -> Record:
    """All of them as one."""
    whole = Record()
    for record in records:
        for one in fields(Record):
            # Counters, lists and numbers are all added up.
            setattr(whole, one.name, getattr(whole, one.name) + getattr(record, one.name))
    del whole.complaints[_TOLD:]
    return whole


def to_json(record: Record) -> dict[str, Any]:
    return {one.name: getattr(record, one.name) for one in fields(Record)}


def from_json(document: Mapping[str, Any]) -> Record:
    told = dict(document)
    for name in ("requests", "statuses", "wrong"):
        told[name] = Counter(told[name])
    told["latencies"] = Counter({int(bucket): count for bucket, count in told["latencies"].items()})
    return Record(**told)
