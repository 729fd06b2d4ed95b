"""What several tests of the engine need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")  # noqa: S108  where it is
ROOM = 256 * 1024 * 1024  # bytes


@pytest.fixture(scope="session")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that writes down what a process writes, syncs and names."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("what is written and synced is traced by a library that needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("tracer") / "tracer.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library)]
    subprocess.run([*command, str(HERE / "tracer.c"), "-ldl"], check=True)
    return library


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes system calls on some files fail."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("shim") / "failing_disk.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library)]
    subprocess.run([*command, str(HERE / "failing_disk.c"), "-ldl"], check=True)
    return library


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder where a sync costs nothing, if there is one: for disks that are only looked at."""
    if not MEMORY.is_dir() or os.statvfs(MEMORY).f_bavail * os.statvfs(MEMORY).f_frsize < ROOM:
        yield tmp_path
        return
    with TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)
