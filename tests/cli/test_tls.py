"""`objectstore serve --tls-cert --tls-key` with both servers, and everything that talks to it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.authority import Authority, new_authority
from cli.served import Served, environment, invoke, serving
from objectstore import AsyncRestStore, RestStore, Unavailable

REFUSED = {"TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE", "UNEXPECTED_EOF_WHILE_READING"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", params=["granian", "uvicorn"])
def secure(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("secure")
    cert, key = authority.issue(folder, "DNS:localhost", "IP:127.0.0.1")
    options = ("--host", "0.0.0.0", "--tls-cert", str(cert), "--tls-key", str(key))  # noqa: S104  of a test
    with (
        (folder / "log").open("wb") as log,
        serving("--data", str(folder / "data"), "--server", request.param, *options, stderr=log) as served,
    ):
        yield served


@pytest.fixture
def trusting(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))


def port_of(served: Served) -> int:
    port = urlsplit(served.url).port
    assert port is not None
    return port


def test_the_url_that_is_said_is_https(secure: Served) -> None:
    assert secure.url == f"https://127.0.0.1:{port_of(secure)}"


@pytest.mark.usefixtures("trusting")
def test_both_clients_trust_the_authority_of_the_environment(secure: Served) -> None:
    large = bytes(range(256)) * 4096
    with RestStore.create(secure.url, secure.token) as store:
        store.put("sync", large)
        assert store.get("sync") == large
        assert store.sign("sync").url.startswith(secure.url)

    async def talk() -> None:
        async with AsyncRestStore.create(secure.url, secure.token) as store:
            await store.put("async", large)
            assert await store.get("async") == large

    asyncio.run(talk())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"], ids=["authority", "name"])
def test_who_cannot_be_trusted_is_told_nothing(secure: Served, authority: Authority, host: str) -> None:
    # The one is of an authority that nobody named; the other of the right one, for another name.
    url = f"https://{host}:{port_of(secure)}"
    trusted = {} if host == "127.0.0.1" else {"SSL_CERT_FILE": str(authority.certificate)}
    env = environment(OBJECTSTORE_URL=url, OBJECTSTORE_TOKEN=secure.token, **trusted)
    answer = invoke("ls", env=env)
    assert (answer.returncode, answer.stdout) == (1, b"")
    assert b"certificate" in answer.stderr.lower()
    assert answer.stderr.count(b"\n") == 1


def test_the_async_client_does_not_trust_either(secure: Served) -> None:
    async def talk() -> None:
        async with AsyncRestStore.create(secure.url, secure.token, max_retries=0) as store:
            await store.get("a")

    with pytest.raises(Unavailable, match=r"(?i)certificate"):
        asyncio.run(talk())


def test_commands_and_curl_trust_the_authority(secure: Served, authority: Authority) -> None:
    env = secure.environment() | {"SSL_CERT_FILE": str(authority.certificate)}
    assert invoke("put", "-", "from/the command line", stdin=b"content", env=env).returncode == 0
    assert invoke("get", "from/the command line", "-", env=env).stdout == b"content"
    signed = invoke("sign", "from/the command line", env=env).stdout.decode().strip()
    # Which may choose HTTP/2, over TLS.
    curl = ["curl", "-sSf", "--cacert", str(authority.certificate)]
    assert subprocess.run([*curl, signed], capture_output=True, check=True, timeout=30).stdout == b"content"
    for version in ("--http1.1", "--http2"):
        asked = [version, "-H", f"Authorization: Bearer {secure.token}", "-H", "Content-Type: application/json"]
        body = ["-d", '{"key": "from/the command line"}', f"https://localhost:{port_of(secure)}/links"]
        made = subprocess.run([*curl, *asked, *body], capture_output=True, check=True, timeout=30).stdout
        url = json.loads(made)["url"]
        assert url.startswith(f"https://localhost:{port_of(secure)}/objects/")
        assert subprocess.run([*curl, version, url], capture_output=True, check=True, timeout=30).stdout == b"content"


def handshake(port: int, authority: Authority, version: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    # Or the client would refuse by itself what the server is to refuse.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as connection,
    ):
        return connection.version()


def test_nothing_older_than_tls_1_2_is_spoken(secure: Served, authority: Authority) -> None:
    port = port_of(secure)
    assert handshake(port, authority, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert handshake(port, authority, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises(ssl.SSLError) as caught:
            handshake(port, authority, old)
        # The server's doing: the client has said hello.
        assert caught.value.reason in REFUSED


@pytest.mark.usefixtures("trusting")
def test_plain_http_gets_nothing_and_does_no_harm(secure: Served) -> None:
    with socket.create_connection(("127.0.0.1", port_of(secure)), timeout=30) as plain:
        plain.sendall(f"GET /objects HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secure.token}\r\n\r\n".encode())
        assert not plain.recv(4096).startswith(b"HTTP/1.1 200")
    with RestStore.create(secure.url, secure.token) as store:
        assert not store.exists("nothing")


def _other_key(authority: Authority, folder: Path) -> tuple[Path, Path]:
    (folder / "other").mkdir()
    return authority.issue(folder, "IP:127.0.0.1")[0], authority.issue(folder / "other", "IP:127.0.0.1")[1]


def _swapped(authority: Authority, folder: Path) -> tuple[Path, Path]:
    cert, key = authority.issue(folder, "IP:127.0.0.1")
    return key, cert


def _locked_key(authority: Authority, folder: Path) -> tuple[Path, Path]:
    cert, key = authority.issue(folder, "IP:127.0.0.1")
    locked = folder / "locked.pem"
    command = ["openssl", "ec", "-in", str(key), "-out", str(locked), "-aes256", "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, locked


@pytest.mark.parametrize(
    ("make", "message"),
    [(_other_key, "no certificate with its key"), (_swapped, "no certificate with its key"), (_locked_key, "password")],
)
def test_a_bad_certificate_is_refused_in_a_line_before_anything_starts(
    make: object, message: str, authority: Authority, tmp_path: Path
) -> None:
    assert callable(make)
    cert, key = make(authority, tmp_path)
    options = ("--tls-cert", str(cert), "--tls-key", str(key))
    answer = invoke("serve", "--data", str(tmp_path / "data"), "--port", "0", *options)
    assert (answer.returncode, answer.stdout) == (2, b"")
    assert message in answer.stderr.decode()
    assert answer.stderr.count(b"\n") == 1
    assert not (tmp_path / "data").exists()
