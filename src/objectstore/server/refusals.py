"""Failed logins in the log: from where and why, never what was sent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

_WINDOW: Final = 10.0  # seconds
_LINES: Final = 20  # of a window: whoever tries passwords by the thousand is not to fill the disk as well
_log: Final = logging.getLogger("objectstore.auth")


class Refusals:
    """Tells of the first refusal of each address in every ten seconds, and then how many more there were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = 0.0  # of the window, on `clock`
        self._told: set[str] = set()  # addresses, in this window
        self._untold = 0  # refusals, in this window

    def note(self, address: str | None, reason: str, level: int = logging.WARNING) -> None:
        """A request from there was refused. `address` None: it came by a Unix socket."""
        now = self._clock()
        if now >= self._end:
            self._begin(now)
        where = "a local socket" if address is None else address
        if where in self._told or len(self._told) >= _LINES:
            self._untold += 1
            return
        self._told.add(where)
        _log.log(level, "refused a request from %s: %s", where if where.isprintable() else ascii(where), reason)

    def _begin(self, now: float) -> None:
        if self._untold:
            _log.warning("refused %d more requests without a valid token, some from these addresses", self._untold)
        self._end = now + _WINDOW
        self._told.clear()
        self._untold = 0
