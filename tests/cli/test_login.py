"""Profiles, as a user makes and uses them."""

from __future__ import annotations

import json
import os
import pty
import select
import stat
import subprocess
import termios
import time
from pathlib import Path

import pytest

from cli.served import PROGRAM, Served, environment, invoke


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The surroundings of somebody with a folder of settings that is empty."""
    return environment(XDG_CONFIG_HOME=str(tmp_path))


def test_whoever_logs_in_needs_neither_url_nor_token(server: Served, home: dict[str, str], tmp_path: Path) -> None:
    answer = invoke("login", "--url", server.url, stdin=f"{server.token}\n".encode(), env=home)
    assert (answer.returncode, answer.stdout) == (0, b"")
    assert server.token.encode() not in answer.stderr
    file = tmp_path / "objectstore" / "profiles.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert invoke("put", "-", "login/a", stdin=b"1", env=home).returncode == 0
    assert invoke("get", "login/a", "-", env=home).stdout == b"1"

    listed = invoke("profiles", "--json", env=home).stdout
    assert json.loads(listed) == {"profile": "default", "url": server.url, "default": True}
    assert server.token.encode() not in listed
    assert invoke("logout", env=home).returncode == 0
    assert invoke("profiles", env=home).stdout == b""
    assert server.token not in file.read_text()
    assert invoke("logout", env=home).returncode == 2


def test_profiles_are_chosen_by_name(server: Served, home: dict[str, str]) -> None:
    nowhere = "http://127.0.0.1:1"
    for name, *more in (("near",), ("far",), ("third", "--default")):
        found = invoke("login", "--profile", name, "--url", server.url, "--token", server.token, *more, env=home)
        assert found.returncode == 0, found
    lines = invoke("profiles", env=home).stdout.decode().splitlines()
    assert lines == [f"  far    {server.url}", f"  near   {server.url}", f"* third  {server.url}"]
    assert invoke("profiles", "--default", "far", env=home).stdout.startswith(b"* far")
    # A token of the environment does not go to where a flag says.
    env = {**home, "OBJECTSTORE_URL": nowhere, "OBJECTSTORE_TOKEN": "os_of-another-server"}
    assert invoke("ls", "--profile", "near", env=env).returncode == 0
    assert invoke("ls", "--url", server.url, env=env).returncode == 0
    answer = invoke("ls", "--profile", "neat", env=home)
    assert (answer.returncode, b"known: far, near, third" in answer.stderr) == (2, True)
    assert invoke("ls", env={**home, "OBJECTSTORE_PROFILE": "neat"}).returncode == 2
    assert invoke("profiles", "--default", "neat", env=home).returncode == 2


def test_a_token_that_the_server_does_not_take_is_not_kept(
    server: Served, home: dict[str, str], tmp_path: Path
) -> None:
    answer = invoke("login", "--url", server.url, stdin=b"os_wrong-secret\n", env=home)
    assert (answer.returncode, b"valid token" in answer.stderr) == (5, True)
    assert b"wrong-secret" not in answer.stderr
    assert invoke("login", "--url", "http://127.0.0.1:1", "--token", "os_x", env=home).returncode == 1
    assert invoke("login", "--url", "ftp://host", "--token", "os_x", env=home).returncode == 2
    assert invoke("login", "--url", server.url, env=home).returncode == 2
    assert invoke("login", "--profile", "a b", "--url", server.url, "--token", "x", env=home).returncode == 2
    assert not (tmp_path / "objectstore").exists()


def test_a_person_is_asked_and_the_token_is_not_shown(server: Served, home: dict[str, str]) -> None:
    person, program = pty.openpty()
    with subprocess.Popen([*PROGRAM, "login"], stdin=program, stdout=program, stderr=program, env=home) as process:
        os.close(program)
        shown = _read_until(person, b"URL of the server")
        os.write(person, f"{server.url}\n".encode())
        shown += _read_until(person, b"Token for")
        # What is typed before the terminal stops to show it is thrown away.
        deadline = time.monotonic() + 60
        while termios.tcgetattr(person)[3] & termios.ECHO:
            assert time.monotonic() < deadline
        os.write(person, f"{server.token}\n".encode())
        shown += _read_until(person, b"logged in")
        assert process.wait(30) == 0
    os.close(person)
    assert server.token.encode() not in shown
    assert invoke("ls", env=home).returncode == 0


def _read_until(person: int, wanted: bytes) -> bytes:
    shown = b""
    while wanted not in shown:
        assert select.select([person], [], [], 30)[0], shown
        shown += os.read(person, 4096)
    return shown
