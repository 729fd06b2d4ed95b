"""Inside the server that is tortured: it kills itself at a step of the engine, and collects garbage soon.

Only `python -m objectstore.cli.tortured` calls this; what is shipped for serving knows nothing of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from objectstore.backends.engine.backend import EngineBackend

STEP_VARIABLE: Final = "OBJECTSTORE_TORTURE_STEP"  # as in after_rename:3:/path/of/a/file/to/count/in
GRACE_VARIABLE: Final = "OBJECTSTORE_TORTURE_GRACE"  # seconds


def arm(environment: Mapping[str, str]) -> None:
    """Have every engine that is opened from now on do what the environment says."""
    # The defaults of its parameters, since the code that makes engines has no other way in, and shall have none.
    defaults = EngineBackend.__init__.__kwdefaults__
    assert defaults is not None
    if grace := environment.get(GRACE_VARIABLE):
        defaults["grace"] = timedelta(seconds=float(grace))
    if armed := environment.get(STEP_VARIABLE):
        step, hit, counter = armed.split(":", 2)
        defaults["step"] = _killer(step, int(hit), counter)


def _killer(wanted: str, hit: int, counter: str) -> Callable[[str], None]:
    def step(name: str) -> None:
        # A byte for each hit of any process: they are counted by the size of the file.
        if name == wanted and _count(counter) == hit:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    return step


def _count(path: str) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, b".")
        # Where this byte went: other processes may have written after it.
        return os.lseek(fd, 0, os.SEEK_CUR)
    finally:
        os.close(fd)
