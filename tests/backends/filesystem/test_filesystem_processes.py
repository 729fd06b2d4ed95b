"""Several processes on one root, and several tasks in one folder."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from backends.filesystem.filesystem_setting import all_keys, files_under, read, with_backend
from backends.racing import COUNTING, race
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.errors import AlreadyExists, NotFound, PreconditionFailed
from objectstore.values import ONLY_IF_ABSENT, Conditions, PutOptions


@pytest.mark.parametrize("carry", [True, False])
def test_of_conditional_puts_in_two_processes_one_wins_each_time(tmp_path: Path, *, carry: bool) -> None:
    async def prepare(backend: FilesystemBackend) -> None:
        await backend.put("counter", b"0")

    with_backend(tmp_path, prepare, carry_records=carry)
    runner = [f"FilesystemBackend(Path({str(tmp_path)!r}), carry_records={carry})", "20"]
    results = race(COUNTING, runner, runner)
    assert (tmp_path / "counter").read_bytes() == b"80"
    assert sum(results) == 20


def test_many_puts_and_removals_in_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        async def come_and_go(key: str) -> None:
            # Whenever all have gone the folder goes too, just as another one wants to use it.
            for _ in range(40):
                await backend.put(key, b"x")
                await backend.delete(key)

        await asyncio.gather(*(come_and_go(f"a/b/c/{number}") for number in range(4)))
        assert await all_keys(backend) == []

    with_backend(tmp_path, use)
    assert files_under(tmp_path) == []
    assert not (tmp_path / "a").exists()


_interruptions: list[tuple[str, str, Callable[[], None]]] = []


def _interrupt(event: str, arguments: tuple[object, ...]) -> None:
    if _interruptions:
        awaited, subject, act = _interruptions[0]
        if event == awaited and str(arguments[0]).startswith(subject):
            _interruptions.clear()
            act()


# A hook stays for the life of the process; it acts when there is something to do.
sys.addaudithook(_interrupt)


def when(event: str, subject: str, act: Callable[[], None]) -> None:
    """Have `act` done just before the next system call of that kind on something whose name begins so."""
    _interruptions.append((event, subject, act))


def elsewhere(root: Path, use: Callable[[FilesystemBackend], Awaitable[object]]) -> None:
    """What another process would do, to its end."""
    thread = threading.Thread(target=lambda: with_backend(root, use, carry_records=False))
    thread.start()
    thread.join()


def test_an_object_replaced_while_its_record_is_looked_for_is_read_with_its_own(tmp_path: Path) -> None:
    async def replace_twice(backend: FilesystemBackend) -> None:
        # Twice, so that the sidecar holds nothing any more of the file that is open.
        for _ in range(2):
            await backend.put("key", b"new", PutOptions(digests=frozenset({"md5"})))

    async def use(backend: FilesystemBackend) -> None:
        await backend.put("key", b"old")
        when("open", "records/", lambda: elsewhere(tmp_path, replace_twice))
        info, data = await read(backend, "key")
        assert (data, set(info.digests)) == (b"new", {"sha-256", "md5"})

    with_backend(tmp_path, use, carry_records=False)


def test_an_object_removed_while_its_record_is_looked_for_is_gone(tmp_path: Path) -> None:
    async def remove(backend: FilesystemBackend) -> None:
        await backend.delete("key")

    async def use(backend: FilesystemBackend) -> None:
        await backend.put("key", b"old")
        when("open", "records/", lambda: elsewhere(tmp_path, remove))
        with pytest.raises(NotFound):
            await backend.head("key")

    with_backend(tmp_path, use, carry_records=False)


def test_a_folder_that_is_removed_just_before_the_object_comes_into_it_is_made_again(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        when("os.rename", "", (tmp_path / "a" / "b").rmdir)
        await backend.put("a/b/key", b"here")
        assert (tmp_path / "a" / "b" / "key").read_bytes() == b"here"

    with_backend(tmp_path, use)
    assert not _interruptions


def test_many_may_open_at_the_same_time(tmp_path: Path) -> None:
    async def run() -> None:
        async def open_and_close() -> None:
            async with FilesystemBackend(tmp_path / "root") as backend:
                await backend.put("key", b"x")

        await asyncio.gather(*(open_and_close() for _ in range(24)))

    asyncio.run(run())
    assert files_under(tmp_path) == ["root/key"]


def test_of_two_removals_one_finds_nothing(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        for _ in range(10):
            await backend.put("a/key", b"")
            results = await asyncio.gather(*(backend.delete("a/key") for _ in range(4)), return_exceptions=True)
            assert [type(result) for result in results if result is not None] == [NotFound] * 3

    with_backend(tmp_path, use)


def test_a_removal_minds_its_conditions(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        (tmp_path / "theirs").write_bytes(b"theirs")
        before = await backend.head("theirs")
        with pytest.raises(PreconditionFailed):
            await backend.delete("theirs", Conditions(if_match=("another",)))
        with pytest.raises(AlreadyExists):
            await backend.put("theirs", b"", PutOptions(conditions=ONLY_IF_ABSENT))
        assert await backend.head("theirs") == before
        await backend.delete("theirs", Conditions(if_match=(before.etag,)))

    with_backend(tmp_path, use)
