from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from objectstore.server.collector import UNTIL, spare


@pytest.fixture(autouse=True)
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_requests_under_way_are_not_looked_through() -> None:
    runs: list[str] = []

    def note(phase: str, _: object) -> None:
        runs.append(phase)

    gc.set_threshold(700, 10, 10)
    spare()
    gc.callbacks.append(note)
    try:
        held = [[number] for number in range(UNTIL // 2)]
    finally:
        gc.callbacks.remove(note)
    assert len(held) == UNTIL // 2
    assert runs == []


def test_cycles_are_found_all_the_same() -> None:
    spare()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == UNTIL


@pytest.mark.parametrize("chosen", [0, 50_000])
def test_what_somebody_has_chosen_is_kept(chosen: int) -> None:
    gc.set_threshold(chosen, 5, 5)
    spare()
    assert gc.get_threshold() == (chosen, 5, 5)
