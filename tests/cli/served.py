"""The program itself: a server of its own for a test, and commands run against it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import IO, Final
from unittest import mock

from objectstore.cli import exits
from objectstore.cli.application import app

PROGRAM: Final = (sys.executable, "-m", "objectstore")
_NOWHERE: Final = "/dev/null/nowhere"
_SETTINGS: Final = (
    "AUTH_TOKENS_FILE",
    "DATA_DIR",
    "HOST",
    "LOG_LEVEL",
    "PORT",
    "STORAGE_CONFIG",
    "STORAGE_NAME",
    "WORKERS",
)


def environment(**added: str) -> dict[str, str]:
    """What the tests were started with, without anything that configures us."""
    kept = {name: value for name, value in os.environ.items() if name not in _SETTINGS and "OBJECTSTORE" not in name}
    # No profiles of whoever runs the tests.
    return {**kept, "COLUMNS": "200", "XDG_CONFIG_HOME": _NOWHERE, **added}


def invoke(
    *arguments: str, stdin: bytes = b"", cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """As `run`, in this process, which saves the start of another one. `stdin` has to fit into a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(stdin)
    with (
        TextIOWrapper(os.fdopen(reading, "rb")) as fed,
        TextIOWrapper(BytesIO(), encoding="utf-8") as out,
        TextIOWrapper(BytesIO(), encoding="utf-8", errors="backslashreplace") as err,
        mock.patch.multiple(sys, stdin=fed, stdout=out, stderr=err),
        mock.patch.dict(os.environ, environment() if env is None else env, clear=True),
        chdir(Path.cwd() if cwd is None else cwd),
    ):
        code = exits.run(app, arguments)
        found = []
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
            found.append(stream.buffer.read())
        return subprocess.CompletedProcess([*PROGRAM, *arguments], code, *found)


def run(
    *arguments: str, stdin: bytes = b"", cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `objectstore` with these arguments, as a process of its own."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        cwd=cwd,
        env=environment() if env is None else env,
        capture_output=True,
        timeout=60,
        check=False,
    )


@dataclass(slots=True)
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)  # on stdout, until it served
    url: str = ""

    @property
    def token(self) -> str:
        return next(line.removeprefix("token: ") for line in self.said if line.startswith("token: "))

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.terminate()
        return self.process.wait(30)

    def command(
        self, *arguments: str, stdin: bytes = b"", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """`invoke`, against this server."""
        return invoke(*arguments, stdin=stdin, cwd=cwd, env=self.environment())

    def environment(self) -> dict[str, str]:
        """What makes the commands find this server."""
        return environment(OBJECTSTORE_URL=self.url, OBJECTSTORE_TOKEN=self.token)


@contextmanager
def serving(
    *options: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, stderr: IO[bytes] | int | None = None
) -> Iterator[Served]:
    """`objectstore serve` on a free port, from the moment on that it serves."""
    with subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        cwd=cwd,
        env=environment() if env is None else env,
        process_group=0,
    ) as process:
        try:
            yield _started(process)
        finally:
            process.terminate()


def _started(process: subprocess.Popen[str]) -> Served:
    served = Served(process)
    assert process.stdout is not None
    for line in process.stdout:
        served.said.append(line.rstrip("\n"))
        if line.startswith("serving "):
            served.url = line.split()[1]
            return served
    raise AssertionError(f"the server ended with {process.wait()}, having said {served.said}")


def token_with(server: Served, file: Path, name: str, *options: str) -> str:
    """Another token of a server with one worker, once the server knows it."""
    answer = invoke("token", "add", name, "--ttl", "1", "--file", str(file), *options)
    assert answer.returncode == 0, answer
    token = answer.stdout.decode().strip()
    deadline = time.monotonic() + 60
    while invoke("usage", env=server.environment() | {"OBJECTSTORE_TOKEN": token}).returncode == exits.DENIED:
        assert time.monotonic() < deadline
    return token
