"""A row of the table: one piece of work, and those who do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bench.measurement import Sample, Unit
from bench.stage import SeedName, Stage

# Measures one contestant once. The number counts the turns from 0; no two of a lane are the same.
Lane: TypeAlias = Callable[[Stage, int], Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    name: str
    title: str
    unit: Unit
    how: str  # is it measured
    lanes: Mapping[str, Lane]  # by contestant
    seeds: tuple[SeedName, ...] = ()  # objects that have to be there
    once: bool = False  # it takes long and tells of a limit, so one round is enough
    warms_up: bool = True  # by a round that does not count; where each sample begins anew, it would tell nothing
