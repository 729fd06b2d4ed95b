from __future__ import annotations

import io

from objectstore.cli.progress import PATIENCE, Bar, Meter, metered


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None]] = []

    def update(self, done: int, total: int | None) -> None:
        self.seen.append((done, total))


def test_a_meter_counts_and_tells() -> None:
    recorder = Recorder()
    meter = Meter(10, recorder)
    meter.advance(4)
    meter.advance(6)
    assert meter.done == 10
    assert recorder.seen == [(4, 10), (10, 10)]


def test_a_transfer_that_starts_over_counts_anew() -> None:
    meter = Meter(10)
    meter.advance(7)
    meter.move_to(0)
    meter.advance(2)
    assert meter.done == 2


def test_a_short_transfer_draws_nothing() -> None:
    clock, terminal = Clock(), Terminal()
    bar = Bar("photo.jpg", terminal, clock)
    clock.time = PATIENCE - 0.01
    bar.update(5, 10)
    bar.close()
    assert terminal.getvalue() == ""


def test_a_long_transfer_draws_a_bar_and_removes_it() -> None:
    clock, terminal = Clock(), Terminal()
    bar = Bar("[bold]photo.jpg", terminal, clock)
    clock.time = PATIENCE
    bar.update(512 * 1024, 1024 * 1024)
    bar.close()
    drawn = terminal.getvalue()
    assert "[bold]photo.jpg" in drawn  # and not taken for markup
    assert "MiB" in drawn
    assert drawn.endswith("\x1b[2K")  # the last thing done is to clear the line


def test_there_is_no_bar_where_nobody_watches() -> None:
    for stream, quiet in ((io.StringIO(), False), (Terminal(), True)):
        with metered("photo.jpg", 10, stream, quiet=quiet) as meter:
            assert meter._display is None
    with metered("photo.jpg", 10, Terminal(), quiet=False) as meter:
        assert meter._display is not None
