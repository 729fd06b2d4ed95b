"""Every Python block of the documentation of transfers runs, one after the other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import objectstore
import objectstore.client
from client.both import TOKEN
from objectstore import RestStore
from objectstore.client.transfers.files import ObjectWriter
from objectstore.client.transfers.jobs import Report
from objectstore.client.transfers.partfile import SUFFIX
from objectstore.client.transfers.sync import Transfers
from objectstore.testing import serve
from pages import DOCS, run_against

DOCUMENT = DOCS / "transfers.md"
TEXT = DOCUMENT.read_text()


@pytest.fixture
def url() -> Iterator[str]:
    with serve(token=TOKEN) as server:
        yield server.url


def test_every_block_runs(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "results" / "day").mkdir(parents=True)
    (tmp_path / "results" / "day" / "one.txt").write_text("one")
    store = run_against(url, TOKEN, DOCUMENT)["store"]
    assert isinstance(store, RestStore)
    assert store.get("table.csv") == b"station,value\r\nnorth,3\r\n"
    store.close()
    told = capsys.readouterr().out
    for line in (
        "1000000 of 1000000 bytes",
        "1 stored",
        "a/2 3",
        "a/3 failed:",
        "b/1 1000000",
        "Ended",
        "All is well.",
    ):
        assert line in told
    assert (tmp_path / "copy.bin").read_bytes() == bytes(1_000_000)
    assert (tmp_path / "copy-of-results" / "day" / "one.txt").read_text() == "one"
    assert (tmp_path / "new" / "folder" / "one").read_bytes() == b"one"


def test_every_method_and_option_is_told_of() -> None:
    for cls in (Transfers, Report, ObjectWriter):
        for name, member in vars(cls).items():
            if not name.startswith("_") and inspect.isfunction(member):
                known = {"tell", "writable", "flush", "add"}  # of every file; of the report, not for users
                assert f"`{name}" in TEXT or f".{name}(" in TEXT or name in known, name
    for function in (Transfers.upload, Transfers.download, Transfers.upload_dir, Transfers.open):
        for option, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and option != "on_event":
                assert f"`{option}=" in TEXT, option


def test_names_and_errors_that_are_told_of_are_there() -> None:
    assert f"`.NAME{SUFFIX}`" in TEXT
    for name in re.findall(r"`([A-Z]\w+)`", TEXT):
        builtin = name in {"BlockingIOError", "IsADirectoryError", "OSError", "None", "True"}
        assert builtin or hasattr(objectstore, name) or hasattr(objectstore.client, name), name
