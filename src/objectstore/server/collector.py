"""Python's collector of reference cycles, told what it need not look through."""

from __future__ import annotations

import gc
from typing import Final

# Each request under way holds some forty objects. The default of 700 has them looked through with every group of
# writes that wait for one commit: at 32 connections that takes up to 2 % of their processor time, and finds nothing.
UNTIL: Final = 10_000  # objects more than there were


def spare() -> None:
    """Let what is there now, which stays to the end, be looked through no more, and what comes less often.

    A threshold that somebody else has set is kept when it is higher, or 0, which is never.
    """
    gc.collect()
    keep()
    youngest, *older = gc.get_threshold()
    if 0 < youngest < UNTIL:
        gc.set_threshold(UNTIL, *older)


def keep() -> None:
    """The same of what has come since, without looking through it, which would hold up requests."""
    gc.freeze()
