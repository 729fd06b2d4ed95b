"""`objectstore copy-store`, the program."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.served import PROGRAM, environment, invoke
from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.testing.suite.harness import found, keys
from objectstore.values import Attributes, PutOptions

OBJECTS = {"a": b"1", "b/c": b"22", "b/ä": b"333"}

YAML = """\
stores:
  old: {type: FilesystemStore, config: {root_path: old}}
  new: {type: EngineStore, config: {path: new}}
  memory: {type: DictStore, config: {objects: {x: "x"}}}
main: new
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a storage.yaml, and some plain files."""
    (tmp_path / "storage.yaml").write_text(YAML)
    for key, data in OBJECTS.items():
        path = tmp_path / "old" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def copy(here: Path, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> tuple[str, str]:
    done = invoke("copy-store", *arguments, cwd=here, env=env)
    assert done.returncode == code, done
    return done.stdout.decode(), done.stderr.decode()


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def held(backend: Backend) -> dict[str, bytes]:
    async def read() -> dict[str, bytes]:
        async with backend:
            objects = {key: await found(backend, key) for key in await keys(backend)}
            return {key: one[1] for key, one in objects.items() if one is not None}

    return asyncio.run(read())


def test_a_store_of_the_file_is_copied_to_another_one(here: Path) -> None:
    out, err = copy(here, "old", "new")
    assert out == ""
    assert err.startswith("copied 3 objects (6 B, ")
    assert err.endswith("skipped 0, deleted 0, failed 0\n")
    assert held(EngineBackend(here / "new")) == OBJECTS
    assert copy(here, "old", "new")[1] == "copied 0 objects (0 B), skipped 3, deleted 0, failed 0\n"


def test_addresses_need_no_file(here: Path) -> None:
    (here / "storage.yaml").unlink()
    copy(here, f"file://{here}/old", "./data", "--quiet")
    assert held(EngineBackend(here / "data")) == OBJECTS
    assert copy(here, "data", f"file://{here}/back", "--quiet") == ("", "")
    assert held(FilesystemBackend(here / "back")) == OBJECTS


@pytest.mark.parametrize("how", ["option", "environment"])
def test_the_file_may_be_elsewhere(here: Path, how: str) -> None:
    (here / "storage.yaml").rename(here / "other.yaml")
    if how == "option":
        copy(here, "old", "new", "--config", "other.yaml")
    else:
        copy(here, "old", "new", env=environment(STORAGE_CONFIG="other.yaml"))
    assert held(EngineBackend(here / "new")) == OBJECTS


def test_a_dry_run_tells_and_does_nothing(here: Path) -> None:
    out, err = copy(here, "old", "./data", "--dry-run")
    assert out.splitlines() == ["would copy a (1 B)", "would copy b/c (2 B)", "would copy b/ä (3 B)"]
    assert err == "would have copied 3 objects (6 B), skipped 0, deleted 0, failed 0\n"
    assert not (here / "data").exists()
    copy(here, "old", "./data", "--prefix", "b/")
    (here / "old" / "b" / "c").unlink()
    told = events(copy(here, "old", "data", "--dry-run", "--delete", "--json")[0])
    assert [(one["event"], one.get("key")) for one in told] == [
        ("would_copy", "a"), ("would_delete", "b/c"), ("summary", None)
    ]  # fmt: skip
    assert held(EngineBackend(here / "data")).keys() == {"b/c", "b/ä"}


def test_delete_makes_the_target_what_the_source_is(here: Path) -> None:
    copy(here, "old", "new")
    (here / "old" / "a").unlink()
    (here / "old" / "b" / "c").unlink()
    told = events(copy(here, "old", "new", "--delete", "--prefix", "b", "--json")[0])
    assert told[0] == {"event": "deleted", "key": "b/c"}
    assert held(EngineBackend(here / "new")).keys() == {"a", "b/ä"}


def test_programs_are_told_in_json(here: Path) -> None:
    out, err = copy(here, "old", "new", "--json")
    assert err == ""
    *copied, summary = events(out)
    assert {(one["event"], one["key"], one["size"]) for one in copied} == {
        ("copied", key, len(data)) for key, data in OBJECTS.items()
    }
    assert summary.pop("seconds") > 0
    assert summary.pop("rate") > 0
    assert summary == {
        "event": "summary", "copied": 3, "skipped": 0, "deleted": 0, "failed": 0, "bytes": 6, "complete": True,
        "stopped": None,
    }  # fmt: skip


def put(folder: Path, key: str, data: bytes = b"", attributes: Attributes | None = None) -> None:
    async def write() -> None:
        async with EngineBackend(folder) as backend:
            await backend.put(key, data, PutOptions(attributes=attributes or Attributes()))

    asyncio.run(write())


def test_what_fails_is_listed_at_the_end_and_by_the_exit_code(here: Path) -> None:
    put(here / "new", "a/../b")
    put(here / "new", "fine")
    _, err = copy(here, "new", f"file://{here}/files", code=1)
    summary, failure = err.splitlines()
    assert summary.startswith("copied 1 objects")
    assert summary.endswith("failed 1")
    assert failure.startswith("objectstore: a/../b: ")
    told = events(copy(here, "new", f"file://{here}/files", "--delete", "--json", code=1)[0])
    assert told[0]["error"]["code"] == "invalid_key"
    assert told[-1]["complete"] is False


def test_nothing_is_deleted_after_a_failure_and_that_is_told(here: Path) -> None:
    put(here / "new", "a/../b")
    out, _ = copy(here, "new", "old", "--delete", "--json", code=1)
    assert events(out)[-1]["stopped"]["reason"] == "3 objects that only the target has were not deleted"
    _, err = copy(here, "new", "old", "--delete", code=1)
    assert err.splitlines()[-1] == (
        "objectstore: 3 objects that only the target has were not deleted: "
        "what the source does not have is deleted only when everything else is copied"
    )
    assert held(FilesystemBackend(here / "old")) == OBJECTS


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("old", "old"), "the same store"),
        (("new", "./new"), "the same store"),
        (("old", "./old/data"), "one lies in the other"),
        (("nowhere", "new"), "'nowhere' is no store: not one of storage.yaml"),
        (("./nowhere", "new"), "there is no nowhere"),
        (("file:///nowhere/at/all", "new"), "there is no /nowhere/at/all"),
        (("old", "htps://host"), "unknown scheme 'htps'; did you mean 'https'?"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(
    here: Path, arguments: tuple[str, str], complaint: str
) -> None:
    (here / "new").mkdir()
    assert complaint in copy(here, *arguments, "--delete", code=2)[1]
    assert not list((here / "new").iterdir())
    assert not (here / "old" / "data").exists()


def test_a_target_is_not_emptied_by_a_mistyped_prefix(here: Path) -> None:
    put(here / "new", "photos/1")
    (here / "old" / "photos").mkdir()
    assert "a target is not emptied" in copy(here, "old", "new", "--delete", "--prefix", "photos/", code=1)[1]
    assert held(EngineBackend(here / "new")).keys() == {"photos/1"}


# Large enough that a copy of all is not over before it is interrupted.
MANY = {f"{number:04}": number.to_bytes(4, "big") * 10_000 for number in range(150)}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    (tmp_path / "many").mkdir()
    for key, data in MANY.items():
        (tmp_path / "many" / key).write_bytes(data)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "signalled", "code"),
    [
        ("engine", signal.SIGKILL, -9),
        ("filesystem", signal.SIGKILL, -9),
        ("engine", signal.SIGINT, 130),
        ("filesystem", signal.SIGTERM, 143),
    ],
)
def test_a_copy_that_is_ended_goes_on_when_it_is_run_again(
    many: Path, kind: str, signalled: signal.Signals, code: int
) -> None:
    target = "./data" if kind == "engine" else f"file://{many}/copy"
    command = [*PROGRAM, "copy-store", f"file://{many}/many", target, "--json", "--jobs", "4"]
    env = environment(PYTHONUNBUFFERED="1")
    with subprocess.Popen(command, cwd=many, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = 0
        while told < 5:
            told += b'"copied"' in process.stdout.readline()
        os.kill(process.pid, signalled)
        rest = process.stdout.read().decode()
        assert process.wait(30) == code
    if signalled is not signal.SIGKILL:
        summary = json.loads(rest.splitlines()[-1])
        assert summary["event"] == "summary"
        assert summary["complete"] is False
    again = events(copy(many, f"file://{many}/many", target, "--json")[0])[-1]
    assert again["skipped"] >= 5
    assert again["copied"] >= 1
    assert again["copied"] + again["skipped"] == len(MANY)
    backend: Backend = EngineBackend(many / "data") if kind == "engine" else FilesystemBackend(many / "copy")
    assert held(backend) == MANY


def test_attributes_come_along_between_stores_that_keep_them(here: Path) -> None:
    kept = Attributes(content_type="text/plain", metadata={"author": "Ada"})
    put(here / "new", "key", b"data", kept)
    copy(here, "new", "./other")

    async def read() -> Attributes:
        async with EngineBackend(here / "other") as backend:
            return (await backend.head("key")).attributes

    assert asyncio.run(read()) == kept
