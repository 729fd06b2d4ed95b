"""The checker of histories: what a register could have done is accepted, and nothing else."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectstore.testing.torture.checker import Impossible, Linearizable, Undecided, judge, step
from objectstore.testing.torture.history import Event


def event(kind: str, start: int, end: int | None, value: str | None = None, expected: str | None = None) -> Event:
    return Event(key="k", kind=kind, start=start, end=end, value=value, expected=expected)  # type: ignore[arg-type]  # named so in the tables


def write(start: int, end: int | None, value: str) -> Event:
    return event("write", start, end, value)


def swap(start: int, end: int | None, expected: str | None, value: str | None) -> Event:
    return event("swap", start, end, value, expected)


def refused(start: int, end: int, expected: str | None) -> Event:
    return event("refused", start, end, expected=expected)


def delete(start: int, end: int | None) -> Event:
    return event("delete", start, end)


def saw(start: int, end: int, value: str | None) -> Event:
    return event("saw", start, end, value)


GOOD: dict[str, list[Event]] = {
    "nothing happened": [],
    "a write is seen": [write(0, 1, "a"), saw(2, 3, "a")],
    "nothing is seen before": [saw(0, 1, None), write(2, 3, "a")],
    "two at once end in either order": [write(0, 9, "a"), write(1, 8, "b"), saw(10, 11, "a")],
    "or in the other": [write(0, 9, "a"), write(1, 8, "b"), saw(10, 11, "b")],
    "a read beside a write sees the old": [write(0, 9, "a"), saw(1, 2, None)],
    "or the new": [write(0, 9, "a"), saw(1, 2, "a")],
    "one of two creations wins": [swap(0, 9, None, "a"), refused(1, 8, None), saw(10, 11, "a")],
    "a creation after a deletion": [write(0, 1, "a"), delete(2, 3), swap(4, 5, None, "b")],
    "a refused creation beside a deletion": [write(0, 1, "a"), delete(2, 9), refused(3, 4, None), saw(10, 11, None)],
    "one of two swaps wins": [write(0, 1, "a"), swap(2, 9, "a", "b"), refused(3, 8, "a"), saw(10, 11, "b")],
    "unanswered and done": [write(0, None, "a"), saw(5, 6, "a")],
    "unanswered and not done": [write(0, None, "a"), saw(5, 6, None)],
    "unanswered and done late": [write(0, None, "a"), saw(5, 6, None), saw(7, 8, "a")],
    "unanswered between others": [
        write(0, 1, "x"),
        write(2, None, "a"),
        write(3, 4, "b"),
        saw(5, 6, "a"),
        saw(7, 8, "a"),
    ],
    "an unanswered swap that could not be": [write(0, 1, "x"), swap(2, None, "y", "a"), saw(3, 4, "x")],
    "an unanswered deletion": [write(0, 1, "a"), delete(2, None), saw(3, 4, "a"), saw(5, 6, None)],
    "a deletion on a condition": [write(0, 1, "a"), swap(2, 3, "a", None), saw(4, 5, None)],
    "touching intervals": [write(0, 5, "a"), saw(5, 6, None), saw(7, 8, "a")],
}
BAD: dict[str, list[Event]] = {
    "a write is lost": [write(0, 1, "a"), saw(2, 3, None)],
    "an older write comes back": [write(0, 1, "a"), write(2, 3, "b"), saw(4, 5, "a")],
    "what nobody wrote": [write(0, 1, "a"), saw(2, 3, "z")],
    "seen before it was asked for": [saw(0, 1, "a"), write(2, 3, "a")],
    "seen, and gone again": [write(0, 9, "a"), saw(1, 2, "a"), saw(3, 4, None)],
    "two creations win": [swap(0, 9, None, "a"), swap(1, 8, None, "b")],
    "no creation wins": [refused(0, 9, None), refused(1, 8, None)],
    "two swaps win": [write(0, 1, "a"), swap(2, 9, "a", "b"), swap(3, 8, "a", "c")],
    "a swap is refused for no reason": [write(0, 1, "a"), refused(2, 3, "a")],
    "deleted twice": [write(0, 1, "a"), delete(2, 9), delete(3, 8)],
    "deleted and there": [write(0, 1, "a"), delete(2, 3), saw(4, 5, "a")],
    "a deletion that was a condition's is there": [write(0, 1, "a"), swap(2, 3, "a", None), saw(4, 5, "a")],
    "deleted nothing": [delete(0, 1)],
    "unanswered, done and undone": [write(0, None, "a"), saw(1, 2, "a"), saw(3, 4, None)],
    "unanswered, and done twice": [
        write(0, None, "a"),
        saw(1, 2, "a"),
        write(3, 4, "b"),
        saw(5, 6, "b"),
        saw(7, 8, "a"),
    ],
    "unanswered, and seen before it was asked for": [saw(0, 1, "a"), write(2, None, "a")],
    "two readers see two orders": [
        write(0, 99, "a"),
        write(0, 99, "b"),
        saw(1, 2, "a"),
        saw(3, 4, "b"),
        saw(5, 6, "a"),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_a_register_can_do_is_accepted(name: str) -> None:
    assert isinstance(judge(GOOD[name], None), Linearizable)


@pytest.mark.parametrize("name", BAD)
def test_what_no_register_does_is_refused(name: str) -> None:
    assert isinstance(judge(BAD[name], None), Impossible)


def test_what_was_there_before_counts() -> None:
    assert judge([saw(0, 1, "a")], "a") == Linearizable()
    assert isinstance(judge([saw(0, 1, None)], "a"), Impossible)


def test_the_order_that_begins_to_explain_is_told() -> None:
    first, second, third = write(0, 1, "a"), write(2, 3, "b"), saw(4, 5, "a")
    assert judge([third, first, second], None) == Impossible((first, second), (third,), "b")


def test_a_search_without_end_is_given_up() -> None:
    events = (
        [write(0, None, str(n)) for n in range(30)] + [saw(n, n + 1, str(n)) for n in range(1, 20)] + [saw(50, 51, "z")]
    )
    assert judge(events, None, most_steps=1000) == Undecided()


def test_many_that_were_never_answered_do_not_take_for_ever() -> None:
    lost = [write(n, None, f"w{n}") for n in range(40)] + [delete(n, None) for n in range(40)]
    lost += [swap(n, None, None, f"s{n}") for n in range(40)]
    looks = [saw(50 + n, 51 + n, None if n % 2 else "w3") for n in range(10)]
    assert isinstance(judge([*lost, saw(50, 51, "w3"), saw(52, 53, None)], None, most_steps=20_000), Linearizable)
    # `w3` was written once, and was deleted: it does not come back.
    assert isinstance(judge([*lost, *looks], None, most_steps=20_000), Impossible)


VALUES = st.sampled_from(["a", "b", "c", None])


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    events = []
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["write", "swap", "delete", "refused", "saw"]))
        start = draw(st.integers(0, 12))
        end = start + draw(st.integers(0, 6))
        answered = kind in {"refused", "saw"} or draw(st.booleans())
        value = draw(VALUES) if kind in {"swap", "saw"} else draw(st.sampled_from(["a", "b", "c"]))
        events.append(event(kind, start, end if answered else None, value, draw(VALUES)))
    return events


def _some_order_fits(events: Sequence[Event], initial: str | None) -> bool:
    """The definition, tried out: some of the unanswered left out, each order of the rest."""
    answered = [one for one in events if one.end is not None]
    unanswered = [one for one in events if one.end is None]
    for count in range(len(unanswered) + 1):
        for some in itertools.combinations(unanswered, count):
            for order in itertools.permutations([*answered, *some]):
                if _in_time(order) and _fits(order, initial):
                    return True
    return False


def _in_time(order: Sequence[Event]) -> bool:
    return not any(
        later.end is not None and later.end < earlier.start for earlier, later in itertools.combinations(order, 2)
    )


def _fits(order: Sequence[Event], value: str | None) -> bool:
    for one in order:
        possible, value = step(one, value)
        if not possible:
            return False
    return True


@settings(max_examples=300, deadline=None)
@given(histories(), VALUES)
def test_the_search_finds_what_trying_out_finds(events: list[Event], initial: str | None) -> None:
    assert isinstance(judge(events, initial), Linearizable) == _some_order_fits(events, initial)


@pytest.mark.parametrize("seed", range(5))
def test_a_long_history_of_a_real_register_is_accepted_and_with_one_lie_it_is_not(seed: int) -> None:
    events = _long_history(random.Random(seed))  # noqa: S311  to be repeated
    assert isinstance(judge(events, None), Linearizable)
    number = max(n for n, one in enumerate(events) if one.kind == "saw")
    lie = events[number]
    assert lie.end is not None
    events[number] = saw(lie.start, lie.end, "never written")
    assert isinstance(judge(events, None), Impossible)


def _long_history(chance: random.Random) -> list[Event]:
    """Twelve clients at one register, some answers lost: each operation takes effect somewhere in its time."""
    value: str | None = None
    events = []
    free = [0] * 12
    for moment in range(10, 4000, 10):
        client = chance.randrange(12)
        start = max(free[client], moment - chance.randrange(100))
        if start >= moment:
            continue
        end = free[client] = moment + chance.randrange(100)
        lost = chance.random() < 0.03
        match chance.choice(["write", "swap", "delete", "saw"]):
            case "write":
                value = f"w{moment}"
                events.append(write(start, None if lost else end, value))
            case "swap" if value is not None:
                events.append(swap(start, None if lost else end, value, f"s{moment}"))
                value = f"s{moment}"
            case "swap":
                events.append(refused(start, end, "anything"))
            case "delete" if value is not None:
                value = None
                events.append(delete(start, None if lost else end))
            case _:
                events.append(saw(start, end, value))
    return events
