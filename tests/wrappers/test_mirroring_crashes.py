"""A server that dies while it writes to a mirror leaves it right, and able to say what a store has missed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.errors import NotFound, Unavailable
from objectstore.testing.suite.harness import LARGE, keys, read, sample
from objectstore.wrappers.mirroring import Mirroring
from objectstore.wrappers.mirroring.marks import UPLOADS
from wrappers.mirrored import Leaving, findings, marked

OLD = sample(LARGE, 1)
NEW = sample(LARGE, 2)

# Writes or deletes, and stops for good where it is told to; whoever reads that it has kills it.
DYING = """
    import asyncio, sys
    from pathlib import Path
    from objectstore.backends.engine.backend import EngineBackend
    from objectstore.backends.filesystem import FilesystemBackend
    from objectstore.testing.suite.harness import LARGE, chunked, sample
    from objectstore.wrappers.forwarding import Forwarding
    from objectstore.wrappers.mirroring import Mirroring

    folder, action, fatal = sys.argv[1:]

    async def come_to(step):
        if step == fatal:
            print(step, flush=True)
            await asyncio.Event().wait()

    class Stopping(Forwarding):
        def __init__(self, inner, name):
            super().__init__(inner)
            self.name = name

        async def changed(self, key, call):
            mine = key == "key"
            if action == "delete" and mine:
                await come_to(f"before {self.name}")
            result = await call
            if mine:
                await come_to(f"after {self.name}")
            return result

        async def put(self, key, body, *options):
            return await self.changed(key, super().put(key, self.body(key, body), *options))

        async def body(self, key, body):
            # The last chunk is given out when it is this child's turn.
            if isinstance(body, bytes):
                yield body
                return
            held = None
            async for chunk in body:
                if held is not None:
                    yield held
                held = chunk
            if key == "key":
                await come_to(f"before {self.name}")
            yield held

        async def delete(self, key, *conditions):
            await self.changed(key, super().delete(key, *conditions))

    async def main():
        first = Stopping(EngineBackend(Path(folder, "first")), "first")
        second = Stopping(FilesystemBackend(Path(folder, "second")), "second")
        async with Mirroring([first, second]) as mirror:
            if action == "put":
                await mirror.put("key", chunked(sample(LARGE, 2)))
            else:
                await mirror.delete("key")

    asyncio.run(main())
"""


def kill_at(folder: Path, action: str, step: str) -> None:
    script = "\n".join(line.removeprefix("    ") for line in DYING.splitlines())
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder), action, step], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
        assert said == f"{step}\n"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Mirroring, Leaving]]:
    """The mirror, and its first child."""
    first = Leaving(EngineBackend(folder / "first"))
    async with Mirroring([first, FilesystemBackend(folder / "second")]) as mirror:
        yield mirror, first


def prepare(folder: Path) -> None:
    async def fill() -> None:
        async with opened(folder) as (mirror, _):
            await mirror.put("key", OLD)

    asyncio.run(fill())


STEPS = ["before first", "after first", "before second", "after second"]


@pytest.mark.parametrize(
    ("step", "exists"), [*((step, True) for step in STEPS), ("before first", False), ("after first", False)]
)
def test_a_write_that_was_killed_is_old_or_new_and_never_old_again(tmp_path: Path, step: str, *, exists: bool) -> None:
    if exists:
        prepare(tmp_path)
    kill_at(tmp_path, "put", step)

    async def look() -> None:
        async with opened(tmp_path) as (mirror, first):
            if step == "before first":
                if exists:
                    assert await read(mirror, "key") == OLD
                else:
                    with pytest.raises(NotFound):
                        await read(mirror, "key")
            else:
                assert await read(mirror, "key") == NEW
            first.leave()
            with pytest.raises(Unavailable):
                await read(mirror, "key")
            first.come_back()
            found = await findings(mirror)
            stale = step in {"after first", "before second"}
            assert found == [("stale" if stale else "unfinished", "key", False)]
            assert [done for _, _, done in await findings(mirror, deep=True, repair=True)] == [True]
            assert await findings(mirror, deep=True) == []
            first.leave()
            if step != "before first":
                assert await read(mirror, "key") == NEW
            elif exists:
                assert await read(mirror, "key") == OLD

    asyncio.run(look())


@pytest.mark.parametrize("step", STEPS)
def test_a_deletion_that_was_killed_is_done_or_not_and_never_undone(tmp_path: Path, step: str) -> None:
    prepare(tmp_path)
    kill_at(tmp_path, "delete", step)

    async def look() -> None:
        async with opened(tmp_path) as (mirror, first):
            if step == "before first":
                assert await read(mirror, "key") == OLD
            else:
                with pytest.raises(NotFound):
                    await read(mirror, "key")
                assert await keys(mirror) == []
            first.leave()
            with pytest.raises(Unavailable):
                await read(mirror, "key")
            first.come_back()
            assert len(await findings(mirror, repair=True)) == 1
            assert await findings(mirror) == []
            second = mirror.children[1].backend
            assert await keys(second) == (["key"] if step == "before first" else [])

    asyncio.run(look())


def test_the_next_write_makes_good_what_a_killed_one_left(tmp_path: Path) -> None:
    prepare(tmp_path)
    kill_at(tmp_path, "put", "after first")

    async def look() -> None:
        async with opened(tmp_path) as (mirror, first):
            await mirror.put("key", b"next")
            assert [await marked(child.backend) for child in mirror.children] == [0, 0]
            assert await findings(mirror, deep=True) == []
            assert await keys(mirror.children[0].backend, UPLOADS) == []
            first.leave()
            assert await read(mirror, "key") == b"next"

    asyncio.run(look())
