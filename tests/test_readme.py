"""Every command and snippet of README.md is run as it is written, in the order in which it stands."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from objectstore.config.build import build
from objectstore.config.schema import load
from pages import ROOT, Snippet, snippets
from peer import Server, free_port, running, wait_until_healthy

# What runs until it is told to stop, by the first words of its line.
SERVERS = ("make serve", "objectstore serve", "DATA_DIR=./objectstore-data uvicorn")


def starts_a_server(snippet: Snippet) -> bool:
    return any(line.startswith(SERVERS) for line in snippet.text.splitlines())


README = snippets(ROOT / "README.md")
SERVING = [one for one in README if one.language == "bash" and starts_a_server(one)]
RUNNING = [one for one in README if one.language in {"bash", "python"} and not starts_a_server(one)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("readme")) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def environment(server: Server) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "OBJECTSTORE_URL": server.url, "OBJECTSTORE_TOKEN": server.token}


@pytest.mark.parametrize("snippet", RUNNING, ids=str)
def test_a_snippet_runs_as_written(snippet: Snippet, server: Server, folder: Path) -> None:
    command = (
        ["bash", "-euo", "pipefail", "-c"] if snippet.language == "bash" else [sys.executable, "-W", "error", "-c"]
    )
    done = subprocess.run(
        [*command, snippet.text], cwd=folder, env=environment(server), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout.lower()


def test_there_are_snippets_of_every_kind() -> None:
    assert len(SERVING) == 3
    assert {one.language for one in README} == {"bash", "python", "json", "yaml"}


@pytest.mark.parametrize("snippet", [one for one in README if one.language == "json"], ids=str)
def test_json_is_json(snippet: Snippet) -> None:
    assert set(json.loads(snippet.text)) == {"error"}


@pytest.mark.parametrize("snippet", [one for one in README if one.language == "yaml"], ids=str)
def test_a_storage_yaml_is_accepted(snippet: Snippet, tmp_path: Path) -> None:
    file = tmp_path / "storage.yaml"
    file.write_text(snippet.text)
    backend = build(load(file, {"HOST_STORAGE_PATH": str(tmp_path)}))
    assert backend.capabilities.persistent


@pytest.mark.slow
@pytest.mark.parametrize("snippet", SERVING, ids=str)
def test_a_server_starts_as_written(snippet: Snippet, tmp_path: Path) -> None:
    """In a folder of its own, with what `pip install` of the README puts into a fresh environment."""
    port = free_port()
    programs = Path(sys.executable).parent
    for line in snippet.text.splitlines():
        if line == "make test":
            # It is what runs this; here only that there is such a target.
            subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, check=True, capture_output=True)
        elif line.startswith("pip install"):
            programs = _install(line, tmp_path)
        elif line.startswith("make"):
            told = _serve(f"{line} PORT={port} DATA={tmp_path / 'objectstore-data'}", ROOT, programs, port)
            _check_welcome(told, port)
        else:
            assert line.startswith(SERVERS)
            told = _serve(line.replace("8000", str(port)), tmp_path, programs, port)
            if line.startswith("objectstore"):
                _check_welcome(told, port)
    assert (tmp_path / "objectstore-data" / "FORMAT").exists()


def _check_welcome(told: str, port: int) -> None:
    assert re.search(r"^token: os_\S+$", told, re.MULTILINE), told
    assert f"http://127.0.0.1:{port}" in told


def _install(line: str, folder: Path) -> Path:
    """Carry out a `pip install` in an environment of its own; its folder of programs."""
    home = folder / "venv"
    venv.create(home, with_pip=True)
    environment = os.environ | {"PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment, check=True, capture_output=True)
    return home / "bin"


def _serve(line: str, folder: Path, programs: Path, port: int) -> str:
    """Start a server, wait until it answers, stop it; what it printed."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec env {line}"],
        cwd=folder,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_until_healthy(process, port)
        os.killpg(process.pid, signal.SIGTERM)
        told, _ = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return told.decode()
