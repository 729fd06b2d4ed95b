"""On file systems that are full, read-only, without extended attributes, or two: real ones, mounted for a child."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from backends.filesystem.filesystem_setting import with_backend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.errors import Unavailable

SETTING = """
    import asyncio, os, subprocess, sys
    from pathlib import Path
    from objectstore.backends.filesystem import FilesystemBackend
    from objectstore.backends.reading import read_all
    from objectstore.errors import *
    from objectstore.values import *

    root = Path(sys.argv[1])
    TEXT = PutOptions(attributes=Attributes(content_type="text/plain"))

    async def read(backend, key):
        async with backend.get(key) as reading:
            return await read_all(reading)

    async def raises(error, awaitable):
        try:
            await awaitable
        except error as raised:
            assert str(root) not in str(raised), raised
            return str(raised)
        raise AssertionError(f"{error} was not raised")
"""


def run_on(mount: str, folder: Path, program: str) -> None:
    """Run the program in a process that alone sees `folder` with what `mount` puts there."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("needs namespaces for mounts of its own")
    whole = textwrap.dedent(SETTING) + textwrap.dedent(program)
    script = f'{mount} "$1" && exec "$2" -W error -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(folder), sys.executable, whole],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_without_extended_attributes_nothing_is_lost(tmp_path: Path) -> None:
    run_on(
        "mount -t ramfs none",
        tmp_path,
        """
        async def main():
            async with FilesystemBackend(root) as backend:
                first = await backend.put("a/b", b"1", TEXT)
                assert await backend.head("a/b") == first
                second = await backend.put("a/b", b"2" * 100_000, TEXT)
                try:
                    os.getxattr(root / "a/b", "user.objectstore")
                except OSError:
                    pass
                else:
                    raise AssertionError("this file system has extended attributes")
            async with FilesystemBackend(root) as backend:
                assert await backend.head("a/b") == second
                assert await read(backend, "a/b") == b"2" * 100_000
                copied = await backend.copy("a/b", "c")
                assert (copied.digests, copied.attributes) == (second.digests, second.attributes)
                (root / "a" / "b").write_bytes(b"theirs")
                assert (await backend.head("a/b")).attributes == Attributes()
                assert (await backend.list(ListQuery())).keys == ("a/b", "c")
                await backend.delete("c")
                await backend.delete("a/b")
                assert not [path for path in (root / ".objectstore" / "records").rglob("*") if path.is_file()]

        asyncio.run(main())
        """,
    )


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    run_on(
        "mount -t tmpfs -o size=3m none",
        tmp_path,
        """
        async def body():
            for _ in range(16):
                yield b"x" * 524288

        async def main():
            async with FilesystemBackend(root) as backend:
                old = await backend.put("key", b"old" * 100_000, TEXT)
                await backend.check()
                for large in (body(), b"x" * 8_000_000):
                    assert "no room" in await raises(StorageFull, backend.put("key", large))
                assert await backend.head("key") == old
                await backend.put("another", b"x" * 1_000_000)
                fill()
                await raises(StorageFull, backend.copy("another", "copies/of/another"))
                await raises(StorageFull, backend.check())
                assert await read(backend, "key") == b"old" * 100_000
                await backend.delete("another")
                await backend.check()
            assert sorted(path.name for path in root.iterdir()) == [".objectstore", "key"]

        def fill():
            with (root / ".objectstore" / "filling").open("wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 4096):
                        pass
                except OSError:
                    pass

        asyncio.run(main())
        """,
    )


def test_a_read_only_file_system_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    run_on(
        "mount -t tmpfs -o ro none",
        tmp_path,
        """
        async def main():
            try:
                async with FilesystemBackend(root):
                    raise AssertionError("opened for writing")
            except ConfigurationError as error:
                assert "Read-only file system; it has to be a folder that this process may write to" in str(error)

        asyncio.run(main())
        """,
    )


def test_an_error_that_passes_leaves_the_store_usable_and_names_no_path(tmp_path: Path) -> None:
    run_on(
        "true",
        tmp_path,
        """
        import resource

        async def main():
            async with FilesystemBackend(root) as backend:
                old = await backend.put("a/key", b"old", TEXT)
                allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, allowed[1]))
                for refused in (
                    backend.put("a/key", b"new"),
                    backend.head("a/key"),
                    read(backend, "a/key"),
                    backend.delete("a/key"),
                    backend.copy("a/key", "copy"),
                    backend.list(ListQuery()),
                    backend.check(),
                ):
                    assert "Too many open files" in await raises(Unavailable, refused)
                (error,) = await backend.delete_many(["a/key"])
                assert isinstance(error, Unavailable)
                resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
                assert await backend.head("a/key") == old
                await backend.put("a/key", b"new")

        asyncio.run(main())
        """,
    )


def test_a_folder_on_another_file_system_can_be_read_but_not_written(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    run_on(
        "true",
        tmp_path,
        """
        async def main():
            subprocess.run(["mount", "-t", "tmpfs", "none", root / "other"], check=True)
            (root / "other" / "theirs").write_bytes(b"theirs")
            async with FilesystemBackend(root) as backend:
                assert await read(backend, "other/theirs") == b"theirs"
                assert "another file system" in await raises(InvalidKey, backend.put("other/ours", b"ours"))
                await backend.copy("other/theirs", "mine")
                assert (await backend.list(ListQuery())).keys == ("mine", "other/theirs")

        asyncio.run(main())
        """,
    )


def test_a_root_that_was_moved_away_is_told(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        await backend.check()
        (tmp_path / "root").rename(tmp_path / "elsewhere")
        with pytest.raises(Unavailable, match="No such file"):
            await backend.check()
        (tmp_path / "root").mkdir()
        with pytest.raises(Unavailable, match="moved or replaced"):
            await backend.check()

    with_backend(tmp_path / "root", use)


def test_a_backend_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(FilesystemBackend(tmp_path).head("key"))
