"""Whatever is kept from a check says why, beside the line."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "bench", "fuzz", "tools", "docs")

# What follows the mark has to begin with a word.
_LINT = re.compile(r"# noqa(?P<codes>: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*)?(?P<reason>  \S.*)?")
_TYPES = re.compile(r"# type: ignore(?P<codes>\[[a-z, -]+\])?(?P<reason>  # \S.*)?")
_COVERAGE = re.compile(r"# pragma: no (cover|branch)(?P<reason>  \S.*)?")


@cache
def lines(folder: str) -> list[tuple[str, str]]:
    """Each line that keeps something from a check, after the place where it stands."""
    return [
        (f"{path.relative_to(ROOT)}:{number}", line)
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if "# noqa" in line or "# type:" in line or "# pragma" in line
    ]


def without_reason(pattern: re.Pattern[str], *folders: str) -> list[str]:
    return [
        place
        for folder in folders
        for place, line in lines(folder)
        for found in pattern.finditer(line)
        if not found["reason"]
    ]


def test_what_the_linter_is_kept_from_has_a_reason() -> None:
    assert without_reason(_LINT, *FOLDERS) == []


def test_what_the_type_checker_is_kept_from_has_a_reason() -> None:
    # Tests call what is typed with what is not meant, and say so by that.
    assert without_reason(_TYPES, "src", "bench", "tools") == []


def test_what_coverage_is_kept_from_has_a_reason() -> None:
    assert without_reason(_COVERAGE, *FOLDERS) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (_LINT, "x = 1  # noqa: S101"),
        (_LINT, "x = 1  # noqa"),
        (_TYPES, "x = 1  # type: ignore[misc]"),
        (_COVERAGE, "x = 1  # pragma: no cover"),
    ],
)
def test_a_mark_alone_is_found(pattern: re.Pattern[str], line: str) -> None:
    (found,) = pattern.finditer(line)
    assert not found["reason"]


def test_each_rule_that_is_off_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    rules = tomllib.loads(text)["tool"]["ruff"]["lint"]
    named = {*rules["ignore"], *(rule for some in rules["per-file-ignores"].values() for rule in some)}
    section = text.partition("[tool.ruff.lint]")[2].partition("[tool.ruff.lint.pydocstyle]")[0]
    told = {
        rule
        for line in section.splitlines()
        if re.search(r"\] # \w|, # \w", line)
        for rule in re.findall(r'"([A-Z]+[0-9]*)"', line)
    }
    assert named - told == set()
    assert "ALL" in rules["select"]
