"""`objectstore check` finds what is wrong in each layer, mends it when told to, and says it by its exit code."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from cli.served import environment, invoke
from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.config.build import build
from objectstore.config.schema import load

LARGE = bytes(200_000)
CONFIG = """
stores:
  first: {type: EngineStore, config: {path: first}}
  second: {type: FilesystemStore, config: {root_path: second}}
  mirror: {type: MirroringStore, base: [first, second]}
  inside: {type: PrefixStore, base: mirror, config: {prefix: ""}}
  memory: {type: DictStore}
main: mirror
"""


async def _fill(backend: Backend) -> None:
    async with backend as store:
        await store.put("small", b"1")
        await store.put("large", LARGE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds storage.yaml, and a mirror of two stores with two objects."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "storage.yaml").write_text(CONFIG)
    asyncio.run(_fill(build(load(Path("storage.yaml"), os.environ))))
    return tmp_path


def _blob(data: Path) -> Path:
    return next(path for path in (data / "blobs").rglob("*") if path.is_file())


def test_all_is_well(folder: Path) -> None:
    for arguments in (
        ["first"],
        ["--data", "first"],
        ["--config", "storage.yaml"],
        ["--config", "storage.yaml", "--deep", "--repair"],
    ):
        answer = invoke("check", *arguments, cwd=folder)
        assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"all is well\n")


def test_a_folder_is_named_once(folder: Path) -> None:
    answer = invoke("check", "first", "--data", "first", cwd=folder)
    assert (answer.returncode, b"once" in answer.stderr) == (2, True)
    assert invoke("check", "--data", "first", "--config", "storage.yaml", cwd=folder).returncode == 2


def test_a_damaged_folder_is_told_and_stays(folder: Path) -> None:
    _blob(folder / "first").unlink()
    answer = invoke("check", "first", "--repair", cwd=folder)
    assert answer.returncode == 1
    assert answer.stdout == b"first: missing: large: the body is missing\n"
    assert answer.stderr == b"1 found, 0 repaired\n"


def test_what_is_left_over_is_removed_when_told_to(folder: Path) -> None:
    orphan = _blob(folder / "first").with_name("0123456789")
    orphan.write_bytes(b"left over")
    assert invoke("check", "first", cwd=folder).returncode == 1
    answer = invoke("check", "first", "--repair", "--quiet", cwd=folder)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert answer.stdout.endswith(b"no row refers to this file (repaired)\n")
    assert not orphan.exists()


def test_copies_are_compared_and_mended(folder: Path) -> None:
    (folder / "second" / "small").unlink()
    (folder / "second" / "large").write_bytes(b"foreign")
    answer = invoke("check", "--config", "storage.yaml", "--json", cwd=folder)
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(one["store"], one["kind"], one["name"], one["repaired"]) for one in found] == [
        ("mirror", "different", "large", False),
        ("mirror", "missing", "small", False),
    ]
    assert (answer.returncode, answer.stderr) == (1, b"")
    assert invoke("check", "--config", "storage.yaml", "--repair", cwd=folder).returncode == 0
    assert (folder / "second" / "large").read_bytes() == LARGE
    assert invoke("check", "--config", "storage.yaml", cwd=folder).stdout == b""


def test_a_mirror_heals_the_folder_inside_it_in_one_run(folder: Path) -> None:
    _blob(folder / "first").write_bytes(bytes(LARGE[:-1]) + b"?")
    answer = invoke("check", "--config", "storage.yaml", "--deep", "--repair", cwd=folder)
    assert answer.returncode == 0
    assert answer.stdout.decode().startswith("mirror: damaged: large: child 0 (EngineStore)")
    assert len(answer.stdout.splitlines()) == 1
    assert invoke("check", "first", "--deep", cwd=folder).returncode == 0


def test_layers_inside_others_are_found(folder: Path) -> None:
    (folder / "second" / "small").unlink()
    answer = invoke("check", "--config", "storage.yaml", "--store", "inside", cwd=folder)
    assert answer.stdout.startswith(b"mirror: missing: small")


def test_a_store_without_a_layer_that_checks_is_passed_over(folder: Path) -> None:
    answer = invoke("check", "--config", "storage.yaml", "--store", "memory", cwd=folder)
    assert (answer.returncode, answer.stderr) == (0, b"no layer of this store can be checked\n")


def test_settings_say_what_is_checked(folder: Path) -> None:
    (folder / "second" / "small").unlink()
    configured = environment(STORAGE_CONFIG="storage.yaml")
    assert invoke("check", cwd=folder, env=configured).stdout.startswith(b"mirror: missing: small")
    assert invoke("check", "--store", "first", cwd=folder, env=configured).returncode == 0
    assert invoke("check", cwd=folder, env=environment(DATA_DIR="first")).returncode == 0


def test_it_runs_beside_an_open_store(folder: Path) -> None:
    async def open_beside() -> int:
        async with EngineBackend(folder / "first"):
            checked = await asyncio.to_thread(invoke, "check", "first", "--deep", cwd=folder)
            return checked.returncode

    assert asyncio.run(open_beside()) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "not a data directory"),
        ([], "not a data directory"),
        (["first", "--config", "storage.yaml"], "not both"),
        (["--store", "first"], "--config"),
        (["--config", "storage.yaml", "--store", "frist"], "first"),
        (["--config", "missing.yaml"], "missing.yaml"),
    ],
)
def test_what_cannot_be_checked_is_said_in_a_line(folder: Path, arguments: list[str], told: str) -> None:
    answer = invoke("check", *arguments, cwd=folder)
    assert answer.returncode == 2
    assert told in answer.stderr.decode()
    assert len(answer.stderr.splitlines()) == 1
