"""Public names of the package and what their source says of them, read without importing anything."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

SOURCES = Path(__file__).parent.parent / "src"

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = Function | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Module:
    name: str  # dotted
    text: str
    tree: ast.Module

    @property
    def docstring(self) -> str:
        return (ast.get_docstring(self.tree, clean=False) or "").strip()

    def statements(self) -> Iterator[ast.stmt]:
        """Those at the top, and under `if TYPE_CHECKING:` and `try:` there."""
        waiting: list[ast.stmt] = [*reversed(self.tree.body)]
        while waiting:
            one = waiting.pop()
            yield one
            if isinstance(one, ast.If | ast.Try):
                waiting.extend(reversed(one.body))

    def exported(self) -> list[str]:
        """The names in `__all__`; without one, all that are made here and have no underscore."""
        for one in self.statements():
            if isinstance(one, ast.Assign) and _name(one) == "__all__":
                names: list[str] = ast.literal_eval(one.value)
                return names
        names = [_name(one) for one in self.statements() if isinstance(one, Definition)]
        return [name for name in names if not name.startswith("_")]

    def lines(self, node: ast.stmt) -> str:
        """What stands there, with the comments at the ends of its lines."""
        lines = self.text.splitlines()[node.lineno - 1 : node.end_lineno]
        return textwrap.dedent("\n".join(lines))


@dataclass(frozen=True)
class Found:
    """A name with the module that defines it; `node` is the last definition, after those of its overloads."""

    name: str
    module: Module
    node: Definition
    overloads: Sequence[Function] = ()


@cache
def module(name: str) -> Module:
    path = SOURCES.joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = path.read_text()
    return Module(name, text, ast.parse(text))


@cache
def find(where: str, name: str) -> Found | None:
    """What `name` is in the module `where`, wherever it was imported from; None when that is another package."""
    place = module(where)
    last: Found | None = None
    overloads: list[Function] = []
    for one in place.statements():
        if isinstance(one, ast.ImportFrom):
            for alias in one.names:
                if (alias.asname or alias.name) == name:
                    ours = (one.module or "").split(".")[0] == "objectstore"
                    return find(one.module or "", alias.name) if ours else None
        elif isinstance(one, Definition) and _name(one) == name:
            if isinstance(one, Function) and _is_overload(one):
                overloads.append(one)
            last = Found(name, place, one, tuple(overloads))
    return last


def members(found: Found) -> list[Found]:
    """The public methods and properties of a class, then those of its bases in this package."""
    if not isinstance(found.node, ast.ClassDef):
        return []
    known: dict[str, Found] = {}
    overloads: dict[str, list[Function]] = {}
    for one in found.node.body:
        if isinstance(one, Function) and not one.name.startswith("_"):
            if _is_overload(one):
                overloads.setdefault(one.name, []).append(one)
            elif not any(ast.unparse(mark).endswith((".setter", ".deleter")) for mark in one.decorator_list):
                known[one.name] = Found(one.name, found.module, one, tuple(overloads.get(one.name, ())))
    for base in found.node.bases:
        parent = find(found.module.name, ast.unparse(base)) if isinstance(base, ast.Name) else None
        if parent is not None and isinstance(parent.node, ast.ClassDef):
            for one_found in members(parent):
                known.setdefault(one_found.name, one_found)
    return list(known.values())


def docstring(found: Found) -> str:
    """That of a class or function; that which stands under a constant."""
    if isinstance(found.node, ast.ClassDef | Function):
        return ast.get_docstring(found.node) or ""
    body = list(found.module.statements())
    after = body[body.index(found.node) + 1 : body.index(found.node) + 2]
    if after and isinstance(after[0], ast.Expr) and isinstance(after[0].value, ast.Constant):
        return textwrap.dedent(str(after[0].value.value))
    return ""


def _is_overload(node: Function) -> bool:
    return any(ast.unparse(mark) == "overload" for mark in node.decorator_list)


def _name(node: Definition) -> str:
    if isinstance(node, ast.ClassDef | Function):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return target.id if isinstance(target, ast.Name) else "_"
