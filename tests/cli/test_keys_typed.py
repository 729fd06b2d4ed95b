"""A key as it is typed where nothing but a key can stand: bare, or with its place before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.served import Served, environment, invoke
from objectstore.cli.exits import Usage
from objectstore.cli.locations import Remote, Server, key_at


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a/b", Remote(Server(), "a/b", "")),
        ("", Remote(Server(), "", "")),
        ("-", Remote(Server(), "-", "")),
        ("./os:a", Remote(Server(), "./os:a", "")),
        ("s3://bucket/a", Remote(Server(), "s3://bucket/a", "")),
        ("os:", Remote(Server(), "", "os:")),
        ("os:a", Remote(Server(), "a", "os:")),
        ("os:os:a", Remote(Server(), "os:a", "os:")),
        ("os@lab:a", Remote(Server(profile="lab"), "a", "os@lab:")),
        ("objectstore://h:1/a/b", Remote(Server(url="http://h:1"), "a/b", "objectstore://h:1/")),
    ],
)
def test_a_key_stands_bare_or_behind_its_place(text: str, wanted: Remote) -> None:
    assert key_at(text) == wanted
    assert str(wanted) == text


def test_a_profile_without_a_name_is_refused() -> None:
    with pytest.raises(Usage):
        key_at("os@:a")


def test_every_command_takes_a_key_with_its_place(server: Served, tmp_path: Path) -> None:
    def printed(*arguments: str) -> str:
        done = server.command(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    (tmp_path / "a.txt").write_text("abc")
    printed("put", "a.txt", "os:typed/")
    printed("put", "a.txt", "os:typed/b.txt")
    assert printed("ls", "os:typed/") == printed("ls", "typed/") == "typed/a.txt\ntyped/b.txt\n"
    for command in (("du", "-s"), ("tree",), ("stat",), ("cat",)):
        key = "typed/" if command[0] in {"du", "tree"} else "typed/a.txt"
        assert printed(*command, f"os:{key}") == printed(*command, key)
    printed("get", "os:typed/b.txt")
    assert (tmp_path / "b.txt").read_text() == "abc"
    assert json.loads(printed("exists", "--json", "os:typed/a.txt")) == {"key": "typed/a.txt", "exists": True}
    assert json.loads(printed("sign", "--json", "os:typed/a.txt"))["key"] == "typed/a.txt"
    printed("rm", "os:typed/a.txt", "typed/b.txt")
    assert printed("ls", "typed/") == ""


def test_the_place_before_a_key_may_be_another_server(server: Served) -> None:
    there = f"objectstore://{server.url.partition('://')[2]}/elsewhere/k"
    env = environment(OBJECTSTORE_TOKEN=server.token)  # and no usual server
    assert server.command("put", "-", "elsewhere/k", stdin=b"x").returncode == 0
    assert invoke("cat", there, env=env).stdout == b"x"
    assert invoke("rm", there, env=env).returncode == 0
    assert server.command("exists", "elsewhere/k").returncode == 4


def test_stdin_goes_under_no_name_of_its_own(server: Served) -> None:
    done = server.command("put", "-", "os:", stdin=b"x")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"say the key" in done.stderr


@pytest.mark.parametrize("options", [(), ("-r", "--yes")])
def test_rm_deletes_nothing_that_could_be_meant_otherwise(server: Served, options: tuple[str, ...]) -> None:
    for key in ("two/k", "os:os:two/k"):
        assert server.command("put", "-", key, stdin=b"x").returncode == 0
    refused = server.command("rm", *options, "os:two/k")
    assert refused.returncode == 2
    assert b"'two/k' or 'os:os:two/k'" in refused.stderr
    for key in ("two/k", "os:os:two/k"):
        assert server.command("exists", key).returncode == 0
        assert server.command("rm", *options, key).returncode == 0
    assert server.command("ls", "-r", "os:os:").stdout == b""
