"""The list of the changes that no test notices, docs/mutants.md."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from tools import mutants
from tools.mutants import LAYERS, main
from tools.survivors import ROOT, Change, changes, listed, plain


def test_every_listed_change_has_a_heading_and_is_of_code_that_exists() -> None:
    sources: dict[str, list[str]] = {}
    for change, reason in listed().items():
        assert reason, change
        module, _, function = change.place.partition(" ")
        assert any(module.startswith(one.partition("*")[0]) for layer in LAYERS for one in layer.modules), change
        lines = sources.setdefault(change.place, _lines(module, function))
        assert lines, f"no such function: {change.place}"
        assert change.removed or change.added, change
        assert set(change.removed) <= set(lines), f"not in the code any more, take it from the list:\n{change}"


def _lines(module: str, function: str) -> list[str]:
    text = (ROOT / "src/objectstore" / module).read_text(encoding="utf-8")
    body: list[ast.stmt] = ast.parse(text).body
    *owners, name = function.split(".")
    for owner in owners:
        (found,) = (one for one in body if isinstance(one, ast.ClassDef) and one.name == owner)
        body = found.body
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name:
            return [plain(line) for line in text.splitlines()[one.lineno - 1 : one.end_lineno]]
    return []


def test_every_module_of_core_wire_and_engine_is_changed_once() -> None:
    base = ROOT / "src/objectstore"
    named = [one for layer in LAYERS for pattern in layer.modules for one in base.glob(pattern)]
    there = {one for folder in ("core", "wire", "backends/engine") for one in (base / folder).glob("*.py")}
    assert there - set(named) == {base / "backends/engine/steps.py", base / "backends/engine/__init__.py"}
    assert len(named) == len(set(named))


PAGE = """
## Same

Because.

```diff
@@ core/a.py f @@
-x = 1
+x = 2
@@ core/a.py A.g @@
-if x:
-y()
```

## Other

```diff
@@ core/b.py f @@
-1
+2
```
"""


def test_the_page_is_read_change_by_change() -> None:
    assert listed(PAGE) == {
        Change("core/a.py f", ("x = 1",), ("x = 2",)): "Same",
        Change("core/a.py A.g", ("if x:", "y()"), ()): "Same",
        Change("core/b.py f", ("1",), ("2",)): "Other",
    }
    with pytest.raises(ValueError, match="listed twice"):
        listed(PAGE + PAGE)
    assert str(next(iter(listed(PAGE)))) in PAGE


@pytest.mark.parametrize(
    ("removed", "added", "same"),
    [
        ('execute("SELECT a FROM b", x)', 'execute("select a from b", x)', True),
        ('execute("DELETE FROM b", X)', 'execute("DELETE FROM B", X)', True),
        ('execute("SELECT a FROM b", X)', 'execute("SELECT a FROM b", x)', False),
        ("""execute("SELECT 'a' FROM b")""", """execute("SELECT 'A' FROM B")""", False),
        ('execute("SELECT a FROM b")', 'execute("XXSELECT a FROM bXX")', False),
        ('x.decode("latin-1")', 'x.decode("LATIN-1")', True),
        ('x.decode("utf-8", "replace")', 'x.decode("UTF-8", "replace")', True),
        ('x.decode("utf-8", "replace")', 'x.decode("utf-8", "REPLACE")', False),
        ('f("a")', 'f("A")', False),
    ],
)
def test_what_differs_in_case_alone_may_be_the_same(removed: str, added: str, same: bool) -> None:
    assert Change("core/a.py f", (removed,), (added,)).only_case == same


MUTATED = '''
def x_f__mutmut_orig(a):
    """Text."""
    return f(a - 1)

def x_f__mutmut_1(a):
    """Text."""
    return f(a + 1)

class A:
    async def xǁAǁ_g__mutmut_orig(self):
        await a(
            1,  # why
        )

    async def xǁAǁ_g__mutmut_12(self):
        await a(
            None,  # why
        )
'''


def test_what_a_mutant_changes_is_found_in_what_mutmut_wrote() -> None:
    names = ["objectstore.core.a.x_f__mutmut_1", "objectstore.core.a.xǁAǁ_g__mutmut_12"]
    assert changes("core/a.py", MUTATED, names) == {
        names[0]: Change("core/a.py f", ("return f(a - 1)",), ("return f(a + 1)",)),
        names[1]: Change("core/a.py A._g", ("1,",), ("None,",)),
    }
    assert changes("core/a.py", MUTATED, []) == {}


def test_a_survivor_that_is_not_listed_is_told_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutants, "STATE", tmp_path)
    assert main(["--show"]) == 0, "nothing is known yet"
    written = tmp_path / "core/mutants/src/objectstore/core/a.py"
    written.parent.mkdir(parents=True)
    written.write_text(MUTATED)
    outcomes: dict[str, int | None] = {
        "objectstore.core.a.x_f__mutmut_1": 1,
        "objectstore.core.a.xǁAǁ_g__mutmut_12": None,
    }
    meta = written.with_name("a.py.meta")
    meta.write_text(json.dumps({"exit_code_by_key": outcomes}))
    assert main(["--show", "core"]) == 0
    meta.write_text(json.dumps({"exit_code_by_key": outcomes | {"objectstore.core.a.xǁAǁ_g__mutmut_12": 0}}))
    capsys.readouterr()
    assert main(["--show"]) == 1
    told = capsys.readouterr().out
    assert "no test notices:\n@@ core/a.py A._g @@\n-1,\n+None,\n" in told
    assert "core: 2 in all" in told
    assert "0 noticed by mypy, 1 noticed by a test, 1 survive without a reason\n" in told
    with pytest.raises(SystemExit):
        main(["--show", "cores"])
