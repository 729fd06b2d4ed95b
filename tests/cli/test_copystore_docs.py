"""docs/copy-store.md tells the truth: its file, its code and its options are those that there are."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
import typer

from cli.served import environment, invoke
from objectstore.backends.engine.backend import EngineBackend
from objectstore.cli.application import app
from objectstore.config.address import resolve
from objectstore.testing.suite.harness import keys
from pages import DOCS, run_in_order, snippets

PAGE = DOCS / "copy-store.md"
TEXT = PAGE.read_text()


def fill(folder: Path, *names: str) -> None:
    async def put() -> None:
        async with EngineBackend(folder) as backend:
            for name in names:
                await backend.put(name, b"x")

    asyncio.run(put())


def held(folder: Path) -> list[str]:
    async def listed() -> list[str]:
        async with EngineBackend(folder) as backend:
            return await keys(backend)

    return asyncio.run(listed())


def test_the_file_works_with_the_command_beside_it(tmp_path: Path) -> None:
    (tmp_path / "storage.yaml").write_text(snippets(PAGE, "yaml")[0].text)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"1")
    assert "objectstore copy-store old new --config storage.yaml\n" in TEXT
    env = environment(OLD_FILES=str(tmp_path / "files"), NEW_DATA=str(tmp_path / "data"))
    done = invoke("copy-store", "old", "new", "--config", "storage.yaml", cwd=tmp_path, env=env)
    assert done.returncode == 0, done
    assert held(tmp_path / "data") == ["a"]


def test_the_code_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "data", "photos/1", "other")
    assert list(run_in_order(snippets(PAGE, "python")))
    assert held(tmp_path / "copy") == ["photos/1"]


def test_the_kinds_of_addresses_are_those_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = TEXT[TEXT.index("| FROM, TO | |") : TEXT.index("Behind a `?`")]
    shown = [one for one in re.findall(r"`([^` ]+)`", table) if re.search(r"://[^…]|^\.?/", one)]
    assert len(shown) >= 7
    for address in shown:
        assert resolve(address, None, {}).name


def test_every_option_is_named() -> None:
    command = typer.main.get_command(app).commands["copy-store"]  # type: ignore[attr-defined]  # a group has them
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--") and option not in {"--help", "--quiet"}:
                assert f"{option}" in TEXT, option
