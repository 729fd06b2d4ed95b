"""What shells complete, by the scripts that they are given."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.served import Served, environment, invoke

ASKING = """
eval "$(objectstore completion bash)"
for COMP_LINE in "$@"; do
    COMP_POINT=${#COMP_LINE}
    _objectstore_completion objectstore
    echo "${COMPREPLY[*]}"
done
"""


def completed(env: dict[str, str], *lines: str) -> list[str]:
    """What bash offers at the end of each of the lines."""
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-c", ASKING, "bash", *lines],
        env={**env, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_completes_options_and_keys(server: Served) -> None:
    for key in ("complete/a 1", "complete/b/2", "complete/b/3"):
        assert server.command("put", "-", key, stdin=b"x").returncode == 0
    found = completed(
        server.environment(),
        "objectstore sync --dry",
        "objectstore cat complete/",
        "objectstore cp os:complete/b",
        "objectstore cp x o",
    )
    assert found == ["--dry-run", r"complete/a\ 1 complete/b/", "complete/b/", "os:"]


def test_a_server_that_is_away_only_offers_nothing() -> None:
    assert completed(environment(OBJECTSTORE_URL="http://127.0.0.1:1"), "objectstore cat a") == [""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str, tmp_path: Path) -> None:
    script = invoke("completion", shell).stdout
    assert b"_OBJECTSTORE_COMPLETE" in script
    (tmp_path / "script").write_bytes(script)
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=60)
