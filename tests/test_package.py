"""The built wheel: what a user installs."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
_CLIENT_ALONE = """
import sys
from objectstore import AsyncRestStore, RestStore
store = RestStore.create("http://127.0.0.1:9", "token")
store.close()
server_side = {"fastapi", "uvicorn", "granian", "pydantic", "typer", "yaml"}
assert not server_side & set(sys.modules)
"""


@pytest.mark.slow
def test_the_bare_install_is_the_client(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = wheels.glob("objectstore-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, capture_output=True)
    subprocess.run([python, "-W", "error", "-c", _CLIENT_ALONE], cwd=tmp_path, check=True)
    for command in (["-m", "objectstore", "--help"], ["-m", "objectstore.auth_tokens", "list"]):
        ended = subprocess.run([python, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode != 0
        assert "objectstore[cli]" in ended.stderr
        assert "Traceback" not in ended.stderr
    files = subprocess.run(
        [python, "-m", "pip", "show", "--files", "objectstore"], check=True, capture_output=True, text=True
    ).stdout
    assert "py.typed" in files
    assert "LICENSE" in files
