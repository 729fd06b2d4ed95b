"""Every backend does at random what the model does."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from backend_table import BACKENDS
from objectstore.testing.machine import machine

pytestmark = pytest.mark.slow

# The stores that all others stand on are tried longest; a wrapper adds little to what may go wrong in them.
FOUNDATIONS: Final = frozenset({"memory", "engine", "filesystem"})
# The same steps at every run: a failure is one of the change at hand, not of chance.
SETTINGS: Final = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_does_as_the_model(name: str) -> None:
    chosen = settings(SETTINGS, max_examples=60) if name in FOUNDATIONS else SETTINGS
    run_state_machine_as_test(machine(BACKENDS[name]), settings=chosen)
