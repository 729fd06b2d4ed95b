"""The folder that a test of a server works in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workplace(data: Path | None, name: str) -> Iterator[Path]:
    """`data`, or a temporary folder, which goes when the command is told to end."""
    if data is not None:
        yield data
        return
    folder = Path(tempfile.mkdtemp(prefix=f"objectstore-{name}-"))
    try:
        yield folder
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder)
        raise
