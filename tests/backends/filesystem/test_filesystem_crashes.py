"""A process that dies at any step leaves the old object or the new one; only what the dead left is swept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backends.filesystem.filesystem_setting import HIDDEN, all_keys, files_under, read, run_python, with_backend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.values import Attributes, PutOptions

# Does something and dies without a word when it has come to the step.
DYING = """
    import asyncio, os, sys
    from pathlib import Path
    from objectstore.backends.filesystem import FilesystemBackend
    from objectstore.values import Attributes, PutOptions

    root, fatal, carry, action = sys.argv[1:]

    def step(name):
        if name == fatal:
            os._exit(77)

    async def main():
        async with FilesystemBackend(Path(root), step=step, carry_records=carry == "True") as backend:
            if action == "put":
                await backend.put("a/b", b"new!", PutOptions(attributes=Attributes(content_type="text/new")))
            elif action == "copy":
                await backend.copy("source", "a/b")
            else:
                await backend.delete("a/b")

    asyncio.run(main())
"""
OLD = PutOptions(attributes=Attributes(content_type="text/old"))
NEW = PutOptions(attributes=Attributes(content_type="text/new"))
BEFORE = ("after_write", "after_sync", "after_sidecar")
AFTER = ("after_rename", "after_folder_sync")


def die(root: Path, step: str, action: str, *, carry: bool) -> None:
    done = run_python(DYING, str(root), step, str(carry), action)
    assert done.returncode == 77, done.stderr


def steps_of(*, carry: bool) -> list[str]:
    return [step for step in (*BEFORE, *AFTER) if step != "after_sidecar" or not carry]


@pytest.mark.parametrize("existing", [True, False], ids=["overwriting", "creating"])
@pytest.mark.parametrize(
    ("carry", "step"), [(carry, step) for carry in (True, False) for step in steps_of(carry=carry)]
)
def test_a_put_that_dies_leaves_the_old_or_the_new_with_what_is_known_of_it(
    tmp_path: Path, step: str, *, carry: bool, existing: bool
) -> None:
    async def prepare(backend: FilesystemBackend) -> object:
        return await backend.put("a/b", b"old!", OLD) if existing else None

    async def look(backend: FilesystemBackend) -> None:
        if step in BEFORE and not existing:
            assert await all_keys(backend) == []
            return
        info, data = await read(backend, "a/b")
        if step in BEFORE:
            assert (info, data) == (old, b"old!")
        else:
            assert (info.attributes.content_type, data) == ("text/new", b"new!")
            assert info.digests
        assert await all_keys(backend) == ["a/b"]

    old = with_backend(tmp_path, prepare, carry_records=carry)
    die(tmp_path, step, "put", carry=carry)
    with_backend(tmp_path, look, carry_records=carry)
    # Nothing that is not accounted for: no draft, and no sidecar of an object that is not there.
    sidecars = files_under(tmp_path / HIDDEN)
    assert all(path.startswith("records/") for path in sidecars)
    assert len(sidecars) == (0 if carry or (step in BEFORE and not existing) else 1)


def test_the_object_is_as_before_if_a_put_over_a_half_done_one_dies_as_well(tmp_path: Path) -> None:
    async def prepare(backend: FilesystemBackend) -> object:
        return await backend.put("a/b", b"old!", OLD)

    async def look(backend: FilesystemBackend) -> object:
        return await backend.head("a/b")

    old = with_backend(tmp_path, prepare, carry_records=False)
    for _ in range(2):
        die(tmp_path, "after_sidecar", "put", carry=False)
        assert with_backend(tmp_path, look, carry_records=False) == old


@pytest.mark.parametrize("carry", [True, False])
def test_a_removal_that_dies_leaves_nothing_to_a_successor(tmp_path: Path, *, carry: bool) -> None:
    async def prepare(backend: FilesystemBackend) -> None:
        await backend.put("a/b", b"old!", OLD)

    async def look(backend: FilesystemBackend) -> None:
        assert await all_keys(backend) == []
        (tmp_path / "a" / "b").write_bytes(b"them")
        assert (await backend.head("a/b")).attributes.content_type is None

    with_backend(tmp_path, prepare, carry_records=carry)
    die(tmp_path, "after_unlink", "delete", carry=carry)
    with_backend(tmp_path, look, carry_records=carry)


def test_the_folder_that_a_removal_did_not_come_to_is_in_nobodys_way(tmp_path: Path) -> None:
    async def prepare(backend: FilesystemBackend) -> None:
        await backend.put("a/b", b"old!")

    async def look(backend: FilesystemBackend) -> None:
        await backend.put("a", b"new!")

    with_backend(tmp_path, prepare)
    die(tmp_path, "after_unlink", "delete", carry=True)
    assert (tmp_path / "a").is_dir()
    with_backend(tmp_path, look)


@pytest.mark.parametrize("step", ["after_write", "after_sync", "after_rename"])
def test_a_copy_that_dies_leaves_the_old_or_the_new(tmp_path: Path, step: str) -> None:
    async def prepare(backend: FilesystemBackend) -> None:
        await backend.put("source", b"new!", NEW)
        await backend.put("a/b", b"old!", OLD)

    async def look(backend: FilesystemBackend) -> None:
        info, data = await read(backend, "a/b")
        wanted = ("text/old", b"old!") if step in BEFORE else ("text/new", b"new!")
        assert (info.attributes.content_type, data) == wanted

    with_backend(tmp_path, prepare)
    die(tmp_path, step, "copy", carry=True)
    with_backend(tmp_path, look)
    assert files_under(tmp_path / HIDDEN) == []


def test_opening_sweeps_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    begun = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        # More than is held in hand, so that a draft lies on disk when the other opens.
        for _ in range(3):
            yield b"x" * 1_000_000
        begun.set()
        await go_on.wait()
        yield b"end"

    async def run() -> None:
        async with FilesystemBackend(tmp_path) as living:
            putting = asyncio.create_task(living.put("key", body()))
            await begun.wait()
            drafts = files_under(tmp_path / HIDDEN / "staging")
            async with FilesystemBackend(tmp_path):
                assert set(drafts) <= set(files_under(tmp_path / HIDDEN / "staging"))
                # The lock of each, and the one draft.
                assert len(files_under(tmp_path / HIDDEN / "staging")) == 3
            go_on.set()
            await putting
            assert (await living.head("key")).size == 3_000_003

    die(tmp_path, "after_write", "put", carry=True)
    assert len(files_under(tmp_path / HIDDEN / "staging")) == 2
    asyncio.run(run())
    assert files_under(tmp_path / HIDDEN) == []


def test_a_body_that_breaks_off_leaves_no_draft(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 1_000_000
        raise RuntimeError("broken off")

    async def use(backend: FilesystemBackend) -> None:
        with pytest.raises(RuntimeError, match="broken off"):
            await backend.put("key", broken())
        assert [Path(left).name for left in files_under(tmp_path / HIDDEN / "staging")] == ["lock"]

    with_backend(tmp_path, use)
    assert files_under(tmp_path) == []
