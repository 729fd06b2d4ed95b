"""docs/reference is what the docstrings say now, and leaves out nothing that is public."""

from __future__ import annotations

import re

import pytest

import objectstore
from objectstore.client.aio import AsyncRestStore
from objectstore.client.sync import RestStore
from pages import DOCS
from tools.reference import FOLDER, PAGES, pages
from tools.sources import docstring, find, members, module

WRITTEN = pages()


def test_the_pages_are_what_the_docstrings_say() -> None:
    there = {page.name: page.read_text() for page in FOLDER.glob("*.md")}
    stale = sorted(name for name in {*there, *WRITTEN} if there.get(name) != WRITTEN.get(name))
    assert not stale, f"run `make docs`: it would change {', '.join(stale)} of {FOLDER.relative_to(DOCS.parent)}"


def test_every_public_name_is_told_of() -> None:
    for name in objectstore.__all__:
        row = re.search(rf"^\| \[`{name}`\]\(\S+\) \| (.*) \|$", WRITTEN["objectstore.md"], re.MULTILINE)
        assert row, name
        assert row[1], f"{name} has no docstring"


@pytest.mark.parametrize("client", [RestStore, AsyncRestStore])
def test_every_method_of_the_clients_has_its_words(client: type) -> None:
    for name in dir(client):
        if not name.startswith("_"):
            entry = WRITTEN["client.md"].partition(f"\n### {client.__name__}.{name}\n")[2].partition("\n##")[0]
            assert entry.partition("```python")[2].partition("```")[2].strip(), f"{client.__name__}.{name}"


def test_everything_public_has_a_docstring() -> None:
    for page in PAGES:
        for name in module(page.module).exported():
            found = find(page.module, name)
            if found is not None and page.module != "objectstore.values":  # which has constants for inside
                assert docstring(found), f"{page.module}.{name}"


def test_what_is_made_by_the_package_alone_shows_no_constructor() -> None:
    assert "def __init__" not in WRITTEN["client.md"]
    assert "def __init__" in WRITTEN["zarr.md"]


def test_a_class_has_the_methods_of_its_bases() -> None:
    found = find("objectstore", "RestStore")
    assert found is not None
    names = [one.name for one in members(found)]
    assert {"put", "upload_dir"} <= {*names}
    assert len(names) == len({*names})
