"""What happened, as those saw it who asked for it: the history that the checker judges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["write", "swap", "delete", "refused", "saw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One operation on one key, as a register that holds the name of a write, or nothing.

    | kind | holds if the register | and leaves |
    |---|---|---|
    | `write` | holds anything | `value` |
    | `swap` | holds `expected` | `value` |
    | `delete` | holds something | nothing |
    | `refused` | does not hold `expected` | it as it is |
    | `saw` | holds `value` | it as it is |

    `None` as `value` or `expected` is nothing: an absent object. So a creation is a swap from nothing, a
    deletion on a condition a swap to nothing, and one that was refused because there was an object is a
    refusal that expected nothing.
    """

    key: str
    kind: Kind
    start: int  # nanoseconds of the clock that all processes share: before it was asked for
    end: int | None  # after it was answered; None when no answer came, so that it may have happened or not
    value: str | None = None
    expected: str | None = None
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyMade:
    """A copy that was asked for: some state of `source` between `start` and its end went to `write`."""

    write: str
    source: str
    start: int  # nanoseconds
    end: int | None  # None when no answer came
    digest: str | None = None  # of the body, as the answer told


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySeen:
    """The body of the copy `write` was read, and is that of `body`."""

    write: str
    body: str
    end: int  # nanoseconds


@dataclass(slots=True, kw_only=True)
class Record:
    """What one process saw in one round."""

    events: list[Event] = field(default_factory=list)
    copies: list[CopyMade] = field(default_factory=list)
    seen: list[CopySeen] = field(default_factory=list)
    etags: dict[str, str] = field(default_factory=dict)  # to the write
    digests: dict[str, str] = field(default_factory=dict)  # SHA-256 to the write whose body has it
    parts: dict[str, list[int]] = field(default_factory=dict)  # of uploads that nobody completed: those acknowledged
    complaints: list[str] = field(default_factory=list)  # what is wrong whatever else happened
    answered: int = 0  # requests
    unanswered: int = 0


def merged(records: Iterable[Record]) -> Record:
    """The records as one."""
    whole = Record()
    for record in records:
        whole.events += record.events
        whole.copies += record.copies
        whole.seen += record.seen
        for etag, write in record.etags.items():
            if whole.etags.setdefault(etag, write) != write:
                whole.complaints.append(f"the etag {etag} was given to {whole.etags[etag]} and to {write}")
        whole.digests |= record.digests
        whole.parts |= record.parts
        whole.complaints += record.complaints
        whole.answered += record.answered
        whole.unanswered += record.unanswered
    return whole


def to_json(record: Record) -> dict[str, Any]:
    return asdict(record)


def from_json(told: Mapping[str, Any]) -> Record:
    parsed = dict(told)
    for name, kind in (("events", Event), ("copies", CopyMade), ("seen", CopySeen)):
        parsed[name] = [kind(**one) for one in told[name]]
    return Record(**parsed)
