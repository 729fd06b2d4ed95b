"""Two small files by themselves: the mark of how far the index has come, and the lock that holds garbage back."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from objectstore.backends.engine import highwater, hold
from objectstore.backends.engine.directory import Directory, try_lock
from objectstore.backends.engine.highwater import HighWater, accept, check, mark
from objectstore.backends.engine.schema import Durability
from objectstore.errors import ConfigurationError, Unavailable

BOOT = "12345678-9abc-4def-8123-456789abcdef\n"
BOOT_NUMBER = 0x12345678_9ABC4DEF


@pytest.fixture
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "boot_id"
    path.write_text(BOOT)
    monkeypatch.setattr(highwater, "_BOOT_ID", path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "highwater"


def reached(path: Path, durability: Durability, *seqs: int) -> None:
    writer = HighWater(path, durability)
    for seq in seqs:
        writer.reach(seq)
    writer.close()


def packed(*numbers: int) -> bytes:
    told = struct.pack("<QQQ", *numbers)
    return told + struct.pack("<I", zlib.crc32(told))


def test_a_mark_is_28_bytes_that_other_releases_read(path: Path, boot: Path) -> None:
    assert boot.exists()
    reached(path, "full")
    assert path.read_bytes() == b""
    assert path.stat().st_mode & 0o777 == 0o600
    reached(path, "full", 3, 7)
    assert path.read_bytes() == packed(7, 7, 0)
    reached(path, "relaxed", 9)
    assert path.read_bytes() == packed(7, 9, BOOT_NUMBER)
    assert mark(path) == 9
    reached(path, "relaxed", 11)
    assert path.read_bytes() == packed(7, 11, BOOT_NUMBER)
    reached(path, "full", 12)
    assert path.read_bytes() == packed(12, 12, 0)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (packed(7, 9, BOOT_NUMBER), 9),
        (packed(7, 9, BOOT_NUMBER + 1), 7),
        (packed(0, 9, BOOT_NUMBER + 1), 0),
        (packed(7, 9, 0), 9),
        (packed(9, 7, 0), 9),
        (packed(7, 9, 0) + b"more", 9),
        (packed(7, 9, 0)[:-1], 0),
        (packed(7, 9, 0)[:-1] + b"?", 0),
        (b"?" + packed(7, 9, 0)[1:], 0),
    ],
)
def test_a_mark_of_another_boot_says_what_was_synced_and_a_broken_one_nothing(
    path: Path, boot: Path, told: bytes, expected: int
) -> None:
    assert boot.exists()
    path.write_bytes(told)
    assert mark(path) == expected
    assert mark(path.with_name("missing")) == 0


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (BOOT, BOOT_NUMBER),
        ("00000000-0000-0000-8123-456789abcdef", 1),  # 0 would be any boot
        ("12", 0x12),
        ("boots cannot be told apart", 0),
        (None, 0),
    ],
)
def test_a_boot_has_a_number_where_the_system_tells_it(path: Path, boot: Path, text: str | None, number: int) -> None:
    boot.unlink()
    if text is not None:
        boot.write_text(text)
    reached(path, "full", 5)
    reached(path, "relaxed", 6)
    assert path.read_bytes() == (packed(5, 6, number) if number else packed(5, 5, 0))


@pytest.mark.parametrize("before", [b"", packed(99, 99, 0)])
def test_an_accepted_mark_is_the_mark_and_on_disk(path: Path, before: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    if before:
        path.write_bytes(before)
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.pread(fd, 99, 0)))
    accept(path, 5)
    assert synced == [packed(5, 5, 0)]
    assert path.read_bytes() == packed(5, 5, 0)
    assert before or path.stat().st_mode & 0o777 == 0o600


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths


@pytest.mark.parametrize(
    "use", [mark, lambda path: accept(path, 1), lambda path: reached(path, "full", 1)], ids=["read", "accept", "write"]
)
def test_nothing_stays_open(path: Path, use: Callable[[Path], object]) -> None:
    path.touch()
    before = open_files()
    use(path)
    assert open_files() == before


def test_an_index_that_ends_before_the_mark_is_told_with_the_ways_out(tmp_path: Path) -> None:
    index = tmp_path / "index.sqlite3"
    check(index, 4, 4)
    check(index, 4, 5)
    with pytest.raises(ConfigurationError) as told:
        check(index, 4, 3)
    assert told.value.message == (
        f"{index} has changes up to 3 only, and 4 were acknowledged: its log (index.sqlite3-wal) was "
        "removed, or the index replaced by an older one; put it back, restore a backup, or have the loss accepted "
        f"by `objectstore check {tmp_path} --repair`"
    )


# Garbage that is held back


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    (tmp_path / "FORMAT").touch()
    return Directory(tmp_path)


def test_while_anybody_holds_garbage_nobody_collects(directory: Directory) -> None:
    before = open_files()
    with hold.held(directory):
        with hold.held(directory), hold.collecting(directory) as allowed:
            assert allowed is False
        with hold.collecting(directory) as allowed:
            assert allowed is False
    with hold.collecting(directory) as allowed, hold.collecting(directory) as another:
        assert (allowed, another) == (True, False)
    assert open_files() == before


def test_a_hold_waits_for_who_collects_for_a_minute(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    slept: list[float] = []
    ends = 1002.0

    def sleep(seconds: float) -> None:
        nonlocal clock
        slept.append(seconds)
        clock += 1
        if clock == ends:
            os.close(collecting)

    monkeypatch.setattr(hold, "time", SimpleNamespace(monotonic=lambda: clock, sleep=sleep))
    collecting = os.open(directory.format, os.O_RDONLY)
    assert try_lock(collecting)
    with hold.held(directory):
        assert slept == [0.01, 0.01]
    clock, ends = 1000.0, 1060.0
    collecting = os.open(directory.format, os.O_RDONLY)
    assert try_lock(collecting)
    with hold.held(directory):
        assert clock == 1060
    clock, ends = 1000.0, 2000.0
    collecting = os.open(directory.format, os.O_RDONLY)
    assert try_lock(collecting)
    with pytest.raises(Unavailable, match="without a pause; try again"), hold.held(directory):
        raise AssertionError
    assert clock == 1061
    os.close(collecting)
