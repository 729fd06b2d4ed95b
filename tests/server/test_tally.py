from __future__ import annotations

import json
from pathlib import Path

import pytest

from objectstore.errors import ConfigurationError
from objectstore.server.observation.tally import COUNTER, GAUGE, Tally


def test_a_process_alone_tells_what_it_counted() -> None:
    tally = Tally()
    tally.cells[tally.cell(COUNTER, ("seen", "a"))] += 2
    tally.cells[tally.cell(COUNTER, ("seen", "a"))] += 1
    tally.cells[tally.cell(GAUGE, ("now",))] = 0.5
    assert tally.totals() == ({("seen", "a"): 3.0, ("now",): 0.5}, 1)


def test_series_of_a_block_are_neighbours() -> None:
    tally = Tally()
    series = [("spread", str(number)) for number in range(5)]
    first = tally.block(COUNTER, series)
    assert tally.block(COUNTER, series) == first
    tally.cells[first + 4] += 7
    assert tally.totals()[0]["spread", "4"] == 7


def test_every_worker_tells_of_all(tmp_path: Path) -> None:
    workers = [Tally(tmp_path) for _ in range(3)]
    for number, worker in enumerate(workers, 1):
        worker.cells[worker.cell(COUNTER, ("seen",))] += number
        worker.cells[worker.cell(GAUGE, ("now",))] = number
    for worker in workers:
        assert worker.totals() == ({("seen",): 6.0, ("now",): 6.0}, 3)


def test_of_a_dead_worker_what_it_counted_is_kept_and_what_it_was_is_not(tmp_path: Path) -> None:
    dead, living = Tally(tmp_path), Tally(tmp_path)
    for worker in (dead, living):
        worker.cells[worker.cell(COUNTER, ("seen",))] += 5
        worker.cells[worker.cell(GAUGE, ("now",))] = 1
    dead.close()
    assert living.totals() == ({("seen",): 10.0, ("now",): 1.0}, 1)


def test_many_dead_workers_leave_one_file_and_every_count(tmp_path: Path) -> None:
    for number in range(5):
        worker = Tally(tmp_path)
        worker.cells[worker.cell(COUNTER, ("seen", "x"))] += number
        worker.close()
    last = Tally(tmp_path)
    assert last.totals() == ({("seen", "x"): 10.0}, 1)
    assert len(list(tmp_path.iterdir())) == 3
    assert json.loads((tmp_path / "past.json").read_text()) == [[["seen", "x"], 10.0]]


def test_a_name_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    writer, reader = Tally(tmp_path), Tally(tmp_path)
    writer.cells[writer.cell(COUNTER, ("seen",))] += 1
    names = max(tmp_path.glob("*.names"), key=lambda path: path.stat().st_size)
    with names.open("ab") as file:
        file.write(b'["c", "hal')
    assert reader.totals() == ({("seen",): 1.0}, 2)


def test_what_finds_no_room_does_no_harm() -> None:
    tally = Tally()
    kept = tally.cell(COUNTER, ("seen",))
    tally.cells[kept] += 1
    for number in range(20_000):
        tally.cells[tally.block(COUNTER, [("more", str(number), part) for part in "ab"]) + 1] += 1
    totals, _ = tally.totals()
    assert totals["seen",] == 1
    assert len(totals) < 17_000
    assert {value for series, value in totals.items() if series[-1] == "b"} == {1.0}


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file.* of PROMETHEUS_MULTIPROC_DIR"):
        Tally(tmp_path / "file")
