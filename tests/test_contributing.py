"""docs/contributing.md names every check there is, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "contributing.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_target_is_named_and_every_name_is_a_target() -> None:
    (line,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", TEXT)) == set(line.split()) - {"help"}


def test_every_file_that_is_named_is_there() -> None:
    named = set(re.findall(r"(?:tests|\.ci)/[\w./-]*\w", TEXT))
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


def test_ci_runs_what_the_page_says() -> None:
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
    recipe = MAKEFILE.partition("\ntest: ")[2].partition("\n\n")[0]
    order = [recipe.index(step) for step in ("check", "install-system-packages", "coverage", "pytest")]
    assert order == sorted(order)


def test_coverage_looks_at_the_engine_the_contract_and_the_rules() -> None:
    settings = (ROOT / "pyproject.toml").read_text().partition("[tool.coverage.run]")[2]
    assert "branch = true" in settings
    assert "fail_under = 100\n" in settings
    for folder in ("backends/engine", "core", "wire"):
        assert f'"src/objectstore/{folder}"' in settings
