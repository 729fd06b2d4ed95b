"""When the server dies: the plan of kills, which the seed decides."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from objectstore.backends.engine import steps

_FIRST: Final = (steps.AFTER_FORMAT, steps.AFTER_INDEX)  # which only an empty directory has
_LONGEST: Final = 0.5  # seconds under load before a kill
# How often a process comes to a step decides how far off the hit may lie that is waited for.
_OFTEN: Final = {
    steps.AFTER_CREATE: 40,
    steps.AFTER_WRITE: 40,
    steps.AFTER_SYNC: 40,
    steps.AFTER_RENAME: 40,
    steps.AFTER_FOLDER_SYNC: 40,
    steps.BEFORE_COMMIT: 100,
    steps.AFTER_COMMIT: 100,
    steps.AFTER_CLAIM: 2,
    steps.AFTER_UNLINK: 2,
    steps.AFTER_FORGET: 2,
}


@dataclass(frozen=True, slots=True)
class After:
    """From outside, at some moment."""

    seconds: float  # under load


@dataclass(frozen=True, slots=True)
class At:
    """From inside, when the processes of the server have come to the step so often, all of them counted."""

    step: str
    hit: int  # the first is 1


Kill: TypeAlias = After | At


def plan(seed: int) -> Iterator[Kill]:
    """The kills of a run, without end: at each step by turns, in an order that changes, and at any moment between."""
    chance = random.Random(f"{seed}/kills")  # noqa: S311  to be repeated, not to be secret
    for step in _FIRST:
        yield At(step, 1)
    others = [step for step in steps.ALL if step not in _FIRST]
    while True:
        chance.shuffle(others)
        for step in others:
            yield After(chance.uniform(0.0, _LONGEST))
            yield At(step, chance.randint(1, _OFTEN.get(step, 1)))
