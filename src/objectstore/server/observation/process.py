"""What the operating system says of this process."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import Final

from objectstore.server.observation import families

_STAT: Final = Path("/proc/self/stat")
_STATM: Final = Path("/proc/self/statm")
_FILES: Final = "/proc/self/fd"
_THREADS: Final = 17  # which field after the name counts them: proc(5)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")  # bytes
STARTED: Final = time.time()  # as good as: this is imported with the application


def cpu_seconds() -> float:
    """Used until now, by user code and by the system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def levels() -> dict[str, float]:
    """By the name of the metric; without what this operating system does not tell."""
    found = {families.MOST_FILES.name: float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])}
    with contextlib.suppress(OSError):
        virtual, resident = _STATM.read_bytes().split()[:2]
        found[families.VIRTUAL.name] = int(virtual) * _PAGE
        found[families.MEMORY.name] = int(resident) * _PAGE
        found[families.THREADS.name] = float(_STAT.read_bytes().rpartition(b")")[2].split()[_THREADS])
        found[families.OPEN_FILES.name] = float(len(os.listdir(_FILES)))  # noqa: PTH208  names are all it takes
    return found
