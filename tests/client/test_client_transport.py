"""Proxies of the environment, and memory that stays flat."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client.both import TOKEN, Both, Kind
from client.scripted import Scripted, content
from objectstore import Unavailable
from objectstore.testing import serve


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_the_proxy_of_the_environment_is_used(
    client_of: Callable[..., Both], server: Scripted, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server.plays(content(b"x"))
    monkeypatch.setenv(name, server.url.removeprefix("http://") if name == "http_proxy" else server.url)
    assert client_of("http://store.invalid:81/p").get("a/../b//c") == b"x"
    assert server.seen[0].target == "http://store.invalid:81/p/objects/a%2F%2E%2E%2Fb//c"


@pytest.mark.usefixtures("no_proxies")
def test_no_proxy_is_used_where_none_is_wanted(
    client_of: Callable[..., Both], server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plays(content(b"x"))
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert client_of(server.url).get("k") == b"x"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate of 127.0.0.1 signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += [
        "-keyout",
        key,
        "-out",
        cert,
        "-days",
        "1",
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "keyUsage=critical,digitalSignature,keyCertSign",  # asked for from Python 3.13 on
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.mark.usefixtures("no_proxies")
def test_https_needs_an_authority_that_is_trusted(
    client_of: Callable[..., Both], certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(token=TOKEN, certificate=certificate) as server:
        with pytest.raises(Unavailable, match="certificate"):
            client_of(server.url).put("k", b"x")
        monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
        trusting = client_of(server.url)
        trusting.put("k", b"x")
        assert trusting.get("k") == b"x"


@pytest.mark.usefixtures("no_proxies")
def test_an_authority_of_ones_own_is_trusted_when_it_is_named(
    client_of: Callable[..., Both], certificate: tuple[str, str]
) -> None:
    with serve(token=TOKEN, certificate=certificate) as server:
        trusting = client_of(server.url, ca_file=certificate[0])
        trusting.put("k", b"x" * 1_000_000)
        assert trusting.get("k") == b"x" * 1_000_000


@pytest.mark.usefixtures("no_proxies")
def test_an_authority_that_cannot_be_read_is_told_by_its_file(tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(ValueError, match=r"the ca_file .*none.pem"):
        Both(kind, "https://127.0.0.1:1", ca_file=str(tmp_path / "none.pem"))


MOVES_A_LOT = """
import asyncio, sys, tempfile
from pathlib import Path
from objectstore import AsyncRestStore, RestStore

SIZE = 48 * 1024 * 1024
url, token = sys.argv[1:]

def peak():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024

def pieces():
    for _ in range(SIZE // 2**20):
        yield bytes(2**20)

async def move(path):
    async with AsyncRestStore.create(url, token) as store:
        await store.put("flat/async", path)
        await store.put("flat/async", pieces())
        async with store.stream("flat/async") as reader:
            assert sum([len(chunk) async for chunk in reader]) == SIZE

with tempfile.NamedTemporaryFile() as file, RestStore.create(url, token) as store:
    file.truncate(SIZE)
    store.put("flat/warm", b"x"); store.get("flat/warm")
    before = peak()
    store.put("flat/sync", file)
    store.put("flat/sync", pieces())
    with store.stream("flat/sync") as reader:
        assert sum(map(len, reader)) == SIZE
    asyncio.run(move(Path(file.name)))
    store.delete_many(["flat/sync", "flat/async", "flat/warm"])
    print(peak() - before)
"""


def test_large_objects_move_in_little_memory(live: str) -> None:
    command = [sys.executable, "-c", MOVES_A_LOT, live, TOKEN]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 16 * 1024 * 1024
