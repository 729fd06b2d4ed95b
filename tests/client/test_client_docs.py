"""Every Python block of the clients' documentation runs, one after the other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import objectstore
from client.both import TOKEN
from objectstore import RestStore
from objectstore.testing import serve
from pages import DOCS, run_in_order, snippets

DOCUMENT = DOCS / "client.md"
TEXT = DOCUMENT.read_text()


@pytest.fixture
def url() -> Iterator[str]:
    with serve(token=TOKEN) as server:
        yield server.url


def test_every_block_runs(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    stores: list[RestStore] = []
    replaced = {"http://localhost:8000": url, "your-api-key": TOKEN}
    for _, names in run_in_order(snippets(DOCUMENT, "python"), replaced):
        store = names.get("store")
        if isinstance(store, RestStore) and store not in stores:
            stores.append(store)
    for store in stores:
        store.close()
    told = capsys.readouterr().out
    assert "Hello, World!" in told
    assert "our copy is current" in told
    assert "Object not found: no object under the key 'nonexistent-key'" in told
    assert (tmp_path / "copy.bin").read_bytes() == bytes(1_000_000)


def test_every_method_and_error_is_told_of() -> None:
    for name in vars(RestStore):
        if not name.startswith("_"):
            assert f"`{name}" in TEXT or f".{name}(" in TEXT, name
    for option in inspect.signature(RestStore.create).parameters:
        assert f"{option}=" in TEXT, option


def test_every_error_that_is_told_of_is_there() -> None:
    table = TEXT.partition("## Errors")[2].partition("```")[0]
    for name in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for error in re.findall(r"`(\w+)`", name):
            assert hasattr(objectstore, error) or error in {"KeyError", "NotImplementedError"}, error
