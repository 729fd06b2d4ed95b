"""A pass over a data directory made by hand: what is read, told and written down, when, and when it ends early."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from backends.engine.still import Still, still, syncs
from objectstore.backends.engine import directory as directories
from objectstore.backends.engine import fixity, schema, scrub
from objectstore.backends.engine.fixity import Verified
from objectstore.backends.engine.scrub import Interrupted, Pace, Scrub, is_due
from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State
from objectstore.errors import ConfigurationError, Corrupted, StorageFull, Unavailable

__all__ = ["syncs"]  # a fixture
pytestmark = pytest.mark.usefixtures("syncs")

START = datetime(2026, 1, 1, tzinfo=UTC)
BEGAN = START.timestamp()
WHEN = "2026-01-01T00:00:00.000000Z"
MONTH = timedelta(days=30)
ROW = 4096  # what a body costs beside its bytes
BODIES = {"a": b"123", "b": b"12345", "c": b"", "u/1": b"part", "u/2": b"large part"}


# When, and how fast


def test_it_is_due_by_the_time_of_the_last_pass() -> None:
    last = State(last=Pass(began=BEGAN, ended=BEGAN + 1e9))
    assert is_due(State(), MONTH, START)
    assert not is_due(last, MONTH, START)
    assert not is_due(last, MONTH, START + MONTH - timedelta(seconds=1))
    assert is_due(last, MONTH, START + MONTH)
    assert is_due(last, MONTH, START - timedelta(microseconds=1)), "the clock was wrong, then or now"
    assert not is_due(last, timedelta(seconds=2), START + timedelta(seconds=0.5))
    assert is_due(State(now=Pass(began=0.0), last=last.last), MONTH, START)
    assert is_due(State(now=Pass(began=0.0)), MONTH, START)


class Waits(threading.Event):
    """An event that time passes over."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 50.0
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        self.now += timeout or 0.0
        return self.is_set()


def test_the_rate_is_kept() -> None:
    waits = Waits()
    pace = Pace(1000, waits, lambda: waits.now)
    for size in (500, 250, 0):
        pace.spend(size)
    assert waits.waited == [0.5, 0.25, 0.0]
    waits.now = 100.0
    pace.spend(1000)
    assert waits.now == 101.0, "what was not used is not caught up with"
    waits.now = 100.5  # a wait may end early
    pace.spend(500)
    assert waits.waited[-1] == 1.0
    waits.set()
    with pytest.raises(Interrupted):
        pace.spend(1)


def test_at_any_rate_nothing_is_waited_for() -> None:
    waits = Waits()
    pace = Pace(0, waits)
    pace.spend(1_000_000)
    assert waits.waited == [0.0]
    waits.set()
    with pytest.raises(Interrupted):
        pace.spend(0)


# A pass


@pytest.fixture
def store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Still]:
    caplog.set_level(logging.INFO)
    with still(tmp_path / "data") as made:
        made.object("a", BODIES["a"])
        made.object("b", BODIES["b"], "00b")
        made.object("c", BODIES["c"])
        made.part("u", 1, BODIES["u/1"])
        made.part("u", 2, BODIES["u/2"], "0fe")
        yield made


@pytest.fixture
def folder(store: Still) -> ScrubFolder:
    return ScrubFolder(store.directory.root)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Seconds, as scrubbing sees them."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(scrub, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def scrubbed(folder: ScrubFolder, *, restart: bool = False, now: datetime = START, **given: object) -> State:
    with folder.scrubbing() as ours:
        assert ours
        one = Scrub(folder.root.parent, now=lambda: now, **given)  # type: ignore[arg-type]  # as a test gives them
        return one.run(restart=True) if restart else one.run()


def line(key: str) -> Verified:
    body, kind = BODIES[key], "part" if "/" in key else "object"
    return Verified(
        kind=kind, key=key, size=len(body), sha256=hashlib.sha256(body).hexdigest(), verified=WHEN, status="ok"
    )


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def nth(number: int, act: Callable[[], object]) -> Callable[[int], None]:
    """Act when something is read for the nth time."""
    seen = 0

    def tell(_size: int) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            act()

    return tell


def test_a_pass_verifies_and_reports_all(folder: ScrubFolder, caplog: pytest.LogCaptureFixture) -> None:
    told: list[int] = []
    state = scrubbed(folder, tell=told.append)
    size = fixity.append(folder.root / "copy", 0, [line(key) for key in BODIES])
    last = Pass(began=BEGAN, ended=BEGAN, bodies=5, size=22, damaged=0, part=True, after="u/2", report_size=size)
    assert state == State(now=None, last=last, bodies=5, size=22)
    assert folder.read() == state
    assert list(fixity.read(folder.report)) == [line(key) for key in BODIES]
    assert not folder.unfinished.exists()
    assert told == [3, ROW, 5, ROW, 0, ROW, 4, ROW, 10, ROW]
    assert logged(caplog) == [("INFO", "scrub: verified 5 bodies, 0 damaged")]
    again = scrubbed(folder, now=START + MONTH)
    assert again.last is not None
    assert (again.last.began, again.last.bodies, again.bodies, again.size) == (BEGAN + 30 * 86400, 5, 10, 44)


def test_what_is_damaged_is_logged_and_counted_and_its_bytes_are_not(
    store: Still, folder: ScrubFolder, caplog: pytest.LogCaptureFixture
) -> None:
    store.database.execute("UPDATE bodies SET data = x'00' WHERE length(data) = 3")
    store.blob("0fe").unlink()
    state = scrubbed(folder)
    assert state.last is not None
    assert (state.last.bodies, state.last.size, state.last.damaged) == (5, 9, 2)
    assert (state.bodies, state.size) == (5, 9)
    found = {one.key: (one.status, one.message) for one in fixity.read(folder.report) if not one.sound}
    assert found == {"a": ("wrong-size", "the body has 1 bytes, not 3"), "u/2": ("missing", "the body is missing")}
    mends = "; `objectstore check --deep --repair --from BACKUP` mends it"
    assert logged(caplog) == [
        ("ERROR", f"scrub: the object 'a' is damaged: the body has 1 bytes, not 3{mends}"),
        ("ERROR", f"scrub: the part 'u/2' is damaged: the body is missing{mends}"),
        ("INFO", "scrub: verified 5 bodies, 2 damaged"),
    ]


def test_what_was_overwritten_meanwhile_is_passed_over(
    store: Still, folder: ScrubFolder, caplog: pytest.LogCaptureFixture
) -> None:
    store.blob("00b").write_bytes(b"54321")
    state = scrubbed(folder, tell=nth(3, lambda: store.database.execute("UPDATE objects SET seq = 99 WHERE key = 'b'")))
    assert state.last is not None
    assert (state.last.bodies, state.last.damaged, state.bodies) == (4, 0, 4)
    assert [one.key for one in fixity.read(folder.report)] == ["a", "c", "u/1", "u/2"]
    assert logged(caplog) == [("INFO", "scrub: verified 4 bodies, 0 damaged")]


def test_what_was_deleted_meanwhile_is_not_looked_for_again(store: Still, folder: ScrubFolder) -> None:
    store.blob("00b").write_bytes(b"54321")
    stop = threading.Event()
    acts = iter([None, None, lambda: store.remove("b"), stop.set])
    with pytest.raises(Interrupted):
        scrubbed(folder, stop=stop, tell=lambda _size: act() if (act := next(acts)) else None)
    now = folder.read().now
    assert now is not None
    assert (now.bodies, now.after) == (1, "b")


def test_keys_that_a_damaged_index_does_not_tell_are_damage(
    store: Still, folder: ScrubFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(60):
        store.object(f"{number:02}{'-' * 200}", b"")
    store.database.execute("VACUUM")
    store.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.database.close()
    pages = bytearray(store.directory.index.read_bytes())
    at = pages.index(f"30{'-' * 200}".encode()) // schema.PAGE_SIZE * schema.PAGE_SIZE
    pages[at : at + 8] = b"\xff" * 8
    store.directory.index.write_bytes(pages)
    state = scrubbed(folder, piece=1)
    assert state.last is not None
    assert state.last.damaged == 1
    *sound, last = fixity.read(folder.report)
    assert state.last.bodies == state.bodies == len(sound) + 1
    message = last.message
    assert last == Verified(
        kind="index", key="", size=0, sha256="", verified=WHEN, status="damaged-index", message=message
    )
    assert message.startswith("keys after ")
    assert logged(caplog)[0] == ("ERROR", f"scrub: the index of {store.directory.root} is damaged: {message}")
    assert state.last.after == "u/2"


# How far it is


def test_where_it_is_is_written_down_every_so_many_bodies(folder: ScrubFolder) -> None:
    seen: list[tuple[int, int]] = []

    def look(_size: int) -> None:
        now = folder.read().now
        if now is not None:
            assert len(list(fixity.read(folder.unfinished, now.report_size))) == now.bodies
            seen.append((now.bodies, now.report_size))

    scrubbed(folder, piece=2, tell=look)
    assert [bodies for bodies, _ in seen] == [2] * 4 + [4] * 2
    assert seen[0][1] < seen[-1][1]


def test_and_every_so_many_seconds(folder: ScrubFolder, clock: SimpleNamespace) -> None:
    seen: list[int] = []

    def look(size: int) -> None:
        clock.now += 5.0 * (size == ROW)
        now = folder.read().now
        seen.append(-1 if now is None else now.bodies)

    scrubbed(folder, tell=look)
    assert seen == [-1, -1, -1, -1, 2, 2, 2, 2, 4, 4]


def test_cut_short_it_goes_on_where_it_was(folder: ScrubFolder, caplog: pytest.LogCaptureFixture) -> None:
    ends = {2: "a", 3: "a", 4: "b", 8: "u/1", 10: "u/2"}
    for number, after in ends.items():
        stop = threading.Event()
        with pytest.raises(Interrupted):
            scrubbed(folder, restart=True, stop=stop, tell=nth(number, stop.set))
        state = folder.read()
        assert state.now is not None
        done = list(BODIES)[: list(BODIES).index(after) + 1]
        assert (state.now.after, state.now.part, state.now.bodies) == (after, "/" in after, len(done))
        assert state.now.size == sum(len(BODIES[key]) for key in done)
        assert [one.key for one in fixity.read(folder.unfinished, state.now.report_size)] == done
        assert state.trouble is None
        with folder.unfinished.open("ab") as file:
            file.write(b"of a crash")
        told: list[int] = []
        total = state.bodies
        state = scrubbed(folder, now=START + MONTH, tell=told.append)
        assert state.last is not None
        assert told.count(ROW) == 5 - len(done)
        assert (state.last.began, state.last.ended) == (BEGAN, BEGAN + 30 * 86400)
        assert (state.last.bodies, state.bodies) == (5, total + 5 - len(done))
        assert [one.key for one in fixity.read(folder.report)] == list(BODIES)
    assert {level for level, _ in logged(caplog)} == {"INFO"}


@pytest.mark.parametrize("in_place", [True, False])
def test_a_crash_when_it_was_through_costs_neither_the_pass_nor_its_report(
    store: Still, folder: ScrubFolder, in_place: bool
) -> None:
    through = scrubbed(folder)
    with folder.scrubbing():
        if not in_place:
            folder.report.rename(folder.unfinished)
        folder.write(replace(through, now=through.last, last=None, trouble="of a disk"))
    store.part("v", 1, b"later")
    told: list[int] = []
    assert scrubbed(folder, now=START + MONTH, tell=told.append) == folder.read() == through
    assert told == []
    assert [one.key for one in fixity.read(folder.report)] == list(BODIES)
    with folder.scrubbing():
        folder.write(replace(through, now=through.last))
    assert scrubbed(folder, restart=True).bodies == 11
    assert [one.key for one in fixity.read(folder.report)] == [*BODIES, "v/1"]


def test_it_may_begin_anew(folder: ScrubFolder) -> None:
    last = Pass(began=1.0, bodies=7)
    with folder.scrubbing():
        folder.write(State(now=Pass(began=2.0, after="b", bodies=2), last=last, bodies=9, size=5))
    stop = threading.Event()
    with pytest.raises(Interrupted):
        scrubbed(folder, restart=True, stop=stop, tell=nth(2, stop.set))
    state = folder.read()
    assert state.now is not None
    assert (state.now.began, state.now.bodies, state.last, state.bodies) == (BEGAN, 1, last, 10)


def test_it_makes_room_for_who_asks_and_looks_once_a_second(folder: ScrubFolder, clock: SimpleNamespace) -> None:
    seen: list[float] = []

    def tell(_size: int) -> None:
        seen.append(clock.now)
        if len(seen) > 1:
            clock.now += 0.25

    def asks(size: int) -> None:
        tell(size)
        if len(seen) == 2:
            asking.enter_context(folder.asking())

    clock.now = 0.0
    with folder.asking() as free:
        assert free
        with pytest.raises(Interrupted):
            scrubbed(folder, yielding=True, tell=tell)
        assert len(seen) == 1, "at the first look"
        scrubbed(folder)
    seen.clear()
    clock.now = 100.0
    with ExitStack() as asking, pytest.raises(Interrupted):
        scrubbed(folder, yielding=True, tell=asks)
    assert seen == [100.0, 100.0, 100.25, 100.5, 100.75]


# Trouble


def test_on_a_nearly_full_disk_it_ends_and_says_so(folder: ScrubFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr(directories, "RESERVE", 1 << 62)
        with pytest.raises(StorageFull) as told:
            scrubbed(folder)
    message = "the disk is nearly full, and there is no room for the report of a scrub"
    assert told.value.message == message
    assert folder.read() == State(trouble=message)
    assert scrubbed(folder).trouble is None


def test_what_the_disk_and_sqlite_complain_of_is_remembered_and_told_as_errors_of_ours(
    store: Still, folder: ScrubFolder
) -> None:
    with folder.scrubbing():
        folder.unfinished.mkdir()
    with pytest.raises(Unavailable) as refused:
        scrubbed(folder)
    assert isinstance(refused.value.__cause__, IsADirectoryError)
    assert folder.read() == State(trouble=str(refused.value.__cause__))
    folder.unfinished.rmdir()
    store.database.close()
    whole = store.directory.index.read_bytes()
    store.directory.index.write_bytes(b"no database" * 1000)
    with pytest.raises(Corrupted) as told:
        scrubbed(folder)
    assert isinstance(told.value.__cause__, sqlite3.Error)
    assert folder.read() == State(trouble="file is not a database")
    store.directory.index.write_bytes(whole)


def test_trouble_that_cannot_be_written_down_is_logged(folder: ScrubFolder, caplog: pytest.LogCaptureFixture) -> None:
    def damage() -> None:
        (folder.root / "state.json").write_bytes(b"{")
        raise OSError("the terminal is gone")

    scrubbed(folder)
    caplog.clear()
    with pytest.raises(Unavailable, match="the terminal is gone"):
        scrubbed(folder, tell=nth(1, damage))
    assert logged(caplog) == [("WARNING", f"scrub: how far it is could not be written down in {folder.root}")]
    with pytest.raises(Corrupted, match="delete it"):
        scrubbed(folder)


def test_what_is_no_data_directory_is_refused(store: Still) -> None:
    root = store.directory.root
    store.directory.format.write_text("?")
    with pytest.raises(ConfigurationError, match="is not the FORMAT file"):
        Scrub(root).run()
    assert not (root / "scrub").exists()


def test_by_itself_it_reads_as_fast_as_it_goes_and_by_the_time_of_the_system(folder: ScrubFolder) -> None:
    before = datetime.now(UTC)
    with folder.scrubbing():
        state = Scrub(folder.root.parent).run()
    assert state.last is not None
    assert before.timestamp() <= state.last.began <= datetime.now(UTC).timestamp()
    first = next(fixity.read(folder.report))
    assert before <= datetime.fromisoformat(first.verified) <= datetime.now(UTC)
    assert replace(first, verified=WHEN) == line("a")
