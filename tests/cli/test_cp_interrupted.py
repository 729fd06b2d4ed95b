"""Ctrl-C in the midst of a transfer, and what the next run goes on from: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.served import PROGRAM, environment
from objectstore.cli.exits import INTERRUPTED
from objectstore.testing import Delay, serve
from objectstore.testing.serving import ObjectStoreServer

PART = 16 * 1024 * 1024
SIZE = 5 * PART  # one more than goes with one request


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    with serve(tmp_path_factory.mktemp("objects")) as server:
        yield server


@pytest.fixture
def server(shared: ObjectStoreServer) -> ObjectStoreServer:
    shared.calm()
    shared.forget_requests()
    return shared


@pytest.fixture
def env(server: ObjectStoreServer, tmp_path: Path) -> dict[str, str]:
    state = str(tmp_path / "state")
    return environment(OBJECTSTORE_URL=server.url, OBJECTSTORE_TOKEN=server.token, XDG_STATE_HOME=state)


def interrupt(arguments: list[str], env: dict[str, str], cwd: Path, when: Callable[[], bool]) -> None:
    """Run the command, and press Ctrl-C as soon as it is so."""
    with subprocess.Popen(
        [*PROGRAM, *arguments], env=env, cwd=cwd, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not when():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == INTERRUPTED, said
        assert "interrupted; run it again to go on" in said
        assert "Traceback" not in said


def again(arguments: list[str], env: dict[str, str], cwd: Path) -> None:
    done = subprocess.run([*PROGRAM, *arguments], env=env, cwd=cwd, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done


def test_an_upload_goes_on_where_it_was_interrupted(
    server: ObjectStoreServer, env: dict[str, str], tmp_path: Path
) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(SIZE)
        file.write(b"begun")
    server.disturb(Delay(60), method="PUT", path="/uploads", skip=3)

    def some_have_arrived() -> bool:
        return any(len(server.store.get_upload(one.upload_id).parts) == 3 for one in server.store.uploads())

    interrupt(["cp", "big", "os:big"], env, tmp_path, some_have_arrived)
    assert not server.store.exists("big")
    server.calm()
    server.forget_requests()
    again(["cp", "big", "os:big"], env, tmp_path)
    assert server.store.head("big").size == SIZE
    sent = [one for one in server.requests if one.method == "PUT"]
    assert len(sent) == 2


def test_a_download_goes_on_where_it_was_interrupted(
    server: ObjectStoreServer, env: dict[str, str], tmp_path: Path
) -> None:
    data = os.urandom(1024) * (SIZE // 1024)
    server.store.put("large", data)
    server.disturb(Delay(60), method="GET", key="large", skip=1)
    note = tmp_path / ".large.objectstore-part.json"

    def some_has_come() -> bool:
        try:
            done = json.loads(note.read_bytes())["done"]
        except (OSError, ValueError):
            return False
        return bool(sum(stop - start for start, stop in done) >= 3)

    interrupt(["cp", "os:large", "."], env, tmp_path, some_has_come)
    assert not (tmp_path / "large").exists()
    server.calm()
    server.forget_requests()
    again(["cp", "os:large", "."], env, tmp_path)
    assert (tmp_path / "large").read_bytes() == data
    # At most two of the five parts, rather than the four that the first request brings.
    assert 1 <= len([one for one in server.requests if one.method == "GET" and one.key == "large"]) <= 2
    assert not note.exists()


def test_a_folder_goes_on_where_it_was_interrupted(
    server: ObjectStoreServer, env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "many").mkdir()
    names = [f"{number:02}" for number in range(20)]
    for name in names:
        (tmp_path / "many" / name).write_text(name)
    server.disturb(Delay(60), method="PUT", skip=5)
    arguments = ["cp", "-r", "many", "os:", "--jobs", "2"]
    interrupt(arguments, env, tmp_path, lambda: len([one for one in server.requests if one.method == "PUT"]) >= 7)
    arrived = set(server.store.keys("many/"))
    assert len(arrived) == 5
    server.calm()
    server.forget_requests()
    again(arguments, env, tmp_path)
    assert {key: server.store.get(key) for key in server.store.keys("many/")} == {
        f"many/{name}": name.encode() for name in names
    }
    sent = {one.key for one in server.requests if one.method == "PUT"}
    assert sent == {f"many/{name}" for name in names} - arrived
