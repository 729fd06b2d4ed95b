"""Commands are imported when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cli.served import invoke

LOADED = """
import sys
from typer.main import get_command
from objectstore.cli.application import app
command = get_command(app)
assert not {"objectstore.cli.cp", "objectstore.cli.serve"} & set(sys.modules)
assert "cp" in command.list_commands(None)
command.commands[sys.argv[1]]
print(*sorted(sys.modules))
"""


def modules_of(command: str) -> set[str]:
    return set(
        subprocess.run(
            [sys.executable, "-c", LOADED, command], capture_output=True, check=True, text=True
        ).stdout.split()
    )


@pytest.mark.parametrize("command", ["cp", "mv", "sync", "ls", "cat", "put", "get", "rm"])
def test_a_command_of_the_client_imports_nothing_of_the_server(command: str) -> None:
    loaded = modules_of(command)
    assert f"objectstore.cli.{command}" in loaded
    unwanted = {
        "objectstore.server",
        "objectstore.backends",
        "objectstore.config",
        "structlog",
        "fastapi",
        "rich",
        "http.client",
    }
    assert not unwanted & loaded


def test_the_help_has_all_and_a_slip_is_told() -> None:
    told = invoke("--help").stdout.decode()
    places = [told.index(f"│ {name} ") for name in ("serve", "cp", "logout", "token")]
    assert places == sorted(places)
    assert b"No such command 'snyc'. Did you mean 'sync'?" in invoke("snyc").stderr
