"""Several processes on one root, and several tasks in one folder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from filesystem_setting import all_keys, files_under, with_backend

from objectstore.backends.filesystem import FilesystemBackend
from objectstore.errors import AlreadyExists, NotFound, PreconditionFailed
from objectstore.values import ONLY_IF_ABSENT, Conditions, PutOptions

# Counts up in one object by conditional puts, as often as it is told to, and creates what it can.
COUNTING = """
    import asyncio, sys
    from pathlib import Path
    from objectstore.backends.filesystem import FilesystemBackend
    from objectstore.backends.reading import read_all
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
        async with FilesystemBackend(Path(sys.argv[1]), carry_records=sys.argv[2] == "True") as backend:
            print("ready", flush=True)
            sys.stdin.readline()
            for number in range(20):
                await asyncio.gather(increase(backend), increase(backend))
                try:
                    await backend.put(f"new/{number}", b"", PutOptions(conditions=ONLY_IF_ABSENT))
                    created += 1
                except AlreadyExists:
                    pass
        print(created)

    asyncio.run(main())
"""


@pytest.mark.parametrize("carry", [True, False])
def test_of_conditional_puts_in_two_processes_one_wins_each_time(tmp_path: Path, *, carry: bool) -> None:
    async def prepare(backend: FilesystemBackend) -> None:
        await backend.put("counter", b"0")

    with_backend(tmp_path, prepare, carry_records=carry)
    command = [sys.executable, "-c", textwrap.dedent(COUNTING), str(tmp_path), str(carry)]
    counting = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for one in counting:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    results = []
    for one in counting:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in counting:
        results.append(int(one.communicate(timeout=120)[0]))
        assert one.returncode == 0
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


def test_what_is_read_is_always_one_version(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        await backend.put("key", b"0" * 1000)

        async def overwrite() -> None:
            for number in range(60):
                await backend.put("key", str(number % 10).encode() * 1000, PutOptions(digests=frozenset({"crc32"})))

        overwriting = asyncio.create_task(overwrite())
        while not overwriting.done():
            # Every record that we write has digests: without them it would be taken for another program's.
            info = await backend.head("key")
            assert info.digests
            await asyncio.sleep(0)
        await overwriting

    with_backend(tmp_path, use, carry_records=False)


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
