"""What operators run beside a living server, and whatever becomes of it: `check`, `info`, `backup`, `restore`.

They open the same files, take the same locks and may be the last to close them. So they must find nothing wrong, and
harm nothing: that is what the next look at every key tells.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections import Counter
from itertools import cycle
from typing import Final

from objectstore.testing.servergroup import tail
from objectstore.testing.torture.server import Place
from objectstore.testing.torture.zygote import Zygote

_PATIENCE: Final = 180.0  # seconds
_POLL: Final = 0.005  # seconds


class Visits:
    """One at a time, each another command, as forks of `zygote`: the start would take longer than the visit."""

    def __init__(self, place: Place, zygote: Zygote) -> None:
        self._zygote = zygote
        self._log = place.folder / "visit.log"
        self._restored = place.folder / "restored"
        backup = place.folder / "backup"
        commands = (
            ("check", place.data),
            ("info", "--data", place.data),
            ("backup", backup, "--data", place.data, "--quiet"),
            ("check", place.data, "--deep"),
            ("restore", backup, "--data", self._restored, "--deep", "--quiet"),
        )
        self._turns = cycle([[str(word) for word in command] for command in commands])
        self._command: list[str] = []
        self._process: int | None = None  # that is not over
        self.ended: Counter[str] = Counter()  # by the name of the command

    def begin(self) -> None:
        """Start the next one, unless the last is not over."""
        if self._process is None:
            self._command = next(self._turns)
            shutil.rmtree(self._restored, ignore_errors=True)
            self._log.write_bytes(b"")
            self._process = self._zygote.start(self._command, {}, self._log)

    def look(self) -> str | None:
        """What was wrong with one that is over; None: nothing, or nobody knows yet."""
        code = None if self._process is None else self._zygote.poll(self._process)
        if code is None:
            return None
        self._process = None
        self.ended[self._command[0]] += 1
        return f"{self._named()} ended with {code}: {tail(self._log).strip()}" if code else None

    def wait(self) -> str | None:
        """Until none is under way; what was wrong."""
        deadline = time.monotonic() + _PATIENCE
        while self._process is not None:
            if (wrong := self.look()) is not None:
                return wrong
            if time.monotonic() > deadline:
                return f"{self._named()} does not come to its end: {tail(self._log).strip()}"
            time.sleep(_POLL)
        return None

    def kill(self) -> None:
        """End the one that is under way."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process, signal.SIGKILL)
            self._zygote.wait(self._process)
            self._process = None

    def _named(self) -> str:
        return f"objectstore {' '.join(self._command)}, beside the server,"
