"""A backup is one moment of the store, whoever writes meanwhile, and there is always a whole one."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import (
    CRASHED,
    HUGE,
    LARGE,
    SMALL,
    Act,
    Contents,
    assert_sound,
    blob_files,
    garbage,
    in_child,
    index_rows,
    seen,
)
from objectstore.backends.engine import steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.backup import Report, take
from objectstore.backends.engine.backupset import BackupSet
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.hold import held
from objectstore.backends.engine.restore import restore
from objectstore.errors import ConfigurationError, Corrupted, NotFound
from objectstore.values import PutOptions

NOW = datetime(2026, 11, 26, tzinfo=UTC)
NO_GRACE = timedelta(0)


def do(root: Path, act: Act) -> None:
    async def run() -> None:
        async with EngineBackend(root, grace=NO_GRACE) as backend:
            await act(backend)

    asyncio.run(run())


async def first(backend: EngineBackend) -> None:
    await backend.put("small", SMALL)
    await backend.put("empty", b"")
    await backend.put("stays", LARGE)
    await backend.put("goes", HUGE)
    await backend.copy("stays", "copy")
    upload = await backend.uploads.begin("upload", PutOptions())
    await backend.uploads.put_part(upload.upload_id, 1, SMALL, PutOptions())
    await backend.uploads.put_part(upload.upload_id, 2, LARGE, PutOptions())


async def then(backend: EngineBackend) -> None:
    await backend.delete("goes")
    await backend.put("small", LARGE)
    await backend.put("new", HUGE)
    await backend.collect_garbage()


def die_at(step: str) -> Callable[[str], None]:
    def die(name: str) -> None:
        if name == step:
            os._exit(CRASHED)

    return die


def _ignore(_: object) -> None:
    """What it gave is not wanted."""


def back_up(root: Path, target: Path, *, share: bool = True, step: Callable[[str], None] = steps.no_step) -> Report:
    return take(root, target, now=NOW, share=share, step=step)


def restored(target: Path, root: Path) -> Contents:
    assert restore(target, root, deep=True).findings == ()
    found = seen(root)
    assert_sound(root)
    return found


def kept_blobs(target: Path) -> set[str]:
    return {path.name for path in (target / "blobs").glob("*/*")}


@pytest.mark.parametrize("share", [True, False])
def test_a_restored_store_is_what_was_backed_up_byte_for_byte(share: bool, tmp_path: Path) -> None:
    root, target = tmp_path / "data", tmp_path / "backup"
    do(root, first)
    for name in ("tokens.json", "links.key"):
        (root / name).write_text(f"{{{name}}}")
    report = back_up(root, target, share=share)
    assert (report.manifest.objects, report.manifest.blobs) == (5, 3)
    assert (report.linked, report.copied) == ((3, 0) if share else (0, 3))
    assert restored(target, tmp_path / "again") == seen(root)
    for name in ("tokens.json", "links.key"):
        assert (tmp_path / "again" / name).read_text() == f"{{{name}}}"
        assert (tmp_path / "again" / name).stat().st_mode & 0o777 == 0o600
    for path in blob_files(root):
        kept = target / "blobs" / path[:2] / path
        assert kept.read_bytes() == Path(Directory(root).blob(path)).read_bytes()
        assert kept.samefile(Directory(root).blob(path)) == share


def test_what_is_overwritten_during_a_backup_is_in_it_as_it_was(tmp_path: Path) -> None:
    root, target = tmp_path / "data", tmp_path / "backup"
    do(root, first)
    before = seen(root)
    waiting: set[str] = set()

    def step(name: str) -> None:
        if name == steps.AFTER_SNAPSHOT:
            do(root, then)
            waiting.update(garbage(root))

    back_up(root, target, share=False, step=step)
    assert waiting, "garbage is held back"
    assert restored(target, tmp_path / "again") == before
    do(root, then_collect)
    assert not garbage(root), "and collected when the backup is done"


async def then_collect(backend: EngineBackend) -> None:
    await backend.collect_garbage()


def test_garbage_is_collected_again_after_a_backup_was_killed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    do(root, first)
    code, _ = in_child(lambda _: _ignore(back_up(root, tmp_path / "backup", step=die_at(steps.AFTER_BLOBS))))
    assert code == CRASHED
    do(root, then)
    assert not garbage(root)


def test_a_server_that_knows_no_hold_costs_another_attempt(tmp_path: Path) -> None:
    root, target = tmp_path / "data", tmp_path / "backup"
    do(root, first)
    attempts = []

    def unlink_once(name: str) -> None:
        if name == steps.AFTER_SNAPSHOT:
            attempts.append(name)
            if len(attempts) == 1:
                do(root, then)
                for blob in garbage(root):
                    Path(Directory(root).blob(blob)).unlink(missing_ok=True)

    back_up(root, target, step=unlink_once)
    assert len(attempts) == 2
    assert restored(target, tmp_path / "again") == seen(root)


def test_two_collectors_do_not_meet_and_a_backup_waits_for_none_that_is_done(tmp_path: Path) -> None:
    root = tmp_path / "data"
    do(root, first)

    async def run() -> None:
        async with EngineBackend(root, grace=NO_GRACE) as backend:
            await backend.put("stays", SMALL)
            await backend.put("goes", SMALL)
            with held(Directory(root)), held(Directory(root)):
                assert await backend.collect_garbage() == 0
            assert await backend.collect_garbage() == 1

    asyncio.run(run())


@pytest.mark.parametrize(("share", "again"), [(True, True), (False, True), (True, False)])
def test_a_backup_killed_at_any_step_leaves_a_whole_one(share: bool, again: bool, tmp_path: Path) -> None:
    root, original = tmp_path / "data", tmp_path / "original"
    do(root, first)
    old = None
    if again:
        back_up(root, original, share=share)
        old = seen(root)
        do(root, then)
    new = seen(root)
    reached: list[str] = []
    trial = tmp_path / "trial"
    if again:
        shutil.copytree(original, trial)
    back_up(root, trial, share=share, step=reached.append)
    assert set(reached) == set(steps.ALL_OF_BACKUP) - ({steps.AFTER_MARK} if again else set())
    for hit, name in enumerate(reached):
        target = tmp_path / str(hit)
        if again:
            shutil.copytree(original, target)
        taken = iter(range(hit + 1))

        def step(_name: str, taken: Iterator[int] = taken, hit: int = hit) -> None:
            if next(taken) == hit:
                os._exit(CRASHED)

        def run(_say: int, target: Path = target, step: Callable[[str], None] = step) -> None:
            back_up(root, target, share=share, step=step)

        assert in_child(run)[0] == CRASHED
        whole = BackupSet(target).read().state
        committed = reached.index(steps.AFTER_MANIFEST) <= hit
        if not whole:
            assert not again
            assert not committed
            with pytest.raises(ConfigurationError, match="no whole backup"):
                restore(target, tmp_path / "none")
        else:
            assert restored(target, tmp_path / f"restored-{hit}") == (new if committed else old), name
        back_up(root, target, share=share)
        assert restored(target, tmp_path / f"later-{hit}") == new
        assert kept_blobs(target) == kept_blobs(trial)
        assert len(list((target / "states").iterdir())) == 1


@contextmanager
def writing(root: Path, number: int) -> Iterator[None]:
    """A process that goes on writing `number/a` and then `number/b`, counting upwards, until it is killed."""

    async def write() -> None:
        async with EngineBackend(root, grace=NO_GRACE) as backend:
            for count in range(1_000_000):
                for name in ("a", "b"):
                    # Small ones are in the index, large ones in files.
                    body = f"{count} ".encode() * (40_000 if count % 3 else 3)
                    await backend.put(f"{number}/{name}", body)
                    if count % 5 == 0:
                        await backend.delete(f"{number}/{name}")
                        await backend.put(f"{number}/{name}", body)
                    await backend.collect_garbage()
                if count == 2:
                    os.write(say, b"!")

    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(write())
        finally:
            os._exit(1)
    try:
        assert select.select([hear], [], [], 30)[0]
        yield
    finally:
        os.close(hear)
        os.close(say)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_backup_is_one_moment_while_several_processes_write(tmp_path: Path) -> None:
    root, target = tmp_path / "data", tmp_path / "backup"
    do(root, then_collect)
    counts: list[dict[str, int]] = []
    with writing(root, 1), writing(root, 2), writing(root, 3):
        for turn in range(6):
            back_up(root, target, share=turn % 2 == 0)
            found = restored(target, tmp_path / str(turn)).objects
            count = {}
            for key, body in found.items():
                (value,) = set(body.split())
                count[key] = int(value)
            counts.append(count)
    for count in counts:
        for number in (1, 2, 3):
            # What was written first is never behind, and at most one ahead. In between it may be gone for a moment.
            a, b = count.get(f"{number}/a"), count.get(f"{number}/b")
            if a is not None and b is not None:
                assert b <= a <= b + 1
            else:
                assert (a is None) != (b is None)
                assert (a if a is not None else b) is not None
    for earlier, later in itertools.pairwise(counts):
        assert all(later.get(key, value) >= value for key, value in earlier.items())
    assert counts[0] != counts[-1], "they wrote meanwhile"


def _blob_of(root: Path, key: str) -> str:
    ((blob,),) = index_rows(root, f"SELECT blob FROM objects WHERE key = '{key}'")  # noqa: S608  our keys
    return str(blob)


@pytest.mark.parametrize("name", ["notes.txt", "blobs", "BACKUP"])
def test_a_folder_of_something_else_is_refused_and_left_alone(name: str, tmp_path: Path) -> None:
    do(tmp_path / "data", first)
    target = tmp_path / "backup"
    target.mkdir()
    (target / name).write_text("{}")
    with pytest.raises(ConfigurationError):
        back_up(tmp_path / "data", target)
    assert [path.name for path in target.iterdir()] == [name]


def test_a_restore_that_is_cut_short_leaves_no_data_directory(tmp_path: Path) -> None:
    root, target, again = tmp_path / "data", tmp_path / "backup", tmp_path / "again"
    do(root, first)
    back_up(root, target)
    code, _ = in_child(lambda _: _ignore(restore(target, again, step=die_at(steps.BEFORE_FORMAT))))
    assert code == CRASHED
    with pytest.raises(ConfigurationError, match="not a data directory"):
        do(again, then)
    with pytest.raises(ConfigurationError, match="cut short"):
        restore(target, again)


def test_a_damaged_backup_is_not_restored_unless_told_to(tmp_path: Path) -> None:
    root, target = tmp_path / "data", tmp_path / "backup"
    do(root, first)
    back_up(root, target, share=False)
    blob = _blob_of(root, "goes")
    kept = target / "blobs" / blob[:2] / blob
    kept.write_bytes(HUGE[:-1] + b"?")
    restore(target, tmp_path / "shallow")
    with pytest.raises(Corrupted, match="wrong-digest: goes"):
        restore(target, tmp_path / "deep", deep=True)
    kept.unlink()
    with pytest.raises(Corrupted, match="missing: goes"):
        restore(target, tmp_path / "refused")
    found = restore(target, tmp_path / "salvaged", salvage=True).findings
    assert [(one.kind, one.name) for one in found] == [("missing", "goes")]

    async def look(backend: EngineBackend) -> None:
        assert (await backend.head("stays")).size == len(LARGE)
        await backend.delete("goes")
        with pytest.raises(NotFound):
            await backend.head("goes")

    do(tmp_path / "salvaged", look)
    index = BackupSet(target).index(BackupSet(target).read().state)
    index.write_bytes(index.read_bytes() + b"x")
    with pytest.raises(Corrupted, match="index"):
        restore(target, tmp_path / "index")
