"""The fuzz targets hold for their corpus, and for what a bounded run comes up with."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz.checks import attempt, holds
from fuzz.targets import CORPUS, TARGETS, corpus

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_that_is_kept_passes(name: str) -> None:
    inputs = corpus(name)
    assert inputs
    for path in inputs:
        TARGETS[name](path.read_bytes())


def test_every_corpus_has_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_the_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 100_000


def test_a_target_fails_for_another_error_and_for_what_does_not_hold() -> None:
    assert attempt(lambda: int("x"), ValueError) is None
    with pytest.raises(ValueError, match="invalid"):
        attempt(lambda: int("x"), KeyError)
    with pytest.raises(AssertionError):
        holds(False, "shown")


@pytest.mark.skipif(find_spec("atheris") is None, reason="there is no atheris for this Python")
def test_a_bounded_run_finds_nothing(tmp_path: Path) -> None:
    # A number of inputs and a seed, not a time: what it finds does not depend on how busy the machine is.
    command = [sys.executable, "-m", "fuzz", "--runs", "3000", "--seconds", "60", "--seed", "1"]
    told = {"PYTHONPATH": str(ROOT), "PATH": "", "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-10_000:]
    assert done.stdout.count("--- ") == len(TARGETS)
    assert "nothing found" in done.stdout
    assert not list(tmp_path.iterdir())
