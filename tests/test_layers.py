"""The folders are the architecture: a row of the table imports only rows above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "objectstore"

# From the ground up; names in one row know nothing of each other.
ROWS: tuple[tuple[str, ...], ...] = (
    ("errors", "sockets"),
    ("values",),
    ("core",),
    ("wire",),
    ("client", "auth"),
    ("backends",),
    ("wrappers", "ratelimit"),
    ("config",),
    ("transfer", "library"),
    ("s3", "server"),
    ("fsspec", "zarr", "app", "testing"),
    ("cli",),
    ("__main__", "auth_tokens"),
)
RANK = {name: rank for rank, row in enumerate(ROWS) for name in row}
# Faces of the package: what they offer is imported when it is asked for.
FACES = {"__init__", "__version__"}
FORBIDDEN = {("backends", "auth"), ("auth", "backends"), ("wrappers", "auth")}


def _layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imported_layers(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports name their package in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("objectstore.")}
    return found


MODULES = sorted(path for path in ROOT.rglob("*.py") if _layer(path) not in FACES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_layers_above_its_own(path: Path) -> None:
    layer = _layer(path)
    assert layer in RANK, f"{layer} has no place in the table"
    for imported in _imported_layers(path) - {layer} - FACES:
        assert RANK[imported] < RANK[layer], f"{layer} must not import {imported}"
        assert (layer, imported) not in FORBIDDEN, f"{layer} must not know {imported}"
