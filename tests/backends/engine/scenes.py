"""What the tests of the engine share: what a store holds, which files it has, and processes that die on cue."""

from __future__ import annotations

import asyncio
import os
import resource
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from objectstore.backends import reading
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.values import ListQuery, Part

SMALL = b"a small body"
LARGE = bytes(range(256)) * 1200  # above the inline limit, not above what is written at once
HUGE = bytes(range(255)) * 8000  # written in several blocks
CRASHED = 77

Act: TypeAlias = Callable[[EngineBackend], Awaitable[None]]


async def stream(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """The bytes as a body of unknown length."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(backend: EngineBackend, key: str) -> bytes:
    async with backend.get(key) as opened:
        return await reading.read_all(opened)


@dataclass(frozen=True, repr=False)
class Contents:
    """All that a caller can see."""

    objects: dict[str, bytes]
    uploads: dict[str, tuple[tuple[int, int, bytes], ...]]

    def __repr__(self) -> str:
        # Of what it has run to its end, `asyncio.run` asks for this four times. Megabytes would take their time.
        return f"Contents({ {key: len(body) for key, body in self.objects.items()} }, {self.uploads})"


async def contents(backend: EngineBackend) -> Contents:
    page = await backend.list(ListQuery(limit=1000))
    objects = {key: await read(backend, key) for key in page.keys}
    unfinished = (await backend.uploads.list()).uploads
    uploads = {one.key: _parts((await backend.uploads.get(one.upload_id)).parts) for one in unfinished}
    return Contents(objects, uploads)


def seen(root: Path) -> Contents:
    """What a store that is opened for that has in it."""

    async def look() -> Contents:
        async with EngineBackend(root) as backend:
            return await contents(backend)

    return asyncio.run(look())


def _parts(parts: tuple[Part, ...]) -> tuple[tuple[int, int, bytes], ...]:
    return tuple((part.number, part.size, part.digests["sha-256"]) for part in parts)


def blob_files(root: Path) -> set[str]:
    """The names of all files that hold bodies, in their place or on their way there."""
    found = [*(root / "blobs").glob("*/*"), *(root / "staging").glob("*/*")]
    return {path.name for path in found if path.is_file() and path.suffix != ".batch"}


def index_rows(root: Path, query: str) -> list[tuple[object, ...]]:
    """What plain SQLite finds in the index."""
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection:
        return connection.execute(query).fetchall()


def named_blobs(root: Path) -> set[str]:
    """The blobs that objects and parts name."""
    query = "SELECT blob FROM objects WHERE blob IS NOT NULL UNION SELECT blob FROM parts WHERE blob IS NOT NULL"
    return {str(blob) for (blob,) in index_rows(root, query)}


def garbage(root: Path) -> set[str]:
    """The blobs that wait to be unlinked."""
    return {str(blob) for (blob,) in index_rows(root, "SELECT blob FROM garbage")}


def assert_sound(root: Path) -> None:
    """Of a store that nobody has open: every byte is accounted for, and every body is what was written."""
    named = named_blobs(root)
    # What is unlinked already may still be struck out later.
    assert named <= blob_files(root) <= named | garbage(root)
    assert not named & garbage(root)
    assert list((root / "staging").iterdir()) == []
    assert list(check(root, deep=True)) == []


def in_child(act: Callable[[int], None]) -> tuple[int, bytes]:
    """Run `act` in a forked process, with a file descriptor for what it has to say; its exit code, and that."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(hear)
            act(say)
            code = 0
        finally:
            _lift_limits()
            os._exit(code)
    os.close(say)
    with os.fdopen(hear, "rb") as heard:
        said = heard.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said


def _lift_limits() -> None:
    # Whoever measures what was run writes that down at the end.
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (most, most))


def run_until_step(root: Path, act: Act, hit: int, **options: object) -> tuple[int, bool]:
    """Open the store, act, close; dying at the `hit`th step. The exit code, and whether the act was acknowledged."""
    steps: Iterator[int] = iter(range(hit + 1))

    def step(_name: str) -> None:
        if next(steps, hit) == hit:
            os._exit(CRASHED)

    async def run(say: int) -> None:
        async with EngineBackend(root, step=step, **options) as backend:  # type: ignore[arg-type]  # options are of the test
            await act(backend)
            os.write(say, b"acknowledged")

    code, said = in_child(lambda say: asyncio.run(run(say)))
    return code, said == b"acknowledged"
