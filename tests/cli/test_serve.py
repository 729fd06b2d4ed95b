"""`objectstore serve`, started for real, with each of the servers that it can run."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import pytest

from cli.served import Served, environment, invoke, serving
from objectstore.backends.engine.backend import EngineBackend
from objectstore.cli.serve import set_environment
from objectstore.client import RestStore
from objectstore.errors import NotFound, Unauthenticated

pytestmark = pytest.mark.slow

SERVERS = ("granian", "uvicorn")
HALF = b"half" * 4096


def pasted(said: list[str], after: str, before: str) -> str:
    """The lines between two others, as somebody would copy them."""
    [start] = [number for number, line in enumerate(said) if line.startswith(after)]
    [stop] = [number for number, line in enumerate(said) if line.startswith(before)]
    return "\n".join(said[start + 1 : stop])


def size_of(data: Path, key: str) -> int | None:
    """What the data directory holds under `key`, looked at without a server."""

    async def look() -> int | None:
        async with EngineBackend(data) as engine:
            try:
                return (await engine.head(key)).size
            except NotFound:
                return None

    return asyncio.run(look())


class SlowUpload:
    """An upload of which the server has taken one half."""

    def __init__(self, served: Served, key: str) -> None:
        place = urlsplit(served.url)
        assert place.hostname is not None
        self.address = (place.hostname, place.port or 0)
        self.connection = http.client.HTTPConnection(*self.address, timeout=30)
        self.connection.putrequest("PUT", f"/objects/{key}")
        self.connection.putheader("Authorization", f"Bearer {served.token}")
        self.connection.putheader("Content-Length", str(2 * len(HALF)))
        self.connection.putheader("Expect", "100-continue")
        self.connection.endheaders()
        # The go-ahead is sent when the application asks for the body: from here on the request is under way.
        assert self.connection.sock.recv(1024).startswith(b"HTTP/1.1 100")
        self.connection.send(HALF)

    def finish(self) -> int:
        """Send the other half; the status of the answer."""
        self.connection.send(HALF)
        with self.connection.getresponse() as response:
            response.read()
            return response.status

    def close(self) -> None:
        self.connection.close()


def wait_until_refused(address: tuple[str, int]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        try:
            socket.create_connection(address, timeout=5).close()
        except OSError:
            return
        pause.wait(0.02)
    raise AssertionError("a server that was told to end goes on taking connections")


def test_what_the_first_start_prints_works_when_pasted(tmp_path: Path) -> None:
    with serving("--data", "kept here", cwd=tmp_path) as served:
        curl = pasted(served.said, "It allows", "From Python")
        told = subprocess.run(["bash", "-c", curl], capture_output=True, check=True, timeout=30)
        assert json.loads(told.stdout)["key"] == "hello"
        snippet = pasted(served.said, "From Python", "On the command line")
        python = subprocess.run([sys.executable, "-c", snippet], capture_output=True, check=True, timeout=30)
        assert python.stdout == b"Hello, World!\n"
        lines = pasted(served.said, "On the command line", "serving")
        listed = subprocess.run(["bash", "-c", lines], capture_output=True, check=True, timeout=30, env=environment())
        assert listed.stdout.split()[-1] == b"hello"


def test_a_restart_keeps_objects_and_token_and_shows_no_token(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving("--data", str(data)) as first:
        token = first.token
        with RestStore.create(first.url, token) as store:
            store.put("kept", b"whole")
        assert first.stop() == 0
    assert (data / "tokens.json").stat().st_mode & 0o777 == 0o600
    with serving("--data", str(data)) as second:
        assert token not in "\n".join(second.said)
        assert any(str(data / "tokens.json") in line for line in second.said)
        with RestStore.create(second.url, token) as store:
            assert store.get("kept") == b"whole"


def test_two_stores_do_not_share_tokens(server: Served, tmp_path: Path) -> None:
    with serving("--data", str(tmp_path / "data")) as other:
        assert other.token != server.token
        with RestStore.create(other.url, server.token) as store, pytest.raises(Unauthenticated):
            store.exists("a")


def test_tokens_may_be_kept_elsewhere(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    assert invoke("token", "add", "mine", "--ttl", "1", "--scope", "read", "--file", str(tokens)).returncode == 0
    with serving("--data", str(tmp_path / "data"), "--tokens", str(tokens)) as served:
        assert not any(line.startswith("token:") for line in served.said)
        assert any(str(tokens) in line for line in served.said)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "the cert.pem", folder / "the key.pem"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=objectstore"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
                *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),  # for Python 3.13
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl, which makes the certificate, is not installed")
    return cert, key


@pytest.mark.parametrize("server", SERVERS)
def test_https_is_served_and_its_first_steps_work(server: str, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    cert, key = certificate
    options = ("--tls-cert", str(cert), "--tls-key", str(key), "--server", server)
    with serving("--data", str(tmp_path / "data"), *options) as served:
        assert served.url.startswith("https://127.0.0.1:")
        curl = pasted(served.said, "It allows", "From Python")
        subprocess.run(["bash", "-c", curl], capture_output=True, check=True, timeout=30)
        snippet = pasted(served.said, "From Python", "On the command line")
        python = subprocess.run([sys.executable, "-c", snippet], capture_output=True, check=True, timeout=30)
        assert python.stdout == b"Hello, World!\n"
        assert served.stop() == 0


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_lets_an_upload_finish_and_takes_no_new_work(server: str, workers: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving("--data", str(data), "--server", server, "--workers", workers) as served:
        for number in range(5):
            # A connection of its own each: whichever worker takes it knows what the others were told.
            with RestStore.create(served.url, served.token) as store:
                store.put(f"{number}", b"%d" % number)
                assert list(store.keys()) == [f"{one}" for one in range(number + 1)]
        upload = SlowUpload(served, "slow")
        served.process.terminate()
        wait_until_refused(upload.address)
        assert upload.finish() == 200
        upload.close()
        assert served.process.wait(30) == 0
    assert size_of(data, "slow") == 2 * len(HALF)


@pytest.mark.parametrize("server", SERVERS)
def test_an_upload_may_finish_however_often_the_server_is_told_to_end(server: str, tmp_path: Path) -> None:
    with serving("--data", str(tmp_path / "data"), "--server", server) as served:
        upload = SlowUpload(served, "slow")
        for _ in range(5):
            # To every process of the group, as service managers do.
            os.killpg(served.process.pid, signal.SIGTERM)
            wait_until_refused(upload.address)
        assert upload.finish() == 200
        upload.close()
        assert served.process.wait(30) == 0


@pytest.mark.parametrize("server", SERVERS)
def test_an_upload_that_never_ends_does_not_keep_the_server(server: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(
        "--data", str(data), "--server", server, env=environment(SHUTDOWN_TIMEOUT="1"), stderr=subprocess.DEVNULL
    ) as served:
        upload = SlowUpload(served, "endless")
        assert served.stop() == 0
        upload.close()
    assert size_of(data, "endless") is None


@pytest.mark.parametrize("server", SERVERS)
def test_ctrl_c_ends_the_server_well(server: str, tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("w+b") as log,
        serving("--data", str(tmp_path / "data"), "--server", server, "--workers", "2", stderr=log) as served,
    ):
        # A terminal sends it to every process of the group.
        os.killpg(served.process.pid, signal.SIGINT)
        assert served.process.wait(30) == 0
        log.seek(0)
        assert b"Traceback" not in log.read()


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path / "data"), "--server", "granian", stderr=subprocess.PIPE) as served:
        assert served.process.stderr is not None
        log = iter(served.process.stderr)
        started = next(line for line in log if "Spawning worker-1" in line)
        os.kill(int(started.rpartition("PID: ")[2].partition('"')[0]), signal.SIGKILL)
        assert next(line for line in log if "Started worker-1" in line)
        assert next(line for line in log if "Started worker-1" in line)
        with RestStore.create(served.url, served.token) as store:
            assert list(store.keys()) == []


def _file(tmp_path: Path) -> list[str]:
    (tmp_path / "data").write_text("not a folder")
    return []


def _foreign(tmp_path: Path) -> list[str]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").touch()
    return []


def _newer(tmp_path: Path) -> list[str]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "FORMAT").write_text('{"format": "objectstore engine", "version": 999}')
    return []


def _broken_tokens(tmp_path: Path) -> list[str]:
    (tmp_path / "tokens").write_text("{")
    return ["--tokens", str(tmp_path / "tokens")]


def _no_certificate(tmp_path: Path) -> list[str]:
    return ["--tls-cert", str(tmp_path / "cert"), "--tls-key", str(tmp_path / "key")]


def _no_pem(tmp_path: Path) -> list[str]:
    for name in ("cert", "key"):
        (tmp_path / name).write_text("certainly")
    return _no_certificate(tmp_path)


def _options(*options: str) -> Callable[[Path], list[str]]:
    return lambda _: list(options)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (_file, "data"),
        (_foreign, "thesis.tex"),
        (_newer, "999"),
        (_broken_tokens, "JSON"),
        (_no_certificate, "No such file"),
        (_no_pem, "no certificate"),
        (_options("--tls-cert", "cert"), "--tls-key"),
        (_options("--host", "203.0.113.1"), "203.0.113.1"),
        (_options("--host", "nowhere.invalid"), "nowhere.invalid"),
        (_options("--port", "65536"), "65535"),
        (_options("--workers", "0"), "--workers"),
        (_options("--log-level", "loud"), "LOG_LEVEL"),
        (_options("--server", "apache"), "granian"),
        (_options("--rate-limit", "often"), "RATE_LIMIT='often': it has to be a rate such as 100/second"),
    ],
)
def test_what_cannot_work_is_said_in_a_line_before_anything_is_started(
    prepare: Callable[[Path], list[str]], message: str, tmp_path: Path
) -> None:
    options = prepare(tmp_path)
    answer = invoke("serve", "--data", str(tmp_path / "data"), "--port", "0", *options)
    assert answer.returncode == 2
    assert answer.stdout == b""
    told = answer.stderr.decode()
    assert message in told
    assert told.count("\n") == 1


def test_a_storage_of_the_limits_that_is_none_is_said_once(tmp_path: Path) -> None:
    url = {"RATE_LIMIT_STORAGE": "redis://:secret@host:99999"}
    answer = invoke("serve", "--data", str(tmp_path / "data"), "--port", "0", env=environment() | url)
    assert answer.returncode == 2
    assert re.fullmatch("objectstore: RATE_LIMIT_STORAGE .* cannot be used: .*\n", answer.stderr.decode())
    assert b"secret" not in answer.stderr


def test_a_port_that_is_taken_is_refused(server: Served, tmp_path: Path) -> None:
    port = str(urlsplit(server.url).port)
    answer = invoke("serve", "--data", str(tmp_path / "data"), "--port", port)
    assert answer.returncode == 2
    assert answer.stdout == b""
    assert port in answer.stderr.decode()


def test_a_store_in_memory_is_not_shared_out_to_workers(tmp_path: Path) -> None:
    config = tmp_path / "storage.yaml"
    config.write_text("stores: {memory: {type: DictStore}}\nmain: memory\n")
    answer = invoke("serve", "--port", "0", "--workers", "2", cwd=tmp_path, env=environment(STORAGE_CONFIG=str(config)))
    assert answer.returncode == 2
    assert b"WORKERS=2" in answer.stderr


CONFIG = """\
stores:
  part: {type: PrefixStore, config: {prefix: part/}, base: files}
  files: {type: FilesystemStore, config: {root_path: files}}
main: files
"""


def test_a_store_of_a_storage_yaml_is_served(tmp_path: Path) -> None:
    (tmp_path / "storage.yaml").write_text(CONFIG)
    (tmp_path / "files" / "part").mkdir(parents=True)
    (tmp_path / "files" / "part" / "a").write_bytes(b"found")
    env = environment(DATA_DIR="elsewhere")
    for options, key in (((), "part/a"), (("--store", "part"), "a")):
        with serving("--config", "storage.yaml", *options, "--tokens", "tokens", cwd=tmp_path, env=env) as served:
            if options == ():
                token = served.token
            with RestStore.create(served.url, token) as store:
                assert store.get(key) == b"found"
            assert served.stop() == 0
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config", "nowhere.yaml"), "nowhere.yaml: No such file"),
        (("--config", "storage.yaml", "--store", "fils"), "there is no store 'fils'; did you mean 'files'"),
        (("--store", "files"), "--config FILE"),
        (("--config", "storage.yaml", "--data", "data"), "give one of them"),
    ],
)
def test_a_store_that_is_not_described_is_not_served(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "storage.yaml").write_text(CONFIG)
    answer = invoke("serve", "--port", "0", *options, cwd=tmp_path)
    assert answer.returncode == 2
    assert message in answer.stderr.decode()
    assert not (tmp_path / "files").exists()


HERE = {"DATA_DIR": "objectstore-data", "AUTH_TOKENS_FILE": "objectstore-data/tokens.json"}


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ({}, {}, HERE),
        ({}, {"DATA_DIR": "a"}, {"DATA_DIR": "a", "AUTH_TOKENS_FILE": "a/tokens.json"}),
        ({"DATA_DIR": "b"}, {"DATA_DIR": "a"}, {"DATA_DIR": "b", "AUTH_TOKENS_FILE": "b/tokens.json"}),
        ({}, {"STORAGE_CONFIG": "c"}, {"STORAGE_CONFIG": "c"}),
        (
            {"DATA_DIR": "b"},
            {"STORAGE_CONFIG": "c", "STORAGE_NAME": "d"},
            {"DATA_DIR": "b", "AUTH_TOKENS_FILE": "b/tokens.json"},
        ),
        ({"STORAGE_CONFIG": "c"}, {"DATA_DIR": "a"}, {"STORAGE_CONFIG": "c"}),
        (
            {"STORAGE_CONFIG": "c", "STORAGE_NAME": "d"},
            {"STORAGE_CONFIG": "e", "STORAGE_NAME": "f"},
            {"STORAGE_CONFIG": "c", "STORAGE_NAME": "d"},
        ),
        ({"STORAGE_NAME": "d"}, {"STORAGE_CONFIG": "c"}, {"STORAGE_CONFIG": "c", "STORAGE_NAME": "d"}),
        ({"AUTH_TOKENS_FILE": "t"}, {"AUTH_TOKENS_FILE": "u"}, {**HERE, "AUTH_TOKENS_FILE": "t"}),
        ({"PORT": 0, "WORKERS": None}, {"PORT": "80", "WORKERS": "2"}, {**HERE, "PORT": "0", "WORKERS": "2"}),
    ],
)
def test_options_go_before_the_environment(
    given: dict[str, object], found: dict[str, str], expected: dict[str, str]
) -> None:
    with mock.patch.dict(os.environ, found, clear=True):
        set_environment({"DATA_DIR": None, **given})
        assert dict(os.environ) == expected
