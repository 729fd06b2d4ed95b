"""`objectstore torture`, for real: a sound engine passes, and one with a defect does not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from objectstore.backends.engine import steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.cli import exits
from objectstore.testing.torture import disk, report
from objectstore.testing.torture.kills import After, Kill
from objectstore.testing.torture.run import Options, run
from testing.broken_engines import DEFECTS

pytestmark = pytest.mark.slow

BROKEN = (sys.executable, str(Path(__file__).with_name("broken_engines.py")))


@pytest.mark.slow
def test_a_sound_engine_passes(tmp_path: Path) -> None:
    folder = tmp_path / "torture"
    command = [sys.executable, "-m", "objectstore", "torture", "--kills", "4", "--seed", "1", "--clients", "2"]
    command += ["--server", "granian", "--workers", "2", "--data", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, (done.stdout, done.stderr)
    told = json.loads(done.stdout)
    assert (told["seed"], told["kills"], told["violations"], told["undecided"]) == (1, 4, 0, 0)
    assert told["kills_by_step"][steps.AFTER_FORMAT] == told["kills_by_step"][steps.AFTER_INDEX] == 1
    assert sum(told["kills_by_step"].values()) == 4
    assert told["operations"] > 50
    assert told["visits"] == {"check": 1}
    assert not (folder / report.FILE).exists()


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_an_engine_with_a_defect_is_caught(defect: str, tmp_path: Path) -> None:
    folder = tmp_path / "torture"
    # Mostly the first round shows it and is the last; on a busy machine there may be little in a short one.
    # What is left over shows at the end.
    rounds = (1.0,) if "never collected" in defect else (0.5, 0.5, 0.5, 2.0, 2.0, 5.0, 5.0)
    plan: list[Kill] = [After(seconds) for seconds in rounds]
    options = Options(
        command=(*BROKEN, defect), folder=folder, seed=5, plan=plan, clients=1, threads=8, server="uvicorn", quiet=2.0
    )
    outcome = run(options)
    assert outcome.violations
    told = json.loads(report.write(outcome).read_text())
    assert told["violations"][0]["message"] == outcome.violations[0].message
    assert (folder / "data" / "FORMAT").exists(), "what was found can be looked at"


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    command = [sys.executable, "-m", "objectstore", "torture", "--kills", "1", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == exits.USAGE
    assert "not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_file_that_nothing_names_is_unaccounted_for(tmp_path: Path) -> None:
    async def write() -> None:
        async with EngineBackend(tmp_path) as backend:
            await backend.put("large", bytes(100_000))

    asyncio.run(write())
    assert disk.look(tmp_path) == []
    assert disk.room(tmp_path).blobs == 100_000
    (tmp_path / "blobs" / "ab").mkdir(exist_ok=True)
    (tmp_path / "blobs" / "ab" / "abandoned").write_bytes(b"x")
    (tmp_path / "leftover").write_bytes(b"x")
    wrong = disk.look(tmp_path)
    assert any("leftover" in line for line in wrong)
    assert any("abandoned" in line for line in wrong)
    assert disk.room(tmp_path).files_besides == 1
