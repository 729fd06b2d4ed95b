"""Settings that every test shares."""

from __future__ import annotations

from hypothesis import settings

# The machine may be busy: no single example is failed for being slow.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
