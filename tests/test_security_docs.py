"""What docs/security.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

from fuzz.targets import TARGETS
from objectstore.config.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "security.md").read_text()


def test_every_promise_names_a_test_that_is_there() -> None:
    rows = TEXT.partition("## What is promised")[2].partition("**Comparisons.**")[0].splitlines()
    promises = [row.split("|")[2] for row in rows if row.startswith("| ") and "promise |" not in row]
    assert len(promises) > 10
    for told in promises:
        named = re.findall(r"`([a-z0-9/_]+(?:\.py)?)`", told)
        assert named, told
        for name in named:
            assert any((folder / name).exists() for folder in (ROOT / "tests", ROOT / "src" / "objectstore", ROOT)), (
                name
            )


def test_every_setting_that_is_named_is_one() -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"`([A-Z][A-Z_]{5,})(?:=\w+)?`", TEXT)) <= known


def test_every_target_that_is_named_is_one() -> None:
    named = re.findall(r'TARGETS="([^"]+)"', TEXT + (ROOT / "Makefile").read_text())
    assert named
    assert {one for text in named for one in text.split()} <= TARGETS.keys()


def test_reports_have_a_page() -> None:
    assert "docs/security.md" in (ROOT / "SECURITY.md").read_text()
