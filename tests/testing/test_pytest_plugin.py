"""The fixture as users have it: in a run of pytest of their own; and every example of docs/testing.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import objectstore.testing
from pages import DOCS, run_in_order, snippets

PAGE = DOCS / "testing.md"
TEXT = PAGE.read_text()
BLOCKS = snippets(PAGE, "python")
STRICT = """
[pytest]
strict = true
filterwarnings = error
addopts = --import-mode=importlib -p no:cacheprovider
"""
# Plugins of what else is installed, which take a while to import.
OTHERS = ("anyio", "hypothesispytest", "pyreqwest", "schemathesis", "timeout", "xdist", "xdist.looponfail", "zarr")
LAZY = """
import sys

BEFORE = set(sys.modules)  # of all tests, since this one is collected first

def test_nobody_who_asks_for_nothing_imports_a_server():
    assert "objectstore.testing.plugin" in BEFORE
    for name in ("uvicorn", "fastapi", "objectstore.client", "httpx2"):
        assert name not in BEFORE, name
"""


def _pytest(folder: Path, files: Mapping[str, str]) -> str:
    (folder / "pytest.ini").write_text(STRICT)
    for name, text in files.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", *(f"-pno:{name}" for name in OTHERS)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_examples_of_the_documentation_run_and_nothing_is_imported_before(tmp_path: Path) -> None:
    tests = {f"test_{block.line}.py": block.text for block in BLOCKS if "def test_" in block.text}
    assert tests
    told = _pytest(tmp_path, {"test_00.py": LAZY, **tests})
    assert f"{TEXT.count('def test_') + 1} passed" in told


def test_the_other_examples_run() -> None:
    assert list(run_in_order(block for block in BLOCKS if "def test_" not in block.text))


def test_everything_is_told_of() -> None:
    for name in {*objectstore.testing.__all__} - {"ObjectStoreServer", "Proxy", "Rule", "SeenRequest"}:
        assert f"`{name}(" in TEXT or f"({name}(" in TEXT or f" {name}\n" in TEXT or f".{name}`" in TEXT, name
    server = objectstore.testing.ObjectStoreServer
    for name in vars(server):
        if not name.startswith("_"):
            assert f"server.{name}" in TEXT, name
    for name in vars(objectstore.testing.Proxy):
        if not name.startswith("_"):
            assert f"proxy.{name}" in TEXT, name
