"""The live display of many transfers, on a terminal."""

from __future__ import annotations

import os
import pty

from objectstore.cli.count import Count
from objectstore.cli.live import Live
from objectstore.cli.progress import PATIENCE


def test_it_appears_when_it_takes_long_and_shows_how_far_it_is() -> None:
    person, program = pty.openpty()
    now = 0.0
    with os.fdopen(person, "rb", buffering=0) as screen, os.fdopen(program, "w") as terminal:
        live = Live(terminal, lambda: now)
        live.update(Count(files=9, total=900, begun=0.0))
        # Nothing so far: what is written now comes first.
        terminal.write("|")
        terminal.flush()
        now = 2 * PATIENCE
        live.update(Count(files=10, total=1000, begun=0.0, bytes=500, done=5))
        live.close()
        terminal.flush()
        shown = b""
        while b"files" not in shown:
            shown += screen.read(4096)
    assert shown.startswith(b"|")
    assert b"5/10 files, 500 B of 1000 B" in shown
