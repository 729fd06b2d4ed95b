"""`objectstore sign`, against a real server; what it prints is used by curl."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.served import Served, environment, invoke


def curl(*arguments: str) -> str:
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code}", *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
        timeout=30,
    )
    return done.stdout


@pytest.mark.parametrize("key", ["sign/report.pdf", "sign/ä//b ?#%2F", "sign/a'b"])
def test_the_url_is_all_that_stands_on_stdout_and_works(server: Served, tmp_path: Path, key: str) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"content")
    writing = server.command("sign", key, "--method", "put", "--max-bytes", "1KiB", "--expires", "5m")
    assert writing.returncode == 0
    assert writing.stderr.startswith(b"valid until 2")
    [url] = writing.stdout.decode().splitlines()
    assert url.startswith(f"{server.url}/objects/sign/")
    assert f'"key":"{key}"' in curl("--path-as-is", "-T", str(body), url)
    reading = server.command("sign", key, "--filename", "ä.pdf", "--quiet")
    assert reading.stderr == b""
    assert curl("--path-as-is", reading.stdout.decode().strip()) == "content\n200"
    assert "filename*=UTF-8''%C3%A4.pdf" in curl("--path-as-is", "-I", reading.stdout.decode().strip())
    body.write_bytes(bytes(1025))
    assert curl("--path-as-is", "-T", str(body), url).endswith("\n413")


def test_programs_read_it_as_json(server: Served) -> None:
    signed = server.command("sign", "sign/a", "--expires", "1h", "--json")
    told = json.loads(signed.stdout)
    assert set(told) == {"url", "method", "key", "expires_at"}
    assert (told["method"], told["key"]) == ("GET", "sign/a")
    left = datetime.fromisoformat(told["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--expires", "soon"), "--expires 'soon'"),
        (("--expires", "0"), "more than no time"),
        (("--expires", "8d"), "LINK_MAX_TTL"),
        (("--max-bytes", "1KiB"), "max_bytes"),
        (("--method", "PUT", "--max-bytes", "lots"), "--max-bytes 'lots'"),
        (("--method", "PUT", "--filename", "a"), "filename"),
        (("--filename", "a/b"), "filename"),
        (("--method", "DELETE"), "'DELETE' is not one of"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(server: Served, options: tuple[str, ...], word: str) -> None:
    answer = server.command("sign", "sign/a", *options)
    assert (answer.returncode, answer.stdout) == (2, b"")
    assert word in answer.stderr.decode()
    assert answer.stderr.count(b"\n") == 1


def test_a_token_that_may_not_makes_none(server: Served) -> None:
    answer = invoke("sign", "a", env=environment(OBJECTSTORE_URL=server.url, OBJECTSTORE_TOKEN="os_wrong"))
    assert (answer.returncode, answer.stdout) == (5, b"")
