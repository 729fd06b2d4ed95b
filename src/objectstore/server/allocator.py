"""The memory that the C library keeps of what was given back to it.

glibc gives each thread an arena of its own, eight for each core, and each keeps what was once used in it. Bodies go
through a dozen threads, of which the interpreter lets one at a time ask for memory: one arena serves them as well,
and a busy server holds 10 to 15 MB less.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

_ARENA_MAX: Final = -8  # of mallopt(3)


def share_one_arena() -> None:
    """Have the threads started from now on use the memory that others gave back; nothing where that is not glibc's.

    MALLOC_ARENA_MAX in the environment goes before it.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
