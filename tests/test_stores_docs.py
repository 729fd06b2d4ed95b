"""docs/stores.md and the pages of docs/stores: their tables are those of the code, their YAML is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from objectstore.config.build import build
from objectstore.config.catalogue import ABILITIES, Described, capabilities_of, markdown
from objectstore.config.schema import load_all
from objectstore.config.types import TYPES
from pages import DOCS, snippets

INDEX = DOCS / "stores.md"
# Two backends are old enough to have pages of their own beside the folder.
PAGES = [*sorted((DOCS / "stores").glob("*.md")), DOCS / "engine.md", DOCS / "filesystem.md"]
READ = [INDEX, *PAGES, DOCS / "migration.md", DOCS / "library.md"]
BEGIN, END = "<!-- tables of objectstore config types --markdown -->", "<!-- end of tables -->"
_VARIABLE = re.compile(r"\$\{(\w+)")


BLOCKS = [
    pytest.param(one.text, id=f"{page.relative_to(DOCS)}:{one.line}") for page in READ for one in snippets(page, "yaml")
]


def dummy(name: str) -> str:
    """Something for a variable, as its name suggests."""
    if "REDIS" in name:
        return "redis://127.0.0.1:1/0"
    if "URL" in name or "ENDPOINT" in name:
        return "http://127.0.0.1:1"
    return "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=" if "SECRET" in name else "dummy"


@pytest.mark.parametrize("text", BLOCKS)
def test_the_yaml_of_a_page_is_accepted(text: str, tmp_path: Path) -> None:
    if "stores:" not in text:
        pytest.fail(f"write a whole storage.yaml, with stores and main, that a reader can take as it is:\n{text}")
    file = tmp_path / "storage.yaml"
    file.write_text(text)
    described = load_all(file, {name: dummy(name) for name in _VARIABLE.findall(text)})
    if not any(one.type.foreign for one in described.stores.values()):
        for config in described.stores.values():
            build(config)


@pytest.mark.parametrize("page", [*PAGES], ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_has_a_yaml_that_works(page: Path) -> None:
    if page.parent == DOCS / "stores":
        assert snippets(page, "yaml"), f"docs/stores/{page.name} shows no storage.yaml"


@pytest.mark.parametrize("name", [one.names[0] for one in TYPES])
def test_a_type_has_a_page(name: str) -> None:
    naming = [page.name for page in PAGES if re.search(rf"\b{name}\b", page.read_text())]
    assert naming, f"{name}: no page in docs/stores names it"


def test_the_tables_are_those_of_the_code() -> None:
    text = INDEX.read_text()
    shown = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    told = "\n".join(markdown([Described(one, capabilities_of(one)) for one in TYPES]))
    assert shown == told, "docs/stores.md: put what 'objectstore config types --markdown' prints between the markers"


@pytest.mark.parametrize("name", ABILITIES)
def test_what_a_store_can_do_is_explained(name: str) -> None:
    explained = INDEX.read_text().partition("## What a store can do")[2].partition("## ")[0]
    assert f"`{name}`" in explained, f"docs/stores.md does not explain the capability {name}"


def test_the_index_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w./-]+\.md)\)", INDEX.read_text()))
    missing = {str(page.relative_to(DOCS)) for page in PAGES} - linked
    assert not missing, f"docs/stores.md has no link to {', '.join(sorted(missing))}"
    for link in linked:
        assert (DOCS / link).exists(), f"docs/stores.md links to {link}, which is not there"


def test_what_every_type_can_do_is_known_here() -> None:
    # All that is optional is installed where the tests run.
    unknown = [one.names[0] for one in TYPES if capabilities_of(one) is None]
    assert not unknown, f"{', '.join(unknown)}: not built from samples of its required parameters"
