"""The parts of a torture run that are rules: bodies, workload, plan of kills, verdict."""

from __future__ import annotations

import json
from itertools import islice

import pytest

from objectstore.backends.engine import steps
from objectstore.testing.torture.bodies import MIN_SIZE, body_of, name_of, written_by
from objectstore.testing.torture.history import CopyMade, CopySeen, Event, Record, from_json, merged, to_json
from objectstore.testing.torture.kills import After, At, plan
from objectstore.testing.torture.verdict import State, judge, told
from objectstore.testing.torture.workload import tasks

WRITE = name_of("put", "1.0.2", 17, 5000)
COPY = name_of("copy", "1.0.2", 18, 0)


def test_a_body_tells_which_write_it_is_of() -> None:
    for size in (MIN_SIZE, 100, 70_000):
        write = name_of("put", "12.3.4", 123, size)
        assert len(body_of(7, write)) == size
        assert written_by(7, body_of(7, write)) == write


@pytest.mark.parametrize("at", [0, 5, 30, 2500, 4999])
def test_a_body_with_one_wrong_bit_is_of_no_write(at: int) -> None:
    body = bytearray(body_of(7, WRITE))
    body[at] ^= 1
    assert written_by(7, bytes(body)) is None


@pytest.mark.parametrize(
    "body", [b"", b"x", b"\xff\n", body_of(7, WRITE)[:-1], body_of(7, WRITE) + b"x", body_of(8, WRITE)]
)
def test_other_bytes_are_of_no_write(body: bytes) -> None:
    assert written_by(7, body) is None


def test_the_seed_decides_what_is_done_and_how_the_server_dies() -> None:
    assert list(islice(tasks(1, "1.0.0"), 200)) == list(islice(tasks(1, "1.0.0"), 200))
    assert list(islice(tasks(1, "1.0.0"), 200)) != list(islice(tasks(2, "1.0.0"), 200))
    assert list(islice(tasks(1, "1.0.0"), 200)) != list(islice(tasks(1, "1.0.1"), 200))
    assert list(islice(plan(1), 50)) == list(islice(plan(1), 50))
    assert list(islice(plan(1), 50)) != list(islice(plan(2), 50))


def test_the_plan_comes_to_every_step_and_to_any_moment() -> None:
    kills = list(islice(plan(1), 2 + 2 * len(steps.ALL)))
    assert {kill.step for kill in kills if isinstance(kill, At)} == set(steps.ALL)
    assert sum(isinstance(kill, After) for kill in kills) > len(kills) / 3
    # What only an empty directory comes to is first.
    assert kills[:2] == [At(steps.AFTER_FORMAT, 1), At(steps.AFTER_INDEX, 1)]


def _event(key: str, kind: str, start: int, end: int | None, value: str | None = None) -> Event:
    return Event(key=key, kind=kind, start=start, end=end, value=value, who="1.0.2")  # type: ignore[arg-type]  # known ones


def _seen(record: Record, key: str, value: str | None) -> Record:
    """The record, and what was found when all was over."""
    return merged([record, Record(events=[_event(key, "saw", 1000, 1001, value)])])


def test_a_record_goes_from_process_to_process() -> None:
    record = Record(
        events=[_event("k", "write", 1, None, WRITE)],
        copies=[CopyMade(write=COPY, source="k", start=1, end=None)],
        seen=[CopySeen(write=COPY, body=WRITE, end=3)],
        etags={"e": WRITE},
        parts={"u": [1, 2]},
        complaints=["oh"],
        answered=3,
    )
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


def test_a_round_without_a_fault_gives_the_state_for_the_next() -> None:
    judged = judge(State(), _seen(Record(events=[_event("k", "write", 1, 2, WRITE)]), "k", WRITE), ["k", "other"])
    assert judged.violations == []
    assert judged.state.values == {"k": WRITE, "other": None}


def test_what_was_acknowledged_and_is_gone_is_told_with_its_history() -> None:
    record = _seen(Record(events=[_event("k", "write", 1, 2, WRITE)]), "k", None)
    (violation,) = judge(State(), record, ["k"]).violations
    assert violation.key == "k"
    assert list(violation.history) == record.events
    assert violation.message == (
        f"'k': no order of its 2 operations explains them; with {WRITE} there, not: 1.0.2 saw nothing"
    )


def test_what_was_there_before_the_round_may_not_go() -> None:
    judged = judge(State(values={"k": WRITE}), _seen(Record(), "k", None), ["k"])
    assert len(judged.violations) == 1


def test_two_writes_with_one_etag_are_a_fault() -> None:
    whole = merged([Record(etags={"e": "put-1"}), Record(etags={"e": "put-2"})])
    assert len(judge(State(), whole, []).violations) == 1


def test_a_key_that_nobody_was_to_write_is_a_fault() -> None:
    assert len(judge(State(), Record(events=[_event("strange", "saw", 1, 2, WRITE)]), ["k"]).violations) == 1


def _copied(end: int | None, digest: str | None, *, seen: bool) -> Record:
    return Record(
        events=[
            _event("source", "write", 1, 2, WRITE),
            _event("source", "delete", 10, 11),
            _event("target", "write", 20, end, COPY),
        ],
        copies=[CopyMade(write=COPY, source="source", start=20, end=end, digest=digest)],
        seen=[CopySeen(write=COPY, body=WRITE, end=1001)] if seen else [],
        digests={"abc": WRITE},
    )


@pytest.mark.parametrize("end", [21, None])
def test_a_copy_of_what_was_deleted_before_is_a_fault(end: int | None) -> None:
    record = _copied(end, None if end is None else "abc", seen=end is None)
    judged = judge(State(), _seen(_seen(record, "source", None), "target", COPY), ["source", "target"])
    assert [violation.key for violation in judged.violations] == ["source"]


def test_a_copy_that_was_not_answered_and_is_not_there_is_none() -> None:
    record = _copied(None, None, seen=False)
    assert judge(State(), _seen(_seen(record, "source", None), "target", None), ["source", "target"]).violations == []


def test_a_copy_whose_body_changes_is_a_fault() -> None:
    before = State(values={"target": COPY}, bodies={COPY: "put-of-another"})
    record = _seen(Record(seen=[CopySeen(write=COPY, body=WRITE, end=1)]), "target", COPY)
    assert len(judge(before, record, ["target"]).violations) == 1


def test_every_kind_of_event_has_words() -> None:
    for kind in ("write", "swap", "delete", "refused", "saw"):
        assert told(_event("k", kind, 1, 2, WRITE))
