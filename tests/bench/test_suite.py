"""The suite measures real servers, and tells what it cannot measure; nobody is judged by the figures here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("wrk", "curl", "taskset") if shutil.which(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


def bench(*arguments: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == expected, done.stderr
    return done


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a short run."""
    folder = tmp_path_factory.mktemp("bench")
    rows = ("get-1k", "put-1k", "delete", "get-1g", "put-1g", "page-10k", "batch-delete")
    contestants = ("granian", "nginx", "sqlite-alone", "engine-alone")
    options = ("--tiny", "--folder", str(folder / "scratch"), "--json", str(folder / "found.json"))
    told = bench(*options, "--only", *rows, "--contestants", *contestants).stdout
    assert "PUT 1 KiB, 32 connections" in told
    assert "2.0 of nginx DAV" in told
    assert not list((folder / "scratch").iterdir())
    return folder / "found.json"


def rows_of(path: Path) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(path.read_text())["rows"]}


def test_every_contestant_that_is_there_is_measured(run: Path) -> None:
    found = rows_of(run)
    assert set(found["put-1k"]["figures"]) | set(found["put-1k"]["missing"]) == {"granian", "nginx", "engine-alone"}
    for row in found.values():
        for name, figure in row["figures"].items():
            for sample in figure["samples"]:
                assert sample["value"] > 0, (row["name"], name)
                assert sample["command"], (row["name"], name)


def test_what_it_costs_the_server_is_measured(run: Path) -> None:
    [sample] = rows_of(run)["put-1k"]["figures"]["granian"]["samples"]
    assert 0 < sample["cpu"] < 1  # seconds for a request: anything more is a miscount
    assert sample["peak"] > 2**20


def test_a_run_tells_where_and_of_what_it_was(run: Path) -> None:
    told = json.loads(run.read_text())
    assert told["versions"]["granian"].startswith("objectstore ")
    assert {"processor", "cores", "memory", "disk", "python"} <= told["machine"].keys()
    assert " serve " in told["commands"]["granian"]
    assert "os_" not in run.read_text()  # no token


def test_the_page_shows_every_row_and_needs_nothing_from_elsewhere(run: Path) -> None:
    page = run.with_suffix(".html").read_text()
    for name in rows_of(run):
        assert f"id={name}>" in page
    assert page.count("<svg") == len(rows_of(run))
    assert "src=" not in page
    assert "<link" not in page


def test_an_unknown_row_is_refused() -> None:
    assert "there is no row 'nothing'; there are get-1k," in bench("--only", "nothing", expected=2).stderr
