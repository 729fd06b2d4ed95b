"""The whole road on real files: in, listed, read back, half deleted; killed while writing, and all there again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from objectstore import AsyncRestStore
from objectstore.errors import NotFound, ObjectStoreError
from peer import add_token, command_for, free_port, wait_until_healthy

pytestmark = pytest.mark.slow

CONCURRENCY = 16
WRITES_BEFORE_THE_KILL = 400
T = TypeVar("T")
ROOT = Path(sysconfig.get_paths()["stdlib"])


@dataclass(frozen=True)
class Launcher:
    """Starts a server over one data folder, again and again."""

    folder: Path
    port: int
    token: str
    command: tuple[str, ...]

    @contextlib.contextmanager
    def start(self) -> Iterator[subprocess.Popen[bytes]]:
        environment = {"DATA_DIR": str(self.folder / "data"), "AUTH_TOKENS_FILE": str(self.folder / "tokens.json")}
        with (self.folder / "server.log").open("ab") as log:
            # A session of its own, so that workers can be killed along with their parent.
            process = subprocess.Popen(
                self.command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until_healthy(process, self.port)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def client(self) -> AsyncRestStore:
        return AsyncRestStore.create(f"http://127.0.0.1:{self.port}", self.token, max_retries=0)


@pytest.fixture(params=["uvicorn objectstore.app:app", "objectstore serve --workers 2"])
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Launcher:
    port = free_port()
    token = add_token(tmp_path / "tokens.json", "proof")
    if request.param.startswith("uvicorn"):
        command = command_for("uvicorn", port)
    else:
        flags = ["--data", str(tmp_path / "data"), "--port", str(port), "--workers", "2"]
        command = [sys.executable, "-m", "objectstore", "serve", *flags, "--tokens", str(tmp_path / "tokens.json")]
    return Launcher(tmp_path, port, token, tuple(command))


def files_of_this_python() -> dict[str, Path]:
    """Files of the standard library by key: some thousands, empty ones and large ones, with all their odd names."""
    found = {}
    for folder, _, names in os.walk(ROOT):
        if "site-packages" in Path(folder).parts:
            continue
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                found[f"python/{path.relative_to(ROOT).as_posix()}"] = path
    return found


def sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


async def for_each(items: Iterable[T], act: Callable[[T], Awaitable[None]]) -> None:
    """Do `act` to each item, CONCURRENCY at a time."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await act(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(worker())


@pytest.mark.slow
def test_files_go_in_are_listed_read_back_and_deleted(launcher: Launcher) -> None:
    files = files_of_this_python()
    assert len(files) > 1000
    with launcher.start():
        asyncio.run(_files(launcher, files))


async def _files(launcher: Launcher, files: dict[str, Path]) -> None:
    async with launcher.client() as store:

        async def put(key: str) -> None:
            await store.put(key, files[key])

        async def compare(key: str) -> None:
            data = await store.get(key)
            assert hashlib.sha256(data).digest() == sha256(files[key]), key

        await for_each(files, put)
        in_order = sorted(files, key=str.encode)
        assert [key async for key in store.keys("python/")] == in_order
        await _compare_folders(store, files)
        await for_each(files, compare)
        gone = in_order[::2]
        await for_each(gone, store.delete)
        assert [key async for key in store.keys()] == in_order[1::2]
        for key in gone[:20]:
            with pytest.raises(KeyError):
                await store.get(key)


async def _compare_folders(store: AsyncRestStore, files: dict[str, Path]) -> None:
    """Walk the store by delimiter and the disk by folder: level by level they show the same."""
    folders = ["python/"]
    while folders:
        prefix = folders.pop()
        names: set[str] = set()
        cursor: str | None = None
        while True:
            page = await store.list(prefix=prefix, delimiter="/", limit=1000, cursor=cursor)
            names |= {*page.keys, *page.prefixes}
            folders += page.prefixes
            cursor = page.next_cursor
            if cursor is None:
                break
        below = {key.removeprefix(prefix) for key in files if key.startswith(prefix)}
        on_disk = {prefix + name.partition("/")[0] + ("/" if "/" in name else "") for name in below}
        assert names == on_disk, prefix


@pytest.mark.slow
def test_what_was_acknowledged_before_a_kill_is_whole_after_it(launcher: Launcher) -> None:
    acknowledged: dict[str, bytes] = {}
    attempted: dict[str, bytes] = {}
    with launcher.start() as process:
        asyncio.run(_write_until_killed(launcher, process.pid, attempted, acknowledged))
    with launcher.start():
        asyncio.run(_compare_all(launcher, attempted, acknowledged))
    assert len(acknowledged) >= WRITES_BEFORE_THE_KILL
    # The kill came in the middle of something, or this would show nothing.
    assert len(attempted) > len(acknowledged)


async def _write_until_killed(
    launcher: Launcher, group: int, attempted: dict[str, bytes], acknowledged: dict[str, bytes]
) -> None:
    """New objects, small and large, from many tasks until every one of them fails."""
    enough = asyncio.Event()

    async with launcher.client() as store:

        async def write(worker: int) -> None:
            for n in range(1_000_000):
                key = f"kill/{worker}/{n}"
                # Every fourth is large enough to be a file of its own.
                attempted[key] = f"{key} ".encode() * (200_000 if n % 4 == 0 else 20)
                try:
                    await store.put(key, attempted[key])
                except ObjectStoreError:
                    return
                acknowledged[key] = attempted[key]
                if len(acknowledged) >= WRITES_BEFORE_THE_KILL:
                    enough.set()

        async with asyncio.TaskGroup() as tasks:
            for worker in range(CONCURRENCY):
                tasks.create_task(write(worker))
            await enough.wait()
            os.killpg(group, signal.SIGKILL)


async def _compare_all(launcher: Launcher, attempted: dict[str, bytes], acknowledged: dict[str, bytes]) -> None:
    async with launcher.client() as store:
        visible = [key async for key in store.keys()]
        assert set(acknowledged) <= set(visible) <= set(attempted)

        async def compare(key: str) -> None:
            # A write that was under way may be there or not, but never in part.
            assert await store.get(key) == attempted[key]

        await for_each(visible, compare)
        with pytest.raises(NotFound):
            await store.get("kill/none")
