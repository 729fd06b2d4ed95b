"""The rules of transfers, and works side by side, without a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectstore import InvalidParameter
from objectstore.client.gathering import by_tasks, by_threads, in_thread
from objectstore.client.stopping import Stop, Stopped
from objectstore.client.transfers import keeping
from objectstore.client.transfers.layout import MAX_PARTS, Layout, in_parts, missing, numbers, runs, upload_layout


@given(st.integers(0, 2000), st.integers(1, 500))
def test_parts_cover_everything_once(size: int, part_size: int) -> None:
    layout = Layout(size, part_size)
    spans = [(layout.start(part), layout.stop(part)) for part in range(layout.count)]
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans)][: layout.count]
    assert (spans[-1][1] if spans else 0) == size
    assert all(0 < layout.length(part) <= part_size for part in range(layout.count))


@given(st.sets(st.integers(0, 99)))
def test_what_is_done_is_told_in_runs(done: set[int]) -> None:
    told = runs(done)
    assert numbers(told, 100) == done
    assert len(told) <= 50
    assert set(missing(100, done)) == set(range(100)) - done


@pytest.mark.parametrize("told", [[(0, 101)], [(-1, 2)], [(3, 3)], [(5, 4)]])
def test_runs_of_parts_that_there_are_not_are_refused(told: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="no parts of 100"):
        numbers(told, 100)


def test_the_parts_of_an_upload_are_never_too_many() -> None:
    assert upload_layout(MAX_PARTS * 10, 10).part_size == 10
    large = upload_layout(MAX_PARTS * 10 + 1, 10)
    assert large.part_size == 20
    assert large.count <= MAX_PARTS
    assert (in_parts(40, 10), in_parts(41, 10)) == (False, True)
    with pytest.raises(InvalidParameter):
        Layout(1, 0)


Gather = Callable[[Callable[[int], int], Iterator[int], int, bool], list[int]]


def threads(run: Callable[[int], int], works: Iterator[int], limit: int, ordered: bool) -> list[int]:
    return [one.get() for one in by_threads(lambda work, _: run(work), works, limit, Stop(), ordered=ordered)]


def tasks(run: Callable[[int], int], works: Iterator[int], limit: int, ordered: bool) -> list[int]:
    async def main() -> list[int]:
        async def awaited(work: int) -> int:
            return await in_thread(lambda: run(work))

        return [one.get() async for one in by_tasks(awaited, works, limit, ordered=ordered)]

    return asyncio.run(main())


@pytest.fixture(params=[threads, tasks])
def gather(request: pytest.FixtureRequest) -> Gather:
    found: Gather = request.param
    return found


def test_so_many_run_at_once_and_no_more(gather: Gather) -> None:
    meeting = threading.Barrier(3)
    busy: list[int] = []
    most: list[int] = []

    def run(work: int) -> int:
        busy.append(work)
        most.append(len(busy))
        meeting.wait(20)  # nobody goes on before three are here
        busy.remove(work)
        return work * 10

    assert sorted(gather(run, iter(range(9)), 3, False)) == [10 * n for n in range(9)]
    assert max(most) == 3


def test_outcomes_come_in_order_when_that_is_wanted(gather: Gather) -> None:
    second = threading.Event()

    def run(work: int) -> int:
        if work == 0:
            assert second.wait(20)
        if work == 1:
            second.set()
        return work

    assert gather(run, iter(range(20)), 2, True) == list(range(20))


def test_the_first_failure_ends_the_taking(gather: Gather) -> None:
    taken: list[int] = []

    def works() -> Iterator[int]:
        for n in range(10_000):
            taken.append(n)
            yield n

    def run(work: int) -> int:
        return 1 // (5 - work)

    with pytest.raises(ZeroDivisionError):
        gather(run, works(), 2, False)
    assert len(taken) < 100


def test_a_stop_reaches_all_that_is_derived_from_it() -> None:
    stop = Stop()
    derived = stop.derive().derive()
    derived.check()
    stop.set()
    with pytest.raises(Stopped):
        derived.sleep(60)
    with pytest.raises(Stopped):
        next(derived.watched([1]))
    with pytest.raises(Stopped):
        stop.derive().check()


def test_a_cancelled_thread_is_waited_for() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(20)
        ended.set()

    async def main() -> None:
        task = asyncio.ensure_future(in_thread(work))
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(main())


def test_the_state_folder_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert keeping.state_folder() == tmp_path / "objectstore" / "uploads"
    monkeypatch.setenv("HOME", str(tmp_path))
    for relative in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", relative)
        assert keeping.state_folder() == tmp_path / ".local" / "state" / "objectstore" / "uploads"
