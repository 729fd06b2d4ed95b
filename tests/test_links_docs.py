"""docs/links.md tells the truth: what it shows runs as written, and it names every setting and member there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from objectstore.config.settings import Settings
from objectstore.server.schemas import LinkRecord, LinkRequest
from pages import DOCS, snippets
from peer import Server, running
from test_readme import environment

DOCUMENT = DOCS / "links.md"
TEXT = DOCUMENT.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("links"), "granian") as running_server:
        yield running_server


def test_every_snippet_runs_as_written(server: Server, tmp_path: Path) -> None:
    told = ""
    for snippet in snippets(DOCUMENT):
        command = ["bash", "-euo", "pipefail", "-c"] if snippet.language == "bash" else [sys.executable, "-c"]
        done = subprocess.run(
            [*command, snippet.text], cwd=tmp_path, env=environment(server), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        told += done.stdout
    assert told.count(f"{server.url}/objects/runs/2026/a.csv?link=1.GET.") == 3
    assert "measured\nmeas" in told
    assert server.ask("GET", "/objects/inbox/lab-7.csv").body == b"delivered\n"


def test_every_setting_and_member_is_named() -> None:
    for name in Settings.model_fields:
        if name.startswith("link_") or name == "public_url":
            assert f"| `{name.upper()}` |" in TEXT
    for name in LinkRequest.model_fields:
        assert re.search(rf"^\| `{name}` \|", TEXT, re.MULTILINE), name
    for name in LinkRecord.model_fields:
        assert f"`{name}`" in TEXT, name
