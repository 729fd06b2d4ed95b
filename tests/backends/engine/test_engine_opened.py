"""An open data directory under which the ground moves: readiness says so, and what is damaged is never given out."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from pathlib import Path

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, assert_sound, blob_files, read
from backends.engine.test_engine_check import _change
from backends.engine.test_engine_uploads import Gate
from objectstore.backends.engine import listing, steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.blobs import Blobs
from objectstore.backends.engine.board import Board
from objectstore.backends.engine.recent import Recent
from objectstore.errors import Corrupted, InvalidPart, ObjectStoreError, Unavailable
from objectstore.values import ListQuery, PutOptions, Quota

PLAIN = PutOptions()


def _mount(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_a_disk_that_became_read_only_is_not_ready(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            await backend.put("key", SMALL)
            if not _mount("mount", "--bind", str(root), str(root)):
                pytest.skip("nothing can be mounted here")
            try:
                assert _mount("mount", "-o", "remount,bind,ro", str(root))
                with pytest.raises(Unavailable, match="read-only"):
                    await backend.check()
                assert await read(backend, "key") == SMALL
            finally:
                assert _mount("umount", str(root))
            await backend.check()

    asyncio.run(run())


def test_what_is_larger_than_all_the_room_is_not_remembered(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            info = await backend.put("key", SMALL)
        board = Board(tmp_path / "data" / "changes")
        recent = Recent(board, 100)
        moment = recent.moment("key")
        assert moment is not None
        recent.remember(moment, info, bytes(1000))
        assert recent.find("key") is None
        board.close()

    asyncio.run(run())


def test_a_long_walk_lets_others_take_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_AT_ONCE", 2)

    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            for number in range(10):
                await backend.put(f"{number // 2}/{number}", SMALL)
                await backend.put(f"top-{number}", SMALL)
            page = await backend.list(ListQuery(delimiter="/"))
            assert page.prefixes == tuple(f"{number}/" for number in range(5))
            assert page.keys == tuple(f"top-{number}" for number in range(10))

    asyncio.run(run())


def test_a_body_that_is_missing_from_the_index_is_not_copied(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("key", SMALL)
            _change(tmp_path / "data", "DELETE FROM bodies")
            with pytest.raises(Corrupted, match="'key'"):
                await backend.copy("key", "other")

    asyncio.run(run())


def _cut(blob: Path) -> None:
    os.truncate(blob, 5)


def _replace_by_folder(blob: Path) -> None:
    blob.unlink()
    blob.mkdir()


def _replace_by_loop(blob: Path) -> None:
    blob.unlink()
    blob.symlink_to(blob)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (Path.unlink, InvalidPart),  # as if it was sent again
        (_cut, Corrupted),
        (_replace_by_folder, Unavailable),
        (_replace_by_loop, Unavailable),
    ],
)
def test_a_damaged_part_makes_no_object(tmp_path: Path, damage: object, kind: type[ObjectStoreError]) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        async with EngineBackend(root) as backend:
            upload_id = (await backend.uploads.begin("key", PLAIN)).upload_id
            parts = [await backend.uploads.put_part(upload_id, n, body, PLAIN) for n, body in ((1, SMALL), (2, LARGE))]
            (name,) = blob_files(root)
            assert callable(damage)
            damage(root / "blobs" / name[:2] / name)
            with pytest.raises(kind):
                await backend.uploads.complete(upload_id, [(part.number, part.etag) for part in parts])
            assert (await backend.list(ListQuery())).keys == ()
            _change(root, "DELETE FROM bodies")
            with pytest.raises(InvalidPart):
                await backend.uploads.complete(upload_id, [(part.number, part.etag) for part in parts])

    asyncio.run(run())


def test_what_another_process_completes_in_the_middle_is_what_is_told(tmp_path: Path) -> None:
    root = tmp_path / "data"

    async def run() -> None:
        gate = Gate(steps.AFTER_CREATE)
        async with EngineBackend(root, step=gate.step) as slow, EngineBackend(root) as quick:
            upload_id = (await quick.uploads.begin("key", PLAIN)).upload_id
            parts = [await quick.uploads.put_part(upload_id, number, HUGE, PLAIN) for number in (1, 2, 3, 4)]
            named = [(part.number, part.etag) for part in parts]
            gate.armed = True
            completing = asyncio.create_task(slow.uploads.complete(upload_id, named))
            await asyncio.to_thread(gate.waiting.wait)
            info = await quick.uploads.complete(upload_id, named)
            for row in slow._index.garbage_since(2**62, 10):
                (root / "blobs" / row[1][:2] / row[1]).unlink()
            gate.go.set()
            assert await completing == info
            assert await read(slow, "key") == HUGE * 4

    asyncio.run(run())
    assert_sound(root)


def test_the_first_part_under_a_quota_has_it_counted(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            upload_id = (await backend.uploads.begin("a/key", PLAIN)).upload_id
            quota = Quota(prefix="a/", size=2 * len(SMALL))
            await backend.uploads.put_part(upload_id, 1, SMALL, PutOptions(quota=quota))
            await backend.uploads.put_part(upload_id, 2, SMALL, PutOptions(quota=quota))
            with pytest.raises(ObjectStoreError, match="a/"):
                await backend.uploads.put_part(upload_id, 3, SMALL, PutOptions(quota=quota))

    asyncio.run(run())


def test_a_disk_that_refuses_to_write_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As ext4 does after an error, whatever it says of itself: `test_engine_disks.py` has a real one.
    def refused(_blobs: Blobs) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async def run() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            with monkeypatch.context() as context:
                context.setattr(Blobs, "probe", refused)
                with pytest.raises(Unavailable, match="Read-only file system"):
                    await backend.check()
            await backend.check()

    asyncio.run(run())
