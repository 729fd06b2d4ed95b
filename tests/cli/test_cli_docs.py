"""docs/cli.md tells the truth: its examples run, and it names every command, option and exit code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cli.served import Served, invoke
from objectstore.cli import exits
from objectstore.cli.application import app
from objectstore.cli.launch import DEFAULT_SERVER

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has them


def examples() -> list[str]:
    return [line.partition("#")[0].strip() for line in TEXT.splitlines() if line.startswith("    ")]


def test_the_examples_work(server: Served, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("report.pdf", "photos/1.jpg"):
        (tmp_path / name).write_bytes(b"content")
    for key in ("logs/today", "photos/2026-01.jpg", "photos/2019/1.jpg", "a.txt", "b.txt"):
        assert server.command("put", "-", key, stdin=b"content").returncode == 0
    env = {**server.environment(), "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    for example in examples():
        if any(sign in example for sign in "|$>"):
            line = example.replace("objectstore", shlex.join([sys.executable, "-m", "objectstore"]))
            script = ["bash", "-o", "pipefail", "-c", line]
            subprocess.run(script, cwd=tmp_path, env=env, check=True, timeout=60)
            continue
        command = shlex.split(example.replace("/tmp/", f"{tmp_path}/"))[1:]  # noqa: S108  what the text says
        if command == ["serve"]:
            continue  # which test_serve.py does
        answer = invoke(*command, *(["--yes"] if "rm -r" in example else []), cwd=tmp_path, env=env)
        assert answer.returncode == 0, (example, answer)
    assert (tmp_path / "2026.pdf").read_bytes() == b"content"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_its_options_are_named(name: str) -> None:
    assert re.search(rf"`?objectstore {name}\b", TEXT)
    if name == "token":
        return  # which has a page of its own
    for parameter in COMMANDS[name].params:
        long = [option for option in parameter.opts if option.startswith("--")]
        for option in long:
            if option != "--help":
                # One that has a short form may be named by that.
                assert any(re.search(rf"(?<![-\w]){re.escape(one)}\b", TEXT) for one in parameter.opts), (name, option)


def test_every_exit_code_is_told() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    table = TEXT[TEXT.index("| exit code |") :]
    rows = re.findall(r"^\| (\d[\d, ]*) \|", table, re.MULTILINE)
    assert {int(code) for row in rows for code in row.split(",")} == codes


def test_the_default_server_is_the_one_told() -> None:
    assert re.search(rf"\| `--server .*\| `{DEFAULT_SERVER}` \|", TEXT)


def test_the_examples_of_the_help_are_commands_that_there_are() -> None:
    for name in sorted(COMMANDS):
        if name in {"config", "scrub", "token"}:
            continue  # groups have none
        shown = invoke(name, "--help").stdout.decode()
        for example in re.findall(r"objectstore ([\w-]+)", shown[shown.index("Examples:") :]):
            assert example == name
