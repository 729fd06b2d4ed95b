"""Is the history of a key one that a single register could have had?

The search of Wing and Gong with the memory of Lowe: take, of the operations that may come next, one after
the other, and go back where none fits. An operation may come next when none of the others ended before it
began. One that was never answered may come at any time after its start, or never.

A kill leaves many that were never answered, and to try each set of them would take for ever. But writes whose
value nobody ever asks about are all alike: of several that were not answered and do the same, the one that
began first can stand for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from objectstore.testing.torture.history import Event

_NEVER_ASKED: Final = "(never asked about)"
MOST_STEPS: Final = 2_000_000  # of a search; enough for histories that people would call hopeless


@dataclass(frozen=True, slots=True)
class Linearizable:
    """There is such an order."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """There is none. The longest order that begins one ends before `stuck`, of which none fits."""

    order: tuple[Event, ...]
    stuck: tuple[Event, ...]
    value: str | None  # that the register holds then


@dataclass(frozen=True, slots=True)
class Undecided:
    """The search took more than it may."""


Verdict: TypeAlias = Linearizable | Impossible | Undecided


def judge(events: Sequence[Event], initial: str | None, most_steps: int = MOST_STEPS) -> Verdict:
    """Judge the events of one key, whose register held `initial` before."""
    return _Search(events, initial, most_steps).run()


def step(event: Event, value: str | None) -> tuple[bool, str | None]:
    """Whether the event is possible while the register holds `value`, and what it holds after."""
    match event.kind:
        case "write":
            return True, event.value
        case "swap":
            return value == event.expected, event.value
        case "delete":
            return value is not None, None
        case "refused":
            return value != event.expected, value
        case "saw":
            return value == event.value, value


class _Search:
    def __init__(self, events: Sequence[Event], initial: str | None, most_steps: int) -> None:
        self._events = sorted(events, key=lambda event: event.start)
        self._ends = [math.inf if event.end is None else event.end for event in self._events]
        self._answered = sum(1 << n for n, event in enumerate(self._events) if event.end is not None)
        self._initial = initial
        asked = {event.value for event in self._events if event.kind == "saw"}
        asked |= {event.expected for event in self._events}
        # As the search has them: with one name for all values that make no difference.
        self._alike = [
            event if event.value is None or event.value in asked else replace(event, value=_NEVER_ASKED)
            for event in self._events
        ]
        self._steps_left = most_steps
        self._best: tuple[int, tuple[int, ...], tuple[int, ...]] = (-1, (), ())

    def run(self) -> Verdict:
        seen: set[tuple[int, str | None]] = set()
        # Each a state to go on from, with the order that led to it as a linked list.
        waiting: list[tuple[int, str | None, _Order]] = [(0, self._initial, None)]
        while waiting:
            done, value, order = waiting.pop()
            if (done, value) in seen:
                continue
            seen.add((done, value))
            self._steps_left -= 1
            if self._steps_left < 0:
                return Undecided()
            done, order = self._observations(done, value, order)
            if done & self._answered == self._answered:
                return Linearizable()
            following = self._following(done)
            self._note(done, order, following)
            # Those that end first are tried first, those that were never answered last.
            for number in sorted(following, key=self._ends.__getitem__, reverse=True):
                possible, after = step(self._alike[number], value)
                if possible and (self._answered >> number & 1 or after != value):
                    waiting.append((done | 1 << number, after, (number, order)))
        _, numbers, stuck = self._best
        begun = tuple(self._events[number] for number in numbers)
        held = self._initial
        for event in begun:
            _, held = step(event, held)
        return Impossible(begun, tuple(self._events[number] for number in stuck), held)

    def _observations(self, done: int, value: str | None, order: _Order) -> tuple[int, _Order]:
        """Take what changes nothing and fits now: to take it later can only be harder."""
        found = True
        while found:
            found = False
            for number in self._following(done):
                event = self._alike[number]
                if event.kind in {"saw", "refused"} and step(event, value)[0]:
                    done |= 1 << number
                    order = (number, order)
                    found = True
        return done, order

    def _following(self, done: int) -> list[int]:
        """The events that may come next, by their start."""
        following = []
        earliest_end = math.inf
        tried: set[tuple[str, str | None, str | None]] = set()
        for number in range(_lowest_missing(done), len(self._events)):
            if self._events[number].start > earliest_end:
                break
            if not done >> number & 1:
                if not self._answered >> number & 1:
                    event = self._alike[number]
                    deed = (event.kind, event.value, event.expected)
                    if deed in tried:
                        continue
                    tried.add(deed)
                following.append(number)
                earliest_end = min(earliest_end, self._ends[number])
        return following

    def _note(self, done: int, order: _Order, following: list[int]) -> None:
        count = (done & self._answered).bit_count()
        if count > self._best[0]:
            stuck = tuple(number for number in following if self._answered >> number & 1)
            self._best = (count, _unrolled(order), stuck)


_Order: TypeAlias = "tuple[int, _Order] | None"


def _lowest_missing(done: int) -> int:
    """The number of the first event that is not done."""
    return (~done & (done + 1)).bit_length() - 1


def _unrolled(order: _Order) -> tuple[int, ...]:
    numbers = []
    while order is not None:
        number, order = order
        numbers.append(number)
    return tuple(reversed(numbers))
