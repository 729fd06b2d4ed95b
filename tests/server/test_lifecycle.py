"""Starting by the environment, and stopping by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from peer import add_token, command_for, free_port, running

KINDS = ["uvicorn", "granian"]


def start_and_fail(**environment: str) -> subprocess.CompletedProcess[str]:
    command = command_for("uvicorn", free_port())
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "none"),
        ("WORKERS", "0"),
        ("LOG_LEVEL", "loud"),
        ("MAX_OBJECT_SIZE", "much"),
        ("UPLOAD_TTL", "-1"),
    ],
)
def test_a_bad_setting_is_one_clear_line(name: str, value: str) -> None:
    ended = start_and_fail(**{name: value})
    assert ended.returncode == 2
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1
    assert name in lines[0]


def test_a_storage_yaml_that_is_not_there_is_named() -> None:
    ended = start_and_fail(STORAGE_CONFIG="/nowhere/storage.yaml")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "/nowhere/storage.yaml" in ended.stderr


def test_memory_with_several_workers_is_refused_with_the_reason() -> None:
    ended = start_and_fail(WORKERS="2")
    assert ended.returncode == 2
    assert "WORKERS=2: DictStore belongs to one process" in ended.stderr


def test_a_store_that_cannot_be_opened_is_told_without_a_traceback(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "FORMAT").write_text("objectstore 999999\n")
    ended = start_and_fail(DATA_DIR=str(data))
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert "cannot be opened" in ended.stderr
    assert sorted(path.name for path in data.iterdir()) == ["FORMAT"]


def test_without_settings_it_serves_from_memory_and_says_so(tmp_path: Path) -> None:
    with running(tmp_path, environment={"DATA_DIR": ""}) as server:
        assert server.ask("PUT", "/objects/k", b"x").status == 200
        assert server.ask("GET", "/health/ready").json["persistent"] is False
    assert "persist" in (tmp_path / "server.log").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_under_way_is_finished_at_sigterm(tmp_path: Path, kind: str) -> None:
    body = bytes(range(256)) * 4096
    with running(tmp_path, kind) as server:
        with server.connect() as connection:
            connection.sendall(
                b"PUT /objects/k HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n"
                % (server.token.encode(), 2 * len(body))
                + body
            )
            # The staging file shows that the server is at it.
            while not any(path.stat().st_size for path in (tmp_path / "data" / "staging").rglob("*") if path.is_file()):
                pass
            server.process.send_signal(signal.SIGTERM)
            connection.sendall(body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        server.process.wait(20)
    with running(tmp_path, kind) as server:
        assert server.ask("GET", "/objects/k").body == body * 2


def test_a_new_token_counts_within_a_second_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        token = add_token(tmp_path / "tokens.json", "other")
        while server.ask("GET", "/objects", token=token).status == 401:
            pass
        (tmp_path / "tokens.json").write_text("{")
        for _ in range(300):
            assert server.ask("GET", "/objects", token=token).status == 200
    log = (tmp_path / "server.log").read_text()
    assert token not in log
    assert server.token not in log
