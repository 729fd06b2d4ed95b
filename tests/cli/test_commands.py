"""The commands, against a real server; as processes of their own where that makes a difference."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.served import PROGRAM, Served, invoke, run
from objectstore.backends.engine.backend import EngineBackend

BODY = bytes(range(256)) * 50


def documents(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def put(server: Served, *keys: str) -> None:
    for key in keys:
        assert server.command("put", "-", key, stdin=BODY).returncode == 0


def test_a_file_goes_in_and_comes_out_unchanged(server: Served, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(BODY)
    stored = server.command("put", "photo.jpg", "trip/", cwd=tmp_path)
    assert (stored.returncode, stored.stdout) == (0, b"")
    assert b"stored trip/photo.jpg (12 KiB)" in stored.stderr
    (tmp_path / "photo.jpg").unlink()
    fetched = server.command("get", "trip/photo.jpg", cwd=tmp_path)
    assert (fetched.returncode, fetched.stdout) == (0, b"")
    assert (tmp_path / "photo.jpg").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_stdin_and_stdout_are_binary(server: Served) -> None:
    body = BODY * 1400  # more than a pipe holds, and than one part of an upload
    assert run("put", "-", "pipe", stdin=body, env=server.environment()).returncode == 0
    assert run("get", "pipe", "-", env=server.environment()).stdout == body


def test_an_empty_stdin_is_an_empty_object(server: Served) -> None:
    assert server.command("put", "-", "empty").returncode == 0
    fetched = server.command("get", "empty", "-")
    assert (fetched.returncode, fetched.stdout) == (0, b"")


def test_what_is_known_is_shown(server: Served) -> None:
    assert (
        server.command("put", "-", "known/notes.txt", "--meta", "Author=Ada", "--meta", "empty=", stdin=BODY).returncode
        == 0
    )
    shown = server.command("stat", "known/notes.txt").stdout.decode()
    facts = dict(line.split(maxsplit=1) for line in shown.splitlines() if not line.startswith("meta"))
    assert facts["key"] == "known/notes.txt"
    assert facts["size"] == "12800 (12 KiB)"
    assert facts["content-type"] == "text/plain"
    assert facts["sha-256"] == hashlib.sha256(BODY).hexdigest()
    [record] = documents(server.command("stat", "known/notes.txt", "--json").stdout)
    assert record["metadata"] == {"author": "Ada", "empty": ""}
    assert "created_at" not in record


def test_the_content_type_may_be_given(server: Served) -> None:
    answer = server.command("put", "-", "typed.txt", "--content-type", "text/csv", "--json", stdin=b"a,b")
    [record] = documents(answer.stdout)
    assert (record["key"], record["size"], record["content_type"]) == ("typed.txt", 3, "text/csv")
    assert answer.stderr == b""


def test_no_clobber_keeps_what_is_there(server: Served) -> None:
    assert server.command("put", "-", "once", "--no-clobber", stdin=b"first").returncode == 0
    again = server.command("put", "-", "once", "--no-clobber", stdin=b"second")
    assert again.returncode == 1
    assert b"already" in again.stderr
    assert server.command("get", "once", "-").stdout == b"first"


@pytest.mark.parametrize(
    ("wanted", "found"), [("0-9", BODY[:10]), ("12790-", BODY[-10:]), ("-10", BODY[-10:]), ("5-5", BODY[5:6])]
)
def test_a_part_is_fetched(server: Served, wanted: str, found: bytes) -> None:
    put(server, "ranged")
    assert server.command("get", "ranged", "-", "--range", wanted).stdout == found


def test_a_range_past_the_end_fails_and_leaves_the_file(server: Served, tmp_path: Path) -> None:
    put(server, "ranged")
    (tmp_path / "file").write_bytes(b"old")
    assert server.command("get", "ranged", "file", "--range", "80000-", cwd=tmp_path).returncode == 1
    assert (tmp_path / "file").read_bytes() == b"old"


def test_get_tells_programs_where_it_wrote(server: Served, tmp_path: Path) -> None:
    put(server, "told")
    fetched = server.command("get", "told", "--json", cwd=tmp_path)
    [record] = documents(fetched.stdout)
    assert (record["key"], record["file"]) == ("told", "told")
    piped = server.command("get", "told", "-", "--json")
    assert piped.stdout == BODY
    [record] = documents(piped.stderr)
    assert record["key"] == "told"


def test_keys_are_listed_in_groups(server: Served) -> None:
    put(server, "list/a/1", "list/a/2", "list/b", "list/b-1/x", "list/é", "list/\N{GRINNING FACE}")
    lines = server.command("ls", "list/").stdout.decode().splitlines()
    assert lines == ["list/a/", "list/b", "list/b-1/", "list/é", "list/\N{GRINNING FACE}"]
    assert server.command("ls", "list/a").stdout.decode().splitlines() == ["list/a/"]
    lines = server.command("ls", "-r", "list/").stdout.decode().splitlines()
    assert lines == sorted(["list/a/1", "list/a/2", "list/b", "list/b-1/x", "list/é", "list/\N{GRINNING FACE}"])


def test_long_lists_show_size_and_time(server: Served) -> None:
    put(server, "long/a", "long/b/c")
    first, second = server.command("ls", "-l", "long/").stdout.decode().splitlines()
    assert first.split()[:2] == ["12", "KiB"]
    assert first.endswith("  long/a")
    assert second.split() == ["-", "-", "long/b/"]


def test_programs_get_records_and_prefixes(server: Served) -> None:
    put(server, "json/a", "json/b/c")
    record, group = documents(server.command("ls", "--json", "json/").stdout)
    assert (record["key"], record["size"]) == ("json/a", len(BODY))
    assert group == {"prefix": "json/b/"}


def test_a_listing_of_many_pages_is_whole(server: Served, data: Path) -> None:
    keys = [f"many/{number:04}" for number in range(1005)]

    async def fill() -> None:
        # Around the server, which is faster; several processes may have a data directory open.
        async with EngineBackend(data) as engine:
            await asyncio.gather(*(engine.put(key, b"") for key in keys))

    asyncio.run(fill())
    assert server.command("ls", "many/").stdout.decode().splitlines() == keys
    deleted = server.command("rm", "-r", "--yes", "many/")
    assert (deleted.returncode, deleted.stderr) == (0, b"1005 deleted\n")
    assert server.command("ls", "many/").stdout == b""


def test_a_reader_that_leaves_ends_the_listing_without_a_word(server: Served) -> None:
    put(server, "left/a")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        ended = subprocess.run(
            [*PROGRAM, "ls"], stdout=closed, stderr=subprocess.PIPE, env=server.environment(), timeout=60, check=False
        )
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_existence_is_an_exit_code(server: Served) -> None:
    put(server, "here")
    there = server.command("exists", "here")
    assert (there.returncode, there.stdout) == (0, b"")
    assert server.command("exists", "here/not").returncode == 4
    told = server.command("exists", "here/not", "--json")
    assert (told.returncode, documents(told.stdout)) == (4, [{"key": "here/not", "exists": False}])


def test_deleting_tells_of_each_key(server: Served) -> None:
    put(server, "rm/a", "rm/b")
    deleted = server.command("rm", "rm/a", "rm/gone", "rm/b", "--json")
    assert deleted.returncode == 4
    found = {document["key"]: document for document in documents(deleted.stdout)}
    assert [found[key]["deleted"] for key in ("rm/a", "rm/b", "rm/gone")] == [True, True, False]
    assert found["rm/gone"]["error"]["code"] == "not_found"
    assert server.command("ls", "rm/").stdout == b""


def test_deleting_a_prefix_without_a_terminal_needs_yes(server: Served) -> None:
    put(server, "asked/a")
    refused = server.command("rm", "-r", "asked/")
    assert refused.returncode == 2
    assert b"--yes" in refused.stderr
    assert server.command("exists", "asked/a").returncode == 0


@pytest.mark.parametrize("command", [("get", "absent", "-"), ("stat", "absent"), ("rm", "absent")])
def test_what_is_not_there_is_4(server: Served, command: tuple[str, ...]) -> None:
    answer = server.command(*command)
    assert (answer.returncode, answer.stdout) == (4, b"")
    assert answer.stderr == b"objectstore: no object under the key 'absent'\n"


def test_who_may_not_is_5_and_no_token_is_shown(server: Served) -> None:
    env = {**server.environment(), "OBJECTSTORE_TOKEN": "os_wrong-secret"}
    answer = invoke("ls", "--json", env=env)
    assert answer.returncode == 5
    [told] = documents(answer.stderr)
    assert told["error"]["code"] == "unauthenticated"
    assert b"secret" not in invoke("ls", env=env).stderr


def test_a_server_that_is_not_there_is_1_and_one_line() -> None:
    answer = run("stat", "a", "--url", "http://127.0.0.1:1")
    assert answer.returncode == 1
    assert answer.stderr.startswith(b"objectstore: ")
    assert answer.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("put",),
        ("put", "-"),
        ("put", "/"),
        ("put", "-", "a", "--meta", "novalue"),
        ("put", "-", ""),
        ("get", "a/"),
        ("get", "a", "--range", "9-3"),
        ("get", "a", "--range", "-0"),
        ("get", "a", "--range", "bytes"),
        ("ls", "--url", "ftp://host"),
        ("ls", "--url", "http://host:port"),
        ("ls", "--unknown"),
        ("unknown",),
    ],
)
def test_what_cannot_be_meant_is_2_and_no_traceback(arguments: tuple[str, ...]) -> None:
    answer = invoke(*arguments)
    assert answer.returncode == 2
    assert b"Traceback" not in answer.stderr
    assert answer.stderr or not arguments


def test_a_name_that_is_not_utf_8_is_refused_in_one_line() -> None:
    answer = run("put", "-", os.fsdecode(b"\xff"))
    assert (answer.returncode, answer.stderr.count(b"\n")) == (2, 1)
    assert b"Traceback" not in answer.stderr


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    answer = invoke("put", "missing.txt", cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr == b"objectstore: missing.txt: No such file or directory\n"


def test_the_version_is_told() -> None:
    from objectstore import __version__

    assert run("--version").stdout.decode() == f"objectstore {__version__}\n"


def test_without_typer_the_extra_is_named() -> None:
    code = "import sys; sys.modules['typer'] = None; from objectstore.cli.main import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == b"objectstore: the command line needs typer: pip install 'objectstore[cli]'\n"


def test_help_has_examples() -> None:
    for command in ("put", "get", "ls", "stat", "exists", "rm", "serve"):
        told = invoke(command, "--help").stdout.decode()
        assert "Examples:" in told
        assert f"objectstore {command}" in told
