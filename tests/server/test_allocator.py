"""Threads of a server share the memory that they give back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Each thread takes memory while all others live, so that none gets the arena of one that has ended.
SCRIPT = """
import sys, threading
from objectstore.server.allocator import share_one_arena
if sys.argv[1] == "shared":
    share_one_arena()
barrier = threading.Barrier(5)
def work():
    held = [bytes(1000 + number) for number in range(500)]
    barrier.wait(30)
    barrier.wait(30)
for _ in range(4):
    threading.Thread(target=work).start()
barrier.wait(30)
starts = [int(line.partition("-")[0], 16) for line in open("/proc/self/maps")]
print(sum(start % (64 << 20) == 0 for start in starts))  # where glibc puts the arenas of threads
barrier.wait(30)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has arenas")
@pytest.mark.parametrize(("how", "least", "most"), [("each", 4, 99), ("shared", 0, 1)])
def test_threads_have_one_arena(how: str, least: int, most: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True, timeout=60)
    assert least <= int(done.stdout) <= most
