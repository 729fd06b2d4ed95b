"""Each backend is measured in process, beside its bare medium."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench import backends, media
from bench.rows.backends import ROWS

ROOT = Path(__file__).parents[2]
ONLY = ("backend-get-1k", "backend-put-256m")
MISSING = [name for name in ("wrk", "curl", "taskset", "redis-server") if shutil.which(name) is None]


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_backends_and_media_are_measured_in_one_run(tmp_path: Path) -> None:
    names = ("engine", "zip", "redis-py-alone")
    command = [sys.executable, "-m", "bench", "--tiny", "--only", *ONLY, "--contestants", *names]
    command += ["--folder", str(tmp_path / "scratch"), "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [row["name"] for row in rows] == list(ONLY)
    for row in rows:
        measured = set(names) - ({"zip"} if "put" in row["name"] else set())
        assert row["figures"].keys() == measured
        for figure in row["figures"].values():
            [sample] = figure["samples"]
            assert sample["value"] > 0
            assert sample["peak"] > 2**20
    assert not list((tmp_path / "scratch").iterdir())


def test_every_store_of_the_file_is_measured() -> None:
    described = yaml.safe_load((ROOT / "bench" / "stores.yaml").read_text())["stores"]
    assert described.keys() == backends.STORES.keys()
    for row in ROWS:
        assert row.lanes.keys() | {"zip"} == backends.STORES.keys() | media.BARE.keys()
