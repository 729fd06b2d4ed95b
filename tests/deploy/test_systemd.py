"""deploy/objectstore.service: systemd accepts it, its command serves, and may do what it needs to."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deploy.composed import ROOT
from objectstore.config.settings import Settings, load_settings
from peer import Server, free_port, wait_until_healthy

UNIT: Final = ROOT / "deploy" / "objectstore.service"
PROGRAM: Final = Path(sys.executable).with_name("objectstore")


@dataclass(frozen=True)
class Unit:
    """The values of each name, in the order in which they stand."""

    values: Mapping[str, Sequence[str]]

    def __getitem__(self, name: str) -> str:
        return self.values[name][-1]

    @property
    def environment(self) -> Mapping[str, str]:
        return dict(one.split("=", 1) for value in self.values["Environment"] for one in shlex.split(value))


def unit(state: Path) -> Unit:
    """The unit with its specifiers resolved; `state` is in place of /var/lib."""
    text = UNIT.read_text().replace("%S", str(state))
    values: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        values.setdefault(name, []).append(value)
    return Unit(values)


@pytest.fixture
def verified(tmp_path: Path) -> Path:
    """The unit with a program that there is here, which systemd looks for."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/objectstore/bin/objectstore", str(PROGRAM)))
    return copy


def test_systemd_accepts_the_unit(verified: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", verified], capture_output=True, text=True, check=False)
    # What it says of other units of the machine is not ours.
    assert not [line for line in done.stderr.splitlines() if UNIT.name in line], done.stderr


def test_systemd_finds_that_little_is_exposed(verified: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(verified)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@contextlib.contextmanager
def started(state: Path, *before: str) -> Iterator[Server]:
    """The service's command in its folder, with its environment and nothing else of ours."""
    found = unit(state)
    folder = Path(found["WorkingDirectory"])
    assert folder == state / found["StateDirectory"]
    folder.mkdir(parents=True)
    command = [
        word.replace("/opt/objectstore/bin/objectstore", str(PROGRAM)) for word in shlex.split(found["ExecStart"])
    ]
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "PORT": str(port), **found.environment}
    with (state / "log").open("w+b") as log:
        # Its workers end with it, as with KillMode=mixed.
        process = subprocess.Popen(
            [*before, *command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_healthy(process, port)
            token = re.findall(r"^token: (\S+)$", (state / "log").read_text(), re.MULTILINE)[0]
            yield Server(port, token, process, folder)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_command_serves_and_ends(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        assert server.ask("PUT", "/objects/a", b"kept").status == 200
        assert server.json("POST", "/links", {"key": "a"}).status == 201
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert (tmp_path / "objectstore" / "objectstore-data" / "links.key").exists()
    assert (tmp_path / "objectstore" / "tokens.json").exists()


def test_the_end_is_given_longer_than_the_server_takes(tmp_path: Path) -> None:
    assert int(unit(tmp_path)["TimeoutStopSec"].removesuffix("s")) > load_settings().shutdown_timeout + 5


def test_what_the_unit_sets_are_settings(tmp_path: Path) -> None:
    assert {name.lower() for name in unit(tmp_path).environment} <= set(Settings.model_fields)


def test_the_server_is_allowed_the_system_calls_that_it_makes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None or shutil.which("strace") is None:
        pytest.skip("systemd-analyze and strace are not both installed")
    counted = tmp_path / "calls"
    with started(tmp_path / "state", "strace", "-f", "-qq", "-c", "-U", "name,calls", "-o", str(counted)) as server:
        for size in (10, 3_000_000):
            assert server.ask("PUT", f"/objects/{size}", b"x" * size).status == 200
            assert len(server.ask("GET", f"/objects/{size}").body) == size
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert server.process.wait(60) == 0
    made = set(re.findall(r"^ *(\w+) +\d+$", counted.read_text(), re.MULTILINE)) - {"total"}
    assert {"openat", "fdatasync"} <= made
    refused = made - allowed(unit(tmp_path).values["SystemCallFilter"])
    assert refused <= {"fchown"}  # which SQLite calls when it is root, as these tests may be and the service is not


def allowed(filters: Sequence[str]) -> frozenset[str]:
    told = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True).stdout
    groups: dict[str, list[str]] = {}
    name = ""
    for line in told.splitlines():
        if line.startswith("@"):
            name = line.split()[0]
            groups[name] = []
        elif line.startswith("    ") and not line.lstrip().startswith("#"):
            groups[name].append(line.strip())

    def members(word: str) -> Iterator[str]:
        if word.startswith("@"):
            for one in groups[word]:
                yield from members(one)
        else:
            yield word

    found: set[str] = set()
    for value in filters:
        words = [call for word in value.removeprefix("~").split() for call in members(word)]
        found = found - set(words) if value.startswith("~") else found | set(words)
    # systemd adds what it needs itself to start the process.
    return frozenset(found) | set(members("@default"))
