"""The examples of docs/library.md run as they are written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pages import DOCS, snippets

EXAMPLES = [one.text for one in snippets(DOCS / "library.md", "python")]


@pytest.mark.parametrize(("example", "printed"), [*zip(EXAMPLES, ["b'measured'\nruns/1\n", "100\n"], strict=True)])
def test_an_example_runs_as_written(example: str, printed: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", example]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, printed, "")
