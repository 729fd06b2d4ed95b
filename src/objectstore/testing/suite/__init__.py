"""The tests of the conformance suite, a file a subject."""

from __future__ import annotations

import pkgutil

import pytest

# Outside of test files pytest explains a failed assert only where it is told to, before the first import.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
