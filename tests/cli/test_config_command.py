"""`objectstore config check` and `objectstore config types`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.served import environment, invoke
from config.distribution import install
from objectstore.config.types import TYPES

TREE = """\
stores:
  main:
    type: PrefixStore
    config: {prefix: p/}
    base: read
  read:
    type: ReadonlyStore
    base: files
  files:
    type: FilesystemStore
    config: {root_path: "${ROOT}"}
  spare:
    type: DictStore
main: main
"""
SECRET = """\
stores:
  a:
    type: NotifyingStore
    config: {url: "http://127.0.0.1:9/", secret: "${HUSH}"}
    base: b
  b: {type: PrefixStore, config: {prefix: "redis://user:hush@host/"}, base: c}
  c: {type: "backends.foreign_classes:Shelf", config: {label: "${HUSH}"}}
main: a
"""

BUCKET = """\
stores:
  a: {type: IdentityStore, base: b}
  b:
    type: BucketStore
    config:
      bucket_name: b
      endpoint_url: http://127.0.0.1:1
      s3_access_key: a
      s3_secret_key: b
      botocore_config: {foo: 1}
main: a
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    path = tmp_path / "storage.yaml"
    path.write_text(TREE)
    return path


def check(file: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    env = environment(ROOT=str(file.parent / "files"), HUSH="hush-hush")
    return invoke("config", "check", str(file), *options, env=env)


def test_the_tree_is_printed_with_what_each_layer_can_do(file: Path) -> None:
    told = check(file)
    assert (told.returncode, told.stderr) == (0, b"")
    lines = [line for line in told.stdout.decode().splitlines() if "note: " not in line]
    assert lines[0] == "main: PrefixStore(prefix='p/') (main)"
    assert lines[1].startswith("    can: persistent, shared, ")
    assert lines[2].startswith("    cannot: write, ")
    assert lines[3] == "  read: ReadonlyStore()"
    [files] = [line for line in lines if "FilesystemStore" in line]
    assert files == f"    files: FilesystemStore(root_path='{file.parent}/files')"
    spare = lines.index("spare: DictStore()")
    assert lines[spare + 1].startswith("    can: write, ")
    assert lines[spare + 2] == "    cannot: persistent, shared, quotas"
    assert len(lines) == spare + 3


def test_programs_are_told_of_every_store(file: Path) -> None:
    told = json.loads(check(file, "--json").stdout)
    assert told["main"] == "main"
    stores = {one["name"]: one for one in told["stores"]}
    assert [*stores] == ["main", "read", "files", "spare"]
    assert stores["main"]["bases"] == ["read"]
    assert stores["main"]["place"] == f"{file}:2"
    assert stores["read"]["capabilities"]["write"] is False
    assert stores["files"]["capabilities"]["write"] is True
    assert stores["files"]["config"] == {"root_path": f"'{file.parent}/files'"}


def test_nothing_is_changed(file: Path) -> None:
    (file.parent / "files" / "there").write_bytes(b"1")
    before = sorted(file.parent.rglob("*"))
    assert check(file).returncode == 0
    assert [one for one in sorted(file.parent.rglob("*")) if ".objectstore" not in one.parts] == before


def test_what_is_passed_over_is_warned_of_once(file: Path) -> None:
    file.write_text(BUCKET)
    told = check(file)
    assert told.returncode == 2
    assert told.stderr.decode().count("foo has no meaning") == 1
    assert "store 'b' (BucketStore) cannot be opened" in told.stderr.decode()


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_secrets_are_not_shown(file: Path, option: list[str]) -> None:
    file.write_text(SECRET)
    told = check(file, *option)
    assert told.returncode == 0, told.stderr
    assert b"(hidden)" in told.stdout
    assert b"redis://(hidden)@host/" in told.stdout
    assert b"hush" not in told.stdout + told.stderr


def test_a_terminal_is_shown_a_drawn_tree(file: Path) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "objectstore", "config", "check", str(file)]
    env = environment(ROOT=str(file.parent / "files"), TERM="xterm", COLUMNS="160")
    subprocess.run(command, stdout=child, env=env, check=True, timeout=60)
    os.close(child)
    shown = b""
    try:
        while chunk := os.read(parent, 65536):
            shown += chunk
    except OSError:
        pass  # Linux, when all has been read
    finally:
        os.close(parent)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert "└── files: FilesystemStore(" in plain
    assert plain.index("main: PrefixStore") < plain.index("read: ReadonlyStore") < plain.index("spare: DictStore")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("type: DictStore", "type: DictStor", ":13: store 'spare': unknown type 'DictStor'; did you mean 'DictStore'?"),
        ("prefix: p/", "prefx: p/", ":4: store 'main' (PrefixStore): unknown parameter 'prefx'; did you mean 'prefix'"),
        ("{prefix: p/}", "{}", ":4: store 'main' (PrefixStore): the parameter 'prefix' is missing"),
        ("base: files", "base: file", ":8: store 'read' (ReadonlyStore): unknown base 'file'; did you mean 'files'?"),
        ("base: files", "base: main", ":2: store 'main' is its own base: main → read → main"),
        (
            "type: DictStore",
            "type: DictStore\n    base: main",
            ":14: store 'spare' (DictStore): it stores objects itself and takes no base",
        ),
        ("main: main", "", ":1: there is no 'main'"),
        ("main: main", "main: man", ":14: 'main' is no store: 'man'; did you mean 'main'?"),
        ("  spare:", "  files:", ":12: 'files' is there twice"),
        ("stores:", "stores: [", ":3: not YAML: expected "),
        ("${ROOT}", "${RUT}", ":11: store 'files' needs the environment variable RUT, which is not set"),
        ("type: DictStore", "type: 'no.such:Class'", ":12: store 'spare' (no.such:Class): there is no module 'no'"),
        ("type: DictStore", "type: WornStore", ":13: store 'spare': the type 'WornStore' of the package tapes "),
        (
            "type: DictStore",
            "type: FilesystemStore\n    config: {root_path: storage.yaml/x}",
            ":12: store 'spare' (FilesystemStore) cannot be opened: ",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_place_and_exit_code_2(
    file: Path, old: str, new: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    install(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    file.write_text(TREE.replace(old, new.replace("storage.yaml", str(file)), 1))
    told = check(file)
    assert told.returncode == 2
    assert told.stdout == b""
    assert told.stderr.decode().startswith(f"objectstore: {file}{complaint}")
    assert told.stderr.count(b"\n") == 1


def test_programs_are_told_of_mistakes_too(file: Path) -> None:
    file.write_text("[")
    told = check(file, "--json")
    assert told.returncode == 2
    assert json.loads(told.stderr)["error"]["message"].startswith(f"{file}:")


def test_the_file_may_be_left_out(file: Path) -> None:
    env = environment(ROOT=str(file.parent / "files"))
    assert invoke("config", "check", cwd=file.parent, env=env).returncode == 0
    assert invoke("config", "check", env={**env, "STORAGE_CONFIG": str(file)}).returncode == 0
    assert b"storage.yaml: No such file" in invoke("config", "check", cwd=file.parent / "files", env=env).stderr


def test_types_are_listed_with_a_line_each() -> None:
    lines = invoke("config", "types").stdout.decode().splitlines()
    assert [line.split()[0] for line in lines[: len(TYPES)]] == [one.names[0] for one in TYPES]


def test_all_of_one_type_is_told_by_any_of_its_names() -> None:
    told = invoke("config", "types", "AsyncFilesystemStore").stdout.decode()
    assert "FilesystemStore, AsyncFilesystemStore" in told
    assert "root_path, required: a path" in told
    assert re.search(r"^can: .*write", told, re.MULTILINE)


def test_a_type_that_is_none_is_told_with_what_may_have_been_meant() -> None:
    told = invoke("config", "types", "FileSystemStor")
    assert told.returncode == 2
    assert b"there is no type 'FileSystemStor'; did you mean 'FilesystemStore'?" in told.stderr


def test_programs_are_told_of_every_type() -> None:
    told = [json.loads(line) for line in invoke("config", "types", "--json").stdout.splitlines()]
    [files] = [one for one in told if "FilesystemStore" in one["names"]]
    [path] = files["parameters"]
    assert (path["name"], path["required"], files["base"]) == ("root_path", True, None)
    assert files["capabilities"]["write"] is True


def test_types_of_packages_are_listed_and_a_broken_one_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    listed = invoke("config", "types")
    assert b"passed over: the type 'WornStore' of the package tapes" in listed.stderr
    told = listed.stdout.decode()
    assert re.search(r"^DrumStore +A drum\.$", told, re.MULTILINE)
    assert re.search(r"^TapeStore +A class that a package adds\.$", told, re.MULTILINE)
    assert "rpm, required" in invoke("config", "types", "DrumStore").stdout.decode()
    worn = invoke("config", "types", "WornStore")
    assert worn.returncode == 2
    assert b"RuntimeError: worn out" in worn.stderr
