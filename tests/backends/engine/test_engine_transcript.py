"""Files brought from one folder to another: linked, or copied, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from objectstore.backends.engine import transcript
from objectstore.backends.engine.transcript import BLOCK, UNFINISHED, copy, link
from objectstore.errors import Corrupted


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"0123456789")
    return path


def test_a_link_is_the_same_file(source: Path, tmp_path: Path) -> None:
    assert link(str(source), str(tmp_path / "target"), 10)
    assert source.samefile(tmp_path / "target")


def test_a_file_of_another_size_is_not_linked(source: Path, tmp_path: Path) -> None:
    with pytest.raises(Corrupted) as told:
        link(str(source), str(tmp_path / "target"), 11)
    assert told.value.message == f"the file {source} has 10 bytes, not 11"
    assert not (tmp_path / "target").exists()
    assert source.exists()


def test_where_there_are_no_links_it_is_said(source: Path, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108  another file system
    if elsewhere.is_dir() and elsewhere.stat().st_dev != source.stat().st_dev:
        assert not link(str(source), str(elsewhere / f"{os.getpid()}-link"), 10)
    with pytest.raises(FileNotFoundError):
        link(str(tmp_path / "none"), str(tmp_path / "target"), 10)
    (tmp_path / "target").touch()
    with pytest.raises(FileExistsError) as told:
        link(str(source), str(tmp_path / "target"), 10)
    assert told.value.errno == errno.EEXIST


@pytest.mark.parametrize("size", [0, 10, BLOCK, 2 * BLOCK + 1])
def test_a_copy_is_whole_private_and_hashed(source: Path, tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    source.write_bytes(data)
    source.chmod(0o644)
    target = tmp_path / "target"
    (tmp_path / f"target{UNFINISHED}").write_bytes(b"left by a crash")
    assert copy(str(source), str(target)) == (size, hashlib.sha256(data).digest())
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_copy_holds_one_block_at_a_time(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.write_bytes(bytes(2 * BLOCK + 1))
    sizes: list[int] = []
    digest = SimpleNamespace(update=lambda block: sizes.append(len(block)), digest=lambda: b"")
    monkeypatch.setattr(transcript, "hashlib", SimpleNamespace(sha256=lambda: digest))
    copy(str(source), str(tmp_path / "target"))
    assert sizes == [BLOCK, BLOCK, 1]


def test_a_copy_that_fails_leaves_the_name_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(IsADirectoryError):
        copy(str(tmp_path), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == b"old"
