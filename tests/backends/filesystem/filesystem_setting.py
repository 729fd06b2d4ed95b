"""What the tests of the filesystem backend share."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.reading import read_all
from objectstore.values import Attributes, ListQuery, ObjectInfo, PutOptions

T = TypeVar("T")

HIDDEN: Final = ".objectstore"
ATTRIBUTED: Final = PutOptions(
    attributes=Attributes(content_type="text/plain", cache_control="no-cache", metadata={"colour": "blå"})
)


def with_backend(root: Path, use: Callable[[FilesystemBackend], Awaitable[T]], *, carry_records: bool = True) -> T:
    """What `use` makes of a backend that is open on `root`."""

    async def run() -> T:
        async with FilesystemBackend(root, carry_records=carry_records) as backend:
            return await use(backend)

    return asyncio.run(run())


async def read(backend: FilesystemBackend, key: str) -> tuple[ObjectInfo, bytes]:
    async with backend.get(key) as reading:
        return reading.info, await read_all(reading)


async def all_keys(backend: FilesystemBackend) -> list[str]:
    return list((await backend.list(ListQuery(limit=1000))).keys)


def files_under(folder: Path) -> list[str]:
    """Paths of all that is no folder, relative to `folder`, our own locks left out."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(str(path) for path in found if "locks" not in path.parts)


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
