"""Processes that are let loose on one store at the same moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

# Counts up in one object by conditional puts, as often as it is told to, and creates what it can.
COUNTING = """
import asyncio, sys
from pathlib import Path
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.reading import read_all
from objectstore.backends.sqlite import SqliteBackend
from objectstore.errors import AlreadyExists, PreconditionFailed
from objectstore.values import ONLY_IF_ABSENT, Conditions, PutOptions

async def increase(backend):
    while True:
        async with backend.get("counter") as reading:
            count = int(await read_all(reading))
        same = Conditions(if_match=(reading.info.etag,))
        try:
            await backend.put("counter", b"%d" % (count + 1), PutOptions(conditions=same))
        except PreconditionFailed:
            continue
        return

async def main():
    created = 0
    async with eval(sys.argv[1]) as backend:
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(int(sys.argv[2])):
            await asyncio.gather(increase(backend), increase(backend))
            try:
                await backend.put(f"new/{number}", b"", PutOptions(conditions=ONLY_IF_ABSENT))
                created += 1
            except AlreadyExists:
                pass
    print(created)

asyncio.run(main())
"""


def race(script: str, *runners: Sequence[str]) -> list[int]:
    """The number that each prints at its end: the script once for each row of arguments.

    It says that it is ready, and goes on when it is told a line, which is when all of them are.
    """
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for arguments in runners
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    results = [int(one.communicate(timeout=120)[0]) for one in running]
    assert [one.returncode for one in running] == [0] * len(running)
    return results
