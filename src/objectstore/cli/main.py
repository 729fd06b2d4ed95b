"""The console script."""

from __future__ import annotations

import gc
import io
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> NoReturn:
    """`objectstore …`, as installed. Ends the process."""
    try:
        from objectstore.cli import exits
        from objectstore.cli.application import app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("objectstore"):
            raise
        sys.exit(f"objectstore: the command line needs {error.name}: pip install 'objectstore[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)

    def terminate(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(exits.TERMINATED)

    # A download that is told to end removes what it has half written, as on Ctrl-C.
    signal.signal(signal.SIGTERM, terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Keys are UTF-8, whatever the locale; what is not even that is shown as escapes.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    code = exits.run(app, sys.argv[1:])
    # All of it goes with the process: to look through it for cycles once more takes a sixth of a short command.
    gc.freeze()
    sys.exit(code)
