"""The stories of docs/cookbook are lived through as they are written, beside a real server.

Those of pandas and zarr are in `files/test_fsspec_users.py`, where what they take is imported already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from objectstore.testing import ObjectStoreServer, serve
from pages import DOCS, notebook_cells, run_cells, run_in_folder, snippets

FOLDER = DOCS / "cookbook"


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStoreServer]:
    with serve() as one:
        yield one


@pytest.fixture
def environment(server: ObjectStoreServer, tmp_path: Path) -> Mapping[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "OBJECTSTORE_URL": server.url,
        "OBJECTSTORE_TOKEN": server.token,
    }


@pytest.mark.parametrize(("name", "commands"), [("pipeline", 4), ("backup", 5), ("tests", 1)])
def test_a_page_works_to_the_letter(name: str, commands: int, tmp_path: Path, environment: Mapping[str, str]) -> None:
    # Of the plugins that are installed here only ours is wanted: the others take seconds.
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p objectstore.testing.plugin -p no:cacheprovider\n")
    assert run_in_folder(FOLDER / f"{name}.md", tmp_path, environment) == commands


@pytest.fixture
def notebook_folder(tmp_path: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


def test_the_notebook_runs(notebook_folder: Path, server: ObjectStoreServer) -> None:
    given = run_cells(notebook_cells(FOLDER / "notebook.ipynb"))
    assert repr(given[0]) == f"<RestStore {server.url}>"
    assert {"hours": 1000, "mean": 12.03} in given
    assert given[-6:] == [{"hours": 1000, "mean": 12.03}, True, 960, 40, True, None]
    assert (notebook_folder / "north.csv").stat().st_size == server.store.head("tides/raw/north.csv").size


def test_the_notebook_is_kept_without_outputs() -> None:
    text = (FOLDER / "notebook.ipynb").read_text()
    assert '"output_type"' not in text
    assert "os_" not in text.replace("os_…", "")


def test_the_page_beside_the_notebook_runs(
    notebook_folder: Path, server: ObjectStoreServer, capsys: pytest.CaptureFixture[str]
) -> None:
    given = run_cells(snippets(FOLDER / "notebook.md", "python"))
    assert repr(given[0]) == f"<RestStore {server.url}>"
    assert capsys.readouterr().out == "All is well.\n"
    assert (notebook_folder / "again.bin").read_bytes() == bytes(1_000_000)
