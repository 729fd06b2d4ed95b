"""The conformance suite against a server over HTTP takes minutes: of its parametrized tests a sample is run.

A class of tests says so by `one_in`; `heavy` are left out too, `impossible` ones always.
OBJECTSTORE_WHOLE_SUITE=1 runs them all, which is what a change of the cloud backends is to be checked with.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    whole = bool(os.environ.get("OBJECTSTORE_WHOLE_SUITE"))
    seen: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        tests, name = getattr(item, "cls", None), item.name.partition("[")[0]
        out = set(getattr(tests, "impossible", ()))
        if not whole:
            out |= set(getattr(tests, "heavy", ()))
        turn = 0 if whole else seen[f"{tests}{name}"] % getattr(tests, "one_in", 1)
        seen[f"{tests}{name}"] += 1
        (left if name in out or turn else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept
