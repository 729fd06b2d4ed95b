"""Scrubbing reads everything, goes on where it was, tells each damaged body, and takes no change for damage."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, read
from backends.engine.test_engine_check import _blob, _change
from cli.served import invoke
from objectstore.backends.engine import fixity
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.fixity import Manifest, Verified
from objectstore.backends.engine.scrub import Scrub
from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State
from objectstore.errors import Corrupted
from objectstore.server.scrubbing import Scrubber
from objectstore.values import PutOptions

START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            for number in range(10):
                await backend.put(f"small/{number}", SMALL + bytes([number]))
            await backend.put("empty", b"")
            await backend.put("large", LARGE)
            upload = await backend.uploads.begin("upload", PutOptions())
            await backend.uploads.put_part(upload.upload_id, 1, SMALL, PutOptions())
            await backend.uploads.put_part(upload.upload_id, 2, HUGE, PutOptions())

    asyncio.run(fill())
    return tmp_path / "data"


def _scrubbed(root: Path, **given: object) -> State:
    with ScrubFolder(root).scrubbing() as ours:
        assert ours
        return Scrub(root, now=lambda: START, **given).run()  # type: ignore[arg-type]  # as a test gives them


def _report(root: Path) -> dict[str, Verified]:
    return {one.key: one for one in fixity.read(ScrubFolder(root).report)}


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a flipped bit in a file": (lambda root: _flip(_blob(root, "objects")), "large", "wrong-digest"),
    "a short file": (lambda root: os.truncate(_blob(root, "objects"), 7), "large", "wrong-size"),
    "a missing file": (lambda root: _blob(root, "objects").unlink(), "large", "missing"),
    "a body in the index": (
        lambda root: _change(
            root,
            "UPDATE bodies SET data = CAST(upper(data) AS BLOB)"
            " WHERE seq = (SELECT seq FROM objects WHERE key = 'small/3')",
        ),
        "small/3",
        "wrong-digest",
    ),
    "a missing body in the index": (
        lambda root: _change(root, "DELETE FROM bodies WHERE seq = (SELECT seq FROM objects WHERE key = 'small/3')"),
        "small/3",
        "missing",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_logged_counted_and_told(root: Path, case: str, caplog: pytest.LogCaptureFixture) -> None:
    damage, key, kind = DAMAGE[case]
    damage(root)
    with caplog.at_level(logging.ERROR):
        state = _scrubbed(root)
    assert state.damaged == 1
    assert repr(key) in caplog.text
    assert {name: one.status for name, one in _report(root).items() if not one.sound} == {key: kind}
    answer = invoke("scrub", "status", "--data", str(root))
    assert answer.returncode == 1
    assert f"{kind}: {key}: " in answer.stdout.decode()
    # Until a whole pass has found it sound, it counts.
    assert state.last is not None
    assert State(now=Pass(began=1.0), last=state.last).damaged == 1


def test_what_changes_during_a_pass_is_no_damage(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with EngineBackend(root, grace=timedelta(0)) as backend:
            loop = asyncio.get_running_loop()
            changed = False

            async def change() -> None:
                await backend.put("large", HUGE)
                await backend.delete_many([f"small/{number}" for number in range(10)])
                assert await backend.collect_garbage() == 1

            def tell(_size: int) -> None:
                nonlocal changed
                if not changed:
                    changed = True
                    asyncio.run_coroutine_threadsafe(change(), loop).result(30)

            state = await asyncio.to_thread(_scrubbed, root, tell=tell)
            assert state.damaged == 0
            assert await read(backend, "large") == HUGE

    asyncio.run(run())
    assert "damaged:" not in caplog.text
    assert set(_report(root)) >= {"empty"}


def test_a_server_scrubs_when_it_is_due_and_stops_when_told(root: Path) -> None:
    async def run() -> None:
        scrubber = Scrubber(path=root, interval=MONTH, rate=0, poll=0.001)
        task = asyncio.create_task(scrubber.run())
        async with asyncio.timeout(30):
            while ScrubFolder(root).read().last is None:  # noqa: ASYNC110  a file says it
                await asyncio.sleep(0.01)
        await _ended(task)
        # At a byte a second it would take days; it ends at once all the same.
        slow = asyncio.create_task(Scrubber(path=root, interval=timedelta(microseconds=1), rate=1, poll=0.001).run())
        async with asyncio.timeout(30):
            while not _is_scrubbed(root):  # noqa: ASYNC110  a lock says it
                await asyncio.sleep(0.01)
            await _ended(slow)
        state = ScrubFolder(root).read()
        assert state.now is not None
        assert state.last is not None

    asyncio.run(run())


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _is_scrubbed(root: Path) -> bool:
    with ScrubFolder(root).scrubbing() as ours:
        return not ours


def test_a_damaged_state_is_told_and_costs_no_metrics(root: Path) -> None:
    _scrubbed(root)
    (root / "scrub" / "state.json").write_bytes(b"{")
    with pytest.raises(Corrupted, match="delete it"):
        ScrubFolder(root).read()
    assert invoke("scrub", "now", "--data", str(root)).returncode == 1

    async def levels() -> dict[str, float]:
        async with EngineBackend(root) as backend:
            return {level.name: level.value for level in await backend.levels()}

    assert asyncio.run(levels())["scrub_verified_bodies"] == 0
    (root / "scrub" / "state.json").unlink()
    assert _scrubbed(root).bodies == 14
    assert asyncio.run(levels())["scrub_verified_bodies"] == 14


def _sound(key: str) -> Verified:
    return Verified(kind="object", key=key, size=0, sha256="00" * 32, verified="", status="ok")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a/b.txt", "a/b.txt"),
        ("100% of\r\nit", "100%25 of%0D%0Ait"),
        ("ünï", "ünï"),
        ("/a", None),
        ("a/", None),
        ("a//b", None),
        ("a/../b", None),
        (".", None),
        ("a\0", None),
        ("n" * 256, None),
        ("…", "…"),
    ],
)
def test_keys_that_can_be_paths_are_in_the_manifest(key: str, path: str | None) -> None:
    manifest = Manifest()
    assert manifest.line(_sound(key)) == (None if path is None else f"{'00' * 32}  data/{path}")
    assert [left for left, _ in manifest.left_out] == ([key] if path is None else [])


def test_no_file_is_a_folder_as_well() -> None:
    manifest = Manifest()
    keys = ["a", "a!", "a!/x", "a/b", "a/b/c", "b", "b.txt"]
    listed = [key for key in keys if manifest.line(_sound(key)) is not None]
    assert listed == ["a", "a!", "b", "b.txt"]
    assert [key for key, _ in manifest.left_out] == ["a!/x", "a/b", "a/b/c"]


def test_the_commands_scrub_report_and_prove(root: Path, tmp_path: Path) -> None:
    data = ["--data", str(root)]
    assert invoke("scrub", "report", *data).returncode == 2
    assert "no whole pass" in invoke("scrub", "status", *data).stdout.decode()
    now = invoke("scrub", "now", "--json", "--rate", "1GB", *data)
    assert now.returncode == 0
    assert json.loads(now.stdout)["last"]["bodies"] == 14
    assert invoke("scrub", "now", "--rate", "fast", *data).returncode == 2
    lines = [json.loads(line) for line in invoke("scrub", "report", *data).stdout.splitlines()]
    assert {line["key"] for line in lines if line["kind"] == "object"} == {
        "empty",
        "large",
        *(f"small/{number}" for number in range(10)),
    }
    table = invoke("scrub", "report", "--format", "csv", *data).stdout.decode().splitlines()
    assert table[0] == "kind,key,size,sha256,verified,status,message"
    assert len(table) == 15
    # A bag: what was stored, beside the manifest, is what another tool finds it to be.
    bag = tmp_path / "bag"
    (bag / "data" / "small").mkdir(parents=True)
    for number in range(10):
        (bag / "data" / "small" / str(number)).write_bytes(SMALL + bytes([number]))
    (bag / "data" / "empty").touch()
    (bag / "data" / "large").write_bytes(LARGE)
    manifest = invoke("scrub", "manifest", "--format", "bagit", *data)
    assert manifest.returncode == 0
    (bag / "manifest-sha256.txt").write_bytes(manifest.stdout)
    subprocess.run(["sha256sum", "-c", "--strict", "manifest-sha256.txt"], cwd=bag, check=True, capture_output=True)
    _flip(_blob(root, "objects"))
    assert invoke("scrub", "now", *data).returncode == 1
    manifest = invoke("scrub", "manifest", *data)
    assert manifest.returncode == 1
    assert b"left out: 'large'" in manifest.stderr
    assert b"data/large" not in manifest.stdout
