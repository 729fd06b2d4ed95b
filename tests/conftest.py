"""Settings that every test shares."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# The machine may be busy: no single example is failed for being slow.
settings.register_profile("project", deadline=None)
# The same examples each time: what is covered is no matter of luck.
settings.register_profile("coverage", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("project")

# Who runs the tests in the background of a shell has Ctrl-C ignored, which every program they start would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start hundreds of programs of ours: with this set, each would compile once more all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
