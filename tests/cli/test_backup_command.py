"""`objectstore backup` beside a running server, and `objectstore restore`, as an operator uses them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from cli.served import invoke, serving
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.reading import read_all
from objectstore.values import ListQuery

LARGE = bytes(range(256)) * 1000


def _fill(data: Path, *keys: str) -> None:
    async def fill() -> None:
        async with EngineBackend(data) as backend:
            for key in keys:
                await backend.put(key, LARGE)

    asyncio.run(fill())


def test_what_is_backed_up_while_it_is_served_is_served_again(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path / "data"), "--workers", "2") as server:
        assert server.command("put", "-", "large", stdin=b"0123456789" * 1000).returncode == 0
        (tmp_path / "large.bin").write_bytes(LARGE)
        assert server.command("put", str(tmp_path / "large.bin"), "huge").returncode == 0
        answer = invoke("backup", "backup", "--data", "data", cwd=tmp_path)
        assert (answer.returncode, answer.stdout) == (0, b"")
        assert b"backup holds 2 objects" in answer.stderr
        assert server.command("put", "-", "later", stdin=b"later").returncode == 0
        tokens = (tmp_path / "data" / "tokens.json").read_bytes()
    answer = invoke("restore", "backup", "--data", "again", "--deep", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (0, b"")
    assert b"again holds 2 objects" in answer.stderr
    assert invoke("check", "again", "--deep", cwd=tmp_path).returncode == 0
    assert (tmp_path / "again" / "tokens.json").read_bytes() == tokens

    async def read() -> None:
        async with EngineBackend(tmp_path / "again") as backend:
            assert (await backend.list(ListQuery())).keys == ("huge", "large")
            async with backend.get("huge") as opened:
                assert await read_all(opened) == LARGE

    asyncio.run(read())


def test_programs_are_told_what_was_moved(tmp_path: Path) -> None:
    _fill(tmp_path / "data", "a", "b")
    first = json.loads(invoke("backup", "backup", "--data", "data", "--copy", "--json", cwd=tmp_path).stdout)
    assert (first["objects"], first["bytes"], first["files"], first["copied"]) == (2, 2 * len(LARGE), 2, 2)
    second = json.loads(invoke("backup", "backup", "--copy", "--json", cwd=tmp_path, env=_at("data")).stdout)
    assert (second["copied"], second["copied_bytes"], second["linked"], second["removed"]) == (0, 0, 0, 0)
    answer = invoke("restore", "backup", "--data", "again", "--json", cwd=tmp_path)
    assert json.loads(answer.stdout) == {
        "taken": second["taken"],
        "objects": 2,
        "bytes": 2 * len(LARGE),
        "lost": [],
    }


def _at(data: str) -> dict[str, str]:
    return {"DATA_DIR": data}


def test_exit_codes_tell_mistakes_from_damage(tmp_path: Path) -> None:
    answer = invoke("backup", "backup", "--data", "nowhere", cwd=tmp_path)
    assert answer.returncode == 2
    assert b"not a data directory" in answer.stderr
    _fill(tmp_path / "data", "a")
    assert invoke("backup", "backup", "--data", "data", "--copy", "--quiet", cwd=tmp_path).stderr == b""
    assert invoke("restore", "backup", "--data", "data", cwd=tmp_path).returncode == 2
    (blob,) = (tmp_path / "backup" / "blobs").glob("*/*")
    blob.unlink()
    answer = invoke("restore", "backup", "--data", "refused", cwd=tmp_path)
    assert answer.returncode == 1
    assert b"missing: a: the body is missing" in answer.stderr
    answer = invoke("restore", "backup", "--data", "salvaged", "--salvage", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (1, b"missing: a: the body is missing\n")
