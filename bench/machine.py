"""The machine that was measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from pathlib import Path

from bench.processes import LOAD_CORES, SERVER_CORES


def describe(folder: Path) -> dict[str, str]:
    """What a reader of the figures wants to know of this machine; `folder` is on the disk that is used."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()}; servers on {_cores(SERVER_CORES)}, load on {_cores(LOAD_CORES)}",
        "memory": f"{memory / 2**30:.0f} GiB",
        "disk": _disk(folder),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load": f"{os.getloadavg()[0]:.2f} when it began",
    }


def _cores(cores: tuple[int, ...]) -> str:
    return "core " + ", ".join(map(str, cores))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _disk(folder: Path) -> str:
    done = subprocess.run(["df", "--output=fstype,source", folder], check=False, capture_output=True, text=True)
    return " on ".join(done.stdout.splitlines()[-1].split()) if done.returncode == 0 else "unknown"
