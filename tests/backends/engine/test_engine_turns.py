"""Writers take turns: who waits in front comes next, who has more to write keeps the pen for a while only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from objectstore.backends.engine import turns
from objectstore.backends.engine.directory import Directory, unlock
from objectstore.backends.engine.turns import Turns
from objectstore.errors import Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    return clock


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Turns, Turns]]:
    directory = Directory(tmp_path)
    directory.staging.mkdir()
    directory.blobs.mkdir()
    one, other = Turns(directory, 0.01), Turns(directory, 0.01)
    yield one, other
    one.close()
    other.close()


def has_the_pen(turns: Turns, other: Turns) -> bool:
    """Whether the other one may not write while this one may."""
    turns.take()
    try:
        other.take()
    except Unavailable:
        return True
    return False


@pytest.mark.usefixtures("clock")
def test_one_writes_at_a_time(both: tuple[Turns, Turns]) -> None:
    one, other = both
    assert has_the_pen(one, other)
    one.leave(more_to_write=False)
    assert has_the_pen(other, one)
    other.leave(more_to_write=False)
    other.leave(more_to_write=False)
    one.take()


def test_who_waits_too_long_is_told_to_come_again(clock: Clock, both: tuple[Turns, Turns]) -> None:
    one, other = both
    one.take()
    with pytest.raises(Unavailable, match=r"^another process has been writing for very long$") as told:
        other.take()
    assert told.value.retry_after == 1.0
    assert 100.01 < clock.now <= 100.012
    assert clock.pauses[:3] == [0.0002, 0.0002 * 1.2, 0.0002 * 1.2 * 1.2]
    assert max(clock.pauses) <= 0.002
    one.leave(more_to_write=False)
    other.take()


def test_the_longest_pause_is_two_milliseconds(clock: Clock, tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.staging.mkdir()
    directory.blobs.mkdir()
    one, patient = Turns(directory, 1.0), Turns(directory, 1.0)
    one.take()
    with pytest.raises(Unavailable):
        patient.take()
    assert clock.pauses[-1] == clock.pauses[-2] == 0.002
    one.close()
    patient.close()


def test_with_more_to_write_the_pen_is_kept_for_a_while(clock: Clock, both: tuple[Turns, Turns]) -> None:
    one, other = both
    one.take()
    clock.now += 0.004
    one.leave(more_to_write=True)
    with pytest.raises(Unavailable):
        other.take()
    clock.now = 100.005
    one.leave(more_to_write=True)
    assert has_the_pen(other, one)


def test_taking_again_what_is_ours_does_not_make_the_turn_longer(clock: Clock, both: tuple[Turns, Turns]) -> None:
    one, other = both
    one.take()
    clock.now += 0.004
    one.take()
    clock.now += 0.002
    one.leave(more_to_write=True)
    other.take()


def test_who_waits_comes_before_who_has_just_written(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    directory.staging.mkdir()
    directory.blobs.mkdir()
    one, other = Turns(directory, 60.0), Turns(directory, 60.0)
    order: list[str] = []
    started = threading.Event()

    def wait_and_write() -> None:
        started.set()
        other.take()
        order.append("other")
        other.leave(more_to_write=False)

    one.take()
    waiting = threading.Thread(target=wait_and_write)
    waiting.start()
    started.wait()
    probe = Turns(directory, 0.0)
    while True:  # until it is in the queue
        try:
            turns._wait(probe._queue, 0.0)
        except Unavailable:
            break
        unlock(probe._queue)
    one.leave(more_to_write=False)
    one.take()
    order.append("one")
    waiting.join()
    assert order == ["other", "one"]
    for each in (one, other, probe):
        each.close()
