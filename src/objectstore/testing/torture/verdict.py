"""The verdict on one round: from what everybody saw to what, if anything, is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from objectstore.testing.torture import checker
from objectstore.testing.torture.bodies import is_copy
from objectstore.testing.torture.checker import Impossible, Linearizable
from objectstore.testing.torture.history import Event, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that the store must not do."""

    message: str
    key: str | None = None
    initial: str | None = None  # what the key held before the history
    history: Sequence[Event] = ()
    order: Sequence[Event] = ()  # the longest order that begins to explain it


@dataclass(slots=True, kw_only=True)
class State:
    """What is known of the store between two rounds."""

    values: dict[str, str | None] = field(default_factory=dict)  # key to the write whose object is under it
    bodies: dict[str, str] = field(default_factory=dict)  # copy to the write whose body it has
    digests: dict[str, str] = field(default_factory=dict)  # SHA-256 to the write whose body has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The outcome for one round."""

    violations: Sequence[Violation]
    state: State  # from which the next goes on
    undecided: int  # keys
    events: int


def judge(before: State, record: Record, keys: Sequence[str]) -> Judged:
    """Judge a round: `record` has all that was seen in it, a look at each key after everybody else had ended last."""
    copies = _Copies(before, record)
    violations = [Violation(message=message) for message in (*record.complaints, *copies.complaints)]
    histories: defaultdict[str, list[Event]] = defaultdict(list)
    for event in (*record.events, *copies.reads):
        histories[event.key].append(event)
    violations += [
        Violation(message=f"{key!r} was never written to", key=key, history=histories[key])
        for key in sorted(histories.keys() - set(keys))
    ]
    values: dict[str, str | None] = {}
    undecided = 0
    for key in keys:
        initial = before.values.get(key)
        history = sorted(histories[key], key=lambda event: event.start)
        outcome = checker.judge(history, initial)
        values[key] = history[-1].value if history and history[-1].kind == "saw" else initial
        if isinstance(outcome, Impossible):
            violations.append(_impossible(key, initial, history, outcome))
        elif not isinstance(outcome, Linearizable):
            undecided += 1
    current = {value for value in values.values() if value is not None}
    bodies = {copy: body for copy, body in copies.bodies.items() if copy in current}
    kept = current | set(bodies.values())
    digests = {digest: write for digest, write in copies.digests.items() if write in kept}
    state = State(values=values, bodies=bodies, digests=digests)
    return Judged(violations=violations, state=state, undecided=undecided, events=len(record.events))


def _impossible(key: str, initial: str | None, history: Sequence[Event], outcome: Impossible) -> Violation:
    held = "nothing" if outcome.value is None else outcome.value
    unfit = " and ".join(f"{event.who} {told(event)}" for event in outcome.stuck) or "what follows"
    return Violation(
        message=f"{key!r}: no order of its {len(history)} operations explains them; with {held} there, not: {unfit}",
        key=key,
        initial=initial,
        history=history,
        order=outcome.order,
    )


def told(event: Event) -> str:
    """The event in words."""
    held = "nothing" if event.expected is None else event.expected
    match event.kind:
        case "write":
            return f"wrote {event.value}"
        case "swap":
            return f"put {event.value or 'nothing'} in the place of {held}"
        case "delete":
            return "deleted"
        case "refused":
            return f"was refused, as there was not {held}"
        case "saw":
            return f"saw {event.value or 'nothing'}"


class _Copies:
    """Whose body each copy has, which makes it a read of its source."""

    def __init__(self, before: State, record: Record) -> None:
        self.digests: Mapping[str, str] = before.digests | record.digests
        self.bodies = dict(before.bodies)
        self.complaints: list[str] = []
        self.reads: list[Event] = []
        first_seen: dict[str, int] = {}
        for made in record.copies:
            if made.digest is not None:
                self._has(made.write, self.digests.get(made.digest, f"(no write: {made.digest})"))
        for seen in record.seen:
            self._has(seen.write, seen.body)
            first_seen[seen.write] = min(seen.end, first_seen.get(seen.write, seen.end))
        for made in record.copies:
            # One that was not answered has read its source if it was seen; nobody knows when, but before that.
            end = first_seen.get(made.write) if made.end is None else made.end
            if end is not None and made.write in self.bodies:
                body = self.bodies[made.write]
                self.reads.append(
                    Event(key=made.source, kind="saw", start=made.start, end=end, value=body, who=made.write)
                )

    def _has(self, copy: str, body: str) -> None:
        assert is_copy(copy)
        if self.bodies.setdefault(copy, body) != body:
            self.complaints.append(f"the body of {copy} was that of {self.bodies[copy]}, and that of {body}")
