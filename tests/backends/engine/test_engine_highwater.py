"""An index that has gone back is noticed: nothing that was acknowledged vanishes without a word."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.engine.scenes import HUGE, LARGE, SMALL, assert_sound, in_child, read
from cli.served import invoke
from objectstore.backends.engine import highwater
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.backends.engine.highwater import HighWater, mark
from objectstore.backends.engine.schema import Durability
from objectstore.errors import ConfigurationError


def _crash(root: Path, bodies: dict[str, bytes], durability: Durability = "full") -> None:
    """A process puts these, and dies."""

    async def run(say: int) -> None:
        async with EngineBackend(root, durability=durability) as backend:
            for key, body in bodies.items():
                await backend.put(key, body)
            os.write(say, b"acknowledged")
            os._exit(0)

    assert in_child(lambda say: asyncio.run(run(say))) == (0, b"acknowledged")


def _opened(root: Path, keys: tuple[str, ...] = ()) -> list[bytes]:
    async def run() -> list[bytes]:
        async with EngineBackend(root) as backend:
            return [await read(backend, key) for key in keys]

    return asyncio.run(run())


def _without_log(root: Path) -> None:
    (root / "index.sqlite3-wal").unlink()
    (root / "index.sqlite3-shm").unlink()


@pytest.fixture
def behind(tmp_path: Path) -> Path:
    """A store whose log was removed after a crash: the second large object and the second small one were in it."""
    root = tmp_path / "data"
    _crash(root, {"old": LARGE, "small": SMALL})
    _opened(root)
    _crash(root, {"new": HUGE, "small": SMALL + b"!"})
    _without_log(root)
    return root


def test_a_log_removed_after_a_crash_is_noticed(behind: Path) -> None:
    before = sorted(behind.rglob("*"))
    with pytest.raises(
        ConfigurationError, match=r"up to 2 only, and 4 were acknowledged.*objectstore check .* --repair"
    ):
        _opened(behind)
    # Staging is made by who tries; no body is removed.
    assert [path for path in before if path.is_file()] == [
        path for path in sorted(behind.rglob("*")) if path.is_file() and not path.name.startswith("index.sqlite3-")
    ]
    answer = invoke("serve", "--data", str(behind), "--port", "0")
    assert answer.returncode == 2
    assert b"restore a backup" in answer.stderr


def test_the_check_says_what_is_lost_and_accepts_it_when_told_to(behind: Path) -> None:
    told = [json.loads(line) for line in invoke("check", str(behind), "--json").stdout.splitlines()]
    assert [one["kind"] for one in told] == ["lost-changes", "orphan-file"]
    assert "the changes 3 to 4 were acknowledged" in told[0]["message"]
    blob = Path(told[1]["name"])
    digest = hashlib.sha256(HUGE).hexdigest()
    assert f"{len(HUGE)} bytes, SHA-256 {digest}" in told[1]["message"]
    assert blob.read_bytes() == HUGE
    answer = invoke("check", str(behind), "--repair")
    assert answer.returncode == 1
    assert digest.encode() in answer.stdout
    assert (behind / "lost" / blob.name).read_bytes() == HUGE
    assert _opened(behind, ("old", "small")) == [LARGE, SMALL]
    assert invoke("check", str(behind), "--deep").returncode == 0
    assert_sound(behind)


def test_a_loss_is_not_accepted_while_a_server_has_the_log(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path) as backend:
            await backend.put("key", SMALL)
            (tmp_path / "index.sqlite3-wal").unlink()
            answer = await asyncio.to_thread(invoke, "check", str(tmp_path), "--repair")
            assert (answer.returncode, answer.stdout) == (1, b"")
            assert b"end the server by SIGTERM" in answer.stderr

    asyncio.run(run())
    assert _opened(tmp_path, ("key",)) == [SMALL]


def test_a_loss_is_not_accepted_while_anybody_has_the_store_open(tmp_path: Path) -> None:
    async def run() -> None:
        async with EngineBackend(tmp_path) as backend:
            await backend.put("key", LARGE)
            highwater.accept(tmp_path / "highwater", 99)
            (finding,) = await asyncio.to_thread(lambda: list(check(tmp_path, repair=True)))
            assert (finding.kind, finding.repaired) == ("lost-changes", False)
            assert "end the servers first" in finding.message
            assert await read(backend, "key") == LARGE

    asyncio.run(run())
    (finding,) = check(tmp_path, repair=True)
    assert "accepted" in finding.message
    assert _opened(tmp_path, ("key",)) == [LARGE]


def test_an_older_index_in_the_place_of_the_newer_is_noticed(tmp_path: Path) -> None:
    root, older = tmp_path / "data", tmp_path / "older.sqlite3"
    _crash(root, {"a": SMALL})
    _opened(root)
    shutil.copy(root / "index.sqlite3", older)
    _crash(root, {"b": SMALL})
    _opened(root, ("b",))
    newer = (root / "index.sqlite3").read_bytes()
    shutil.copy(older, root / "index.sqlite3")
    with pytest.raises(ConfigurationError, match="older one"):
        _opened(root)
    (root / "index.sqlite3").write_bytes(newer)
    assert _opened(root, ("a", "b")) == [SMALL, SMALL]


def test_a_crash_alone_is_no_loss(tmp_path: Path) -> None:
    for number in range(3):
        _crash(tmp_path, {f"{number}": SMALL}, durability="relaxed" if number == 1 else "full")
    assert _opened(tmp_path, ("0", "1", "2")) == [SMALL] * 3


def test_what_is_relaxed_is_marked_for_this_boot_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _crash(tmp_path, {"synced": SMALL})
    _opened(tmp_path)
    _crash(tmp_path, {"relaxed": SMALL}, durability="relaxed")
    _without_log(tmp_path)
    with pytest.raises(ConfigurationError, match="up to 1 only, and 2"):
        _opened(tmp_path)
    # After a power cut that is what was chosen: not to be sure.
    booted = tmp_path.parent / f"{tmp_path.name}.boot"
    booted.write_text("00000000-0000-4000-8000-000000000000\n")
    monkeypatch.setattr(highwater, "_BOOT_ID", booted)
    assert _opened(tmp_path, ("synced",)) == [SMALL]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _mark: b"",
        lambda mark: mark[:-1],
        lambda mark: bytes(len(mark)),
        lambda mark: b"\xff" * len(mark),
        lambda mark: mark[:3] + b"?" + mark[4:],
    ],
    ids=["empty", "cut", "zeros", "ones", "torn"],
)
def test_a_mark_that_is_not_whole_says_nothing(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "highwater"
    writer = HighWater(path, "full")
    writer.reach(7)
    writer.close()
    assert mark(path) == 7
    path.write_bytes(damage(path.read_bytes()))
    assert mark(path) == 0
    assert mark(tmp_path / "missing") == 0


def test_a_mark_that_cannot_be_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "highwater"
    writer = HighWater(path, "full")
    writer.reach(7)
    writer.close()
    writer.reach(8)
    assert mark(path) == 7


def test_where_boots_cannot_be_told_apart_what_is_relaxed_is_not_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(highwater, "_BOOT_ID", tmp_path / "absent")
    relaxed = HighWater(tmp_path / "mark", "relaxed")
    relaxed.reach(5)
    relaxed.close()
    assert mark(tmp_path / "mark") == 0
