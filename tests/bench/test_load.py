"""What is sent is what the rows say, and what is refused is no figure."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import contestants, load, measurement, seeding

MISSING = [name for name in ("wrk", "curl", "taskset", "nginx") if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

KEYS = seeding.Seed(folder="k", count=50, size=100)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[contestants.Server]:
    """nginx, whose objects are files that can be looked at."""
    nginx = contestants.CONTESTANTS["nginx"]
    nginx.seed(tmp_path, (KEYS,))
    with contextmanager(nginx.start)("nginx", tmp_path) as started:
        yield started


def held(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "files" / "k").iterdir()}


def test_all_sends_each_key_once(server: contestants.Server, tmp_path: Path) -> None:
    keys = seeding.Seed(folder="k", count=30, size=0)
    answered = load.wrk(server, "DELETE", keys, first=10, mode="all", spare=0, connections=4, seconds=20)
    assert answered.requests == 30
    assert held(tmp_path) == {f"{number:09}" for number in (*range(10), *range(40, 50))}


def test_a_sequence_writes_new_keys_with_other_bytes_each(server: contestants.Server, tmp_path: Path) -> None:
    answered = load.wrk(server, "PUT", KEYS, first=1000, mode="sequence", connections=2, seconds=1)
    written = held(tmp_path) - {f"{number:09}" for number in range(50)}
    # What was under way at the end may have been stored, too.
    assert answered.requests <= len(written) <= answered.requests + 2
    assert min(written) == "000001000"
    bodies = [(tmp_path / "files" / "k" / name).read_bytes() for name in sorted(written)[:20]]
    assert len(set(bodies)) == 20
    assert {len(body) for body in bodies} == {100}


def test_requests_that_are_refused_are_no_figure(server: contestants.Server) -> None:
    absent = seeding.Seed(folder="absent", count=10, size=0)
    with pytest.raises(measurement.LoadError, match=r"GET /absent/… \d+ were refused"):
        load.rate(server, "GET", absent, connections=2, seconds=1)


def test_a_body_of_another_size_is_no_figure(server: contestants.Server) -> None:
    assert load.download(server, "k/000000001", 100, times=3).size == 300
    with pytest.raises(measurement.LoadError, match="0 of 1 transfers succeeded"):
        load.download(server, "k/000000001", 101)
    with pytest.raises(measurement.LoadError, match="0 of 1 transfers succeeded"):
        load.download(server, "absent", 100)


def test_what_a_server_uses_is_counted_for_all_its_processes(server: contestants.Server) -> None:
    assert len(server.program.processes()) == 2  # the master and its worker
    with load.metered(server) as meter:
        load.wrk(server, "GET", KEYS, connections=8, seconds=1)
    assert 0 < meter.cpu < 5
    assert 2**20 < meter.peak < 2**30
