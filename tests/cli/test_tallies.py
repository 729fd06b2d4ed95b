"""The folder that workers share."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from objectstore.cli import tallies
from objectstore.cli.tallies import shared_tallies

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(tallies, "_MEMORY", tmp_path)
    return tmp_path


def test_there_is_a_private_folder_meanwhile() -> None:
    with shared_tallies():
        folder = Path(os.environ[VARIABLE])
        assert folder.stat().st_mode & 0o777 == 0o700
    assert VARIABLE not in os.environ
    assert not folder.exists()


def test_a_folder_that_is_named_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    with shared_tallies():
        assert os.environ[VARIABLE] == str(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_what_a_killed_server_left_is_removed_and_that_of_one_that_lives_is_not(place: Path) -> None:
    for name in ("objectstore-tallies-dead", "objectstore-tallies-lives"):
        (place / name).mkdir()
        (place / name / "server.lock").touch()
    with (place / "objectstore-tallies-lives" / "server.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with shared_tallies():
            pass
    assert [path.name for path in place.iterdir()] == ["objectstore-tallies-lives"]


def test_without_any_place_the_server_serves_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(**_: object) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with shared_tallies():
        assert VARIABLE not in os.environ
    assert "no space left" in caplog.text
