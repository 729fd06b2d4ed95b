"""A data directory of each format that was ever kept is still read, and goes on; one of a newer format is not touched.

`python -m tools.golden` makes them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.engine.scenes import CRASHED, assert_sound, in_child, read
from cli.served import invoke, serving
from objectstore import open_store
from objectstore.backends.engine import backup, restore, schema
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.cli import exits
from objectstore.client import RestStore
from objectstore.errors import ConfigurationError
from objectstore.values import Attributes
from tools import golden

ALL = sorted(path.name for path in golden.GOLDEN.iterdir())
WITH_BACKUP = [name for name in ALL if (golden.GOLDEN / name / "backup").is_dir()]
NEWEST = "1-usage"  # whose schema is that of the present code
LARGE = bytes(range(250)) * 8
SMALL = b"a small body"
NEWER = 99


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    """A copy of one of them."""
    return Path(shutil.copytree(golden.GOLDEN / name, tmp_path / name))


def described(data: Path) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with EngineBackend(data) as backend:
            return await golden.described(backend)

    return asyncio.run(run())


def expected(root: Path) -> dict[str, Any]:
    contents = golden.of(root)
    return {"objects": contents["objects"], "uploads": contents["uploads"]}


def test_what_the_present_code_writes_is_kept() -> None:
    written = golden.formats()
    kept = [golden.of(golden.GOLDEN / name)["formats"] for name in ALL]
    assert written in kept, (
        "the schema of the index, or a version, is one that no golden directory has; when the change is meant, "
        "and older directories are still read, keep one for later: python -m tools.golden NAME"
    )
    assert golden.of(golden.GOLDEN / NEWEST)["formats"] == written


@pytest.mark.parametrize("name", ALL)
def test_it_is_read_and_goes_on(root: Path) -> None:
    data = root / "data"
    assert list(check(data, deep=True)) == []
    assert described(data) == expected(root)

    async def go_on() -> None:
        async with EngineBackend(data, grace=timedelta(0)) as backend:
            # What every one of them has, told apart from what the tool wrote down.
            assert await read(backend, "large") == LARGE
            assert await read(backend, "small") == SMALL
            assert (await backend.head("large")).etag == "chosen"
            (upload,) = (await backend.uploads.list()).uploads
            parts = (await backend.uploads.get(upload.upload_id)).parts
            info = await backend.uploads.complete(upload.upload_id, [(part.number, part.etag) for part in parts])
            assert info.attributes == Attributes(cache_control="no-store")
            assert await read(backend, "upload") in {LARGE + SMALL, LARGE + b"the end"}
            await backend.put("large", SMALL)
            await backend.put("new", bytes(100_000))
            await backend.delete("folder/copy")
            assert (await backend.usage(["folder/"]))[0].objects == 1
            await backend.collect_garbage()

    asyncio.run(go_on())
    assert_sound(data)
    assert {"new", "upload"} <= described(data)["objects"].keys()


@pytest.mark.parametrize("name", ALL)
def test_it_is_served(root: Path) -> None:
    contents = golden.of(root)
    data = root / "data"
    with serving("--data", str(data), "--server", "uvicorn") as served:
        # Tokens of then are good, where there were any.
        with RestStore.create(served.url, contents.get("token") or served.token) as store:
            assert sorted(store.keys()) == sorted(contents["objects"])
            for key, told in contents["objects"].items():
                assert hashlib.sha256(store.get(key)).hexdigest() == told["body"]
                assert store.head(key).etag == told["etag"]
            store.put("folder/new", LARGE)
            assert store.sign("folder/new").url.startswith(served.url)
        assert served.stop() == 0
    checked = invoke("check", str(data), "--deep")
    assert checked.returncode == 0, checked
    assert described(data)["objects"]["folder/new"]["body"] == hashlib.sha256(LARGE).hexdigest()


@pytest.mark.parametrize("name", WITH_BACKUP)
def test_its_backup_is_restored_and_gone_on_with(root: Path, tmp_path: Path) -> None:
    contents = golden.of(root)
    restored = tmp_path / "restored"
    restore.restore(root / "backup", restored, deep=True)
    assert sorted(described(restored)["objects"]) == contents["backed_up"]
    assert json.loads((restored / "tokens.json").read_text()) == json.loads((root / "data" / "tokens.json").read_text())
    taken = backup.take(root / "data", root / "backup", now=datetime.now(UTC))
    assert taken.manifest.objects == len(contents["objects"])
    again = tmp_path / "again"
    restore.restore(root / "backup", again, deep=True)
    assert described(again) == expected(root)


@pytest.mark.parametrize("name", ALL)
def test_to_look_at_it_changes_nothing_of_what_it_is(root: Path, tmp_path: Path) -> None:
    """A release that only looks, or backs up, leaves an older directory to the release that wrote it."""
    data = root / "data"
    before = tables(data)
    for command in (
        ["check", str(data), "--deep"],
        ["info", "--data", str(data)],
        ["usage", "--data", str(data)],
        ["backup", str(tmp_path / "taken"), "--data", str(data)],
    ):
        done = invoke(*command)
        assert done.returncode == 0, done
    assert tables(data) == before
    assert described(data) == expected(root)


@pytest.mark.parametrize("name", ["1"])
@pytest.mark.parametrize("statement", range(5))
def test_a_change_of_the_schema_that_is_cut_short_does_no_harm(
    root: Path, statement: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = root / "data"
    before = tables(data)
    add = schema.add_usage

    def add_and_die(connection: sqlite3.Connection) -> None:
        left = iter(range(statement))

        def die(_statement: str) -> None:
            if next(left, None) is None:
                os._exit(CRASHED)

        connection.set_trace_callback(die)  # called before each statement
        add(connection)
        os._exit(CRASHED)

    async def opened() -> None:
        async with EngineBackend(data):
            raise AssertionError

    monkeypatch.setattr(schema, "add_usage", add_and_die)
    code, _ = in_child(lambda _say: asyncio.run(opened()))
    monkeypatch.undo()
    assert code == CRASHED
    assert (tables(data) == before) is (statement < 4), "a change is made whole or not at all"
    assert list(check(data, deep=True)) == []
    assert described(data) == expected(root)
    assert tables(data) == tables(golden.GOLDEN / NEWEST / "data")
    assert_sound(data)


def tables(data: Path) -> list[tuple[str, str]]:
    """The schema of its index."""
    mode = "immutable=1" if data.is_relative_to(golden.GOLDEN) else "mode=ro"
    with closing(sqlite3.connect(f"file:{data / 'index.sqlite3'}?{mode}", uri=True)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


@pytest.mark.parametrize("name", [NEWEST])
def test_tables_of_a_later_release_are_left_alone(root: Path) -> None:
    data = root / "data"
    with closing(sqlite3.connect(data / "index.sqlite3")) as connection:
        connection.executescript("CREATE TABLE later (what TEXT); INSERT INTO later VALUES ('kept');")

    async def go_on() -> None:
        async with EngineBackend(data) as backend:
            await backend.put("new", LARGE)

    asyncio.run(go_on())
    assert list(check(data, deep=True, repair=True)) == []
    with closing(sqlite3.connect(data / "index.sqlite3")) as connection:
        assert connection.execute("SELECT what FROM later").fetchall() == [("kept",)]


def everything(root: Path) -> dict[str, tuple[object, ...]]:
    """Each file and folder below, with all that a change of it would change."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (root, *root.rglob("*")):
        told = path.stat()
        body = path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (told.st_mode, told.st_mtime_ns, told.st_ino, told.st_size, body)
    return found


def make_newer(file: Path) -> None:
    """The version in it is one that nobody knows yet."""
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "version": NEWER, "more": "of later"}))


@pytest.mark.parametrize("name", [NEWEST])
class TestNewer:
    @pytest.mark.parametrize(
        "command",
        [
            "serve --data {data} --port 0",
            "check {data}",
            "check {data} --deep --repair",
            "check {data} --deep --repair --from {backup}",
            "backup {new} --data {data}",
            "backup {backup} --data {data}",
            "info --data {data}",
            "usage --data {data}",
            "scrub now --data {data}",
            "scrub status --data {data}",
        ],
    )
    def test_a_data_directory_is_refused_untouched(self, command: str, root: Path, tmp_path: Path) -> None:
        make_newer(root / "data" / "FORMAT")
        before = everything(root)
        places = {"data": root / "data", "backup": root / "backup", "new": tmp_path / "new"}
        refused = invoke(*(word.format(**places) for word in command.split()))
        assert refused.returncode == exits.USAGE, refused
        assert f"format version {NEWER}".encode() in refused.stderr
        assert everything(root) == before
        assert not (tmp_path / "new").exists()

    def test_by_the_library_as_well(self, root: Path) -> None:
        make_newer(root / "data" / "FORMAT")
        before = everything(root)

        async def engine() -> None:
            async with EngineBackend(root / "data"):
                pass

        with pytest.raises(ConfigurationError, match=f"format version {NEWER}"):
            asyncio.run(engine())
        with pytest.raises(ConfigurationError, match=f"format version {NEWER}"), open_store(root / "data"):
            pass
        assert everything(root) == before

    @pytest.mark.parametrize("file", ["BACKUP", "states/*/FORMAT"])
    @pytest.mark.parametrize(
        "command",
        ["restore {backup} --data {new}", "backup {backup} --data {data}", "check {data} --repair --from {backup}"],
    )
    def test_a_backup_is_refused_untouched(self, command: str, file: str, root: Path, tmp_path: Path) -> None:
        (found,) = (root / "backup").glob(file)
        make_newer(found)
        before = everything(root / "backup")
        places = {"data": root / "data", "backup": root / "backup", "new": tmp_path / "new"}
        refused = invoke(*(word.format(**places) for word in command.split()))
        assert refused.returncode == exits.USAGE, refused
        assert str(NEWER).encode() in refused.stderr
        assert everything(root / "backup") == before
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize(
        "command",
        [
            "serve --data {data} --port 0",
            "token list --file {tokens}",
            "token add x --file {tokens} --ttl 1 --scope read",
        ],
    )
    def test_tokens_are_refused_untouched(self, command: str, root: Path) -> None:
        tokens = root / "data" / "tokens.json"
        make_newer(tokens)
        before = tokens.stat().st_mtime_ns, tokens.read_bytes()
        refused = invoke(*(word.format(data=root / "data", tokens=tokens) for word in command.split()))
        assert refused.returncode == exits.USAGE, refused
        assert f"version is {NEWER}".encode() in refused.stderr
        assert (tokens.stat().st_mtime_ns, tokens.read_bytes()) == before

    def test_what_scrubbing_remembers_is_left_alone(self, root: Path) -> None:
        state = root / "data" / "scrub" / "state.json"
        make_newer(state)
        before = state.stat().st_mtime_ns, state.read_bytes()
        refused = invoke("scrub", "now", "--data", str(root / "data"))
        assert refused.returncode == exits.FAILED, refused
        assert b"newer release" in refused.stderr
        assert (state.stat().st_mtime_ns, state.read_bytes()) == before
