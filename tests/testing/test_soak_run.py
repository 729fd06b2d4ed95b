"""`objectstore soak`, for real: a sound server passes, and one with a defect does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.served import invoke
from objectstore.cli import exits
from objectstore.testing.soak import report
from objectstore.testing.soak.run import Options, run
from objectstore.testing.soak.workload import parse_sizes

BROKEN = (sys.executable, str(Path(__file__).with_name("broken_server.py")))


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_a_sound_server_passes(server: str, tmp_path: Path) -> None:
    folder = tmp_path / "soak"
    command = [sys.executable, "-m", "objectstore", "soak", "--seconds", "6", "--idle", "200", "--active", "20"]
    command += ["--restart-at", "3", "--server", server, "--clients", "1", "--idle-timeout", "2", "--seed", "1"]
    command += ["--data", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, (done.stdout, done.stderr)
    told = json.loads(done.stdout)
    assert (told["wrong"], told["restarts"], told["verified"]) == ([], 1, 80)
    assert told["requests"] > 50
    assert min(told["idle_ended"], told["idle_asked"], told["received"]) > 0
    assert not (folder / report.FILE).exists()


@pytest.mark.parametrize(
    ("defects", "restart_at", "wrong"),
    [
        ("deletes nothing,forgets connections", None, ["wrong status", "files are open"]),
        ("ends at once", 1.0, ["cut short"]),
    ],
)
def test_a_server_with_a_defect_is_caught(
    defects: str, restart_at: float | None, wrong: list[str], tmp_path: Path
) -> None:
    options = Options(
        command=(*BROKEN, defects),
        folder=tmp_path / "soak",
        seed=1,
        seconds=3,
        sizes=parse_sizes("100,4KiB,100KiB"),
        idle=20,
        active=20,
        clients=1,
        server="uvicorn",
        restart_at=restart_at,
        settling=2.0,
    )
    outcome = run(options)
    for kind in wrong:
        assert any(kind in one for one in outcome.wrong), outcome.wrong
    told = json.loads(report.write(outcome).read_text())
    assert told["wrong"] == outcome.wrong
    assert "requests answered in" in report.lines(outcome)[0]


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    refused = invoke("soak", "--seconds", "1", "--data", str(tmp_path))
    assert (refused.returncode, b"not empty" in refused.stderr) == (exits.USAGE, True)
    refused = invoke("soak", "--sizes", "large", "--data", str(tmp_path))
    assert (refused.returncode, b"--sizes" in refused.stderr) == (exits.USAGE, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
