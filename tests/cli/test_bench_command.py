"""`objectstore bench`, against a real server."""

from __future__ import annotations

import json
import signal
import subprocess

from cli.served import PROGRAM, Served, environment

WORKS = ["put", "get", "head", "list", "delete", "upload", "download"]


def held(server: Served) -> bytes:
    return server.command("ls", "-r", "objectstore-bench/").stdout


def test_every_kind_of_work_is_measured_and_nothing_is_left(server: Served) -> None:
    answer = server.command("bench", "--objects", "40", "--connections", "4", "--large", "3MB", "--json")
    assert answer.returncode == 0, answer.stderr
    told = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [one["work"] for one in told] == WORKS
    assert [one["requests"] for one in told] == [40, 40, 40, 1, 40, 1, 1]
    assert all(one["rate"] > 0 and 0 < one["p50"] <= one["p99"] <= one["seconds"] for one in told)
    assert held(server) == b""


def test_people_get_a_table(server: Served) -> None:
    answer = server.command("bench", "--objects", "3", "--size", "0", "--large", "0")
    assert answer.returncode == 0, answer.stderr
    assert [line.split()[0] for line in answer.stdout.decode().splitlines()[1:]] == WORKS[:5]
    assert b"measuring http://" in answer.stderr


def test_what_the_server_refuses_is_told(server: Served) -> None:
    answer = server.command("bench", "--objects", "5", "--token", "os_unknown")
    assert answer.returncode == 5
    assert b"the server wants a valid token" in answer.stderr


def test_a_size_that_is_none_is_refused() -> None:
    answer = subprocess.run(
        [*PROGRAM, "bench", "--size", "plenty"], env=environment(), capture_output=True, check=False, timeout=60
    )
    assert answer.returncode == 2
    assert b"'plenty' is no size" in answer.stderr


def test_interrupted_it_leaves_nothing(server: Served) -> None:
    command = [*PROGRAM, "bench", "--objects", "200000", "--json"]
    with subprocess.Popen(
        command, env=server.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
    ) as process:
        while not held(server):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert held(server) == b""
