"""A server takes as many connections as it has files for, and comes to itself again when clients use up all of them."""

from __future__ import annotations

import logging
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import pytest

from cli.served import PROGRAM, environment
from objectstore import RestStore
from objectstore.config.settings import load_settings
from objectstore.server import accepting
from objectstore.server.connections import supported
from objectstore.server.limits import limits_of

FILES = 400
LARGE = bytes(100_000)  # is a file of its own


@contextmanager
def files_allowed(files: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("files", "room"), [(1000, 500), (1024, 512), (4096, 3584), (16_000, 15_488)])
def test_some_files_are_kept_for_other_things(files: int, room: int) -> None:
    with files_allowed(files):
        assert accepting.room() == room


@pytest.mark.parametrize(("files", "told"), [(1024, True), (8192, False)])
def test_a_low_limit_is_told_in_the_log(files: int, told: bool, caplog: pytest.LogCaptureFixture) -> None:
    with files_allowed(files), caplog.at_level(logging.WARNING, "objectstore.limits"):
        limits_of(load_settings())
    assert ("this process may open 1024 files" in caplog.text) is told


@pytest.mark.skipif(not supported(), reason="only Linux tells what went over a connection")
@pytest.mark.parametrize("server", ["uvicorn", "granian"])
def test_silent_connections_do_not_use_up_all_files(server: str, tmp_path: Path) -> None:
    serve = [*PROGRAM, "serve", "--data", str(tmp_path / "data"), "--port", "0", "--server", server]
    limited = ["bash", "-c", f'ulimit -n {FILES}; exec "$@"', "-", *serve]
    with (
        ExitStack() as held,
        subprocess.Popen(limited, stdout=subprocess.PIPE, text=True, env=environment(IDLE_TIMEOUT="1")) as process,
    ):
        held.callback(process.terminate)
        assert process.stdout is not None
        said = list(until_it_serves(process.stdout))
        url = said[-1].split()[1]
        token = next(line.removeprefix("token: ") for line in said if line.startswith("token: "))
        place = urlsplit(url)
        with RestStore.create(url, token, max_retries=0, timeout=60) as store:
            store.put("large", LARGE)
            for _ in range(2 * FILES):
                # Those that find no room wait in the kernel, as far as it has any.
                with suppress(OSError):
                    held.enter_context(socket.create_connection((place.hostname, place.port), timeout=1))
            deadline = time.monotonic() + 60
            found = b""
            while found != LARGE:
                assert time.monotonic() < deadline, "it does not come to itself"
                with suppress(Exception):
                    found = store.get("large")
        process.terminate()
        assert process.wait(30) == 0


def until_it_serves(said: IO[str]) -> Iterator[str]:
    for line in said:
        yield line.rstrip("\n")
        if line.startswith("serving "):
            return
