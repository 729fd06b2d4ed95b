"""nginx and Caddy with the files of deploy/, changed only where a test has to: ports, certificate and folders."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deploy.composed import ROOT
from peer import Answer, free_port

HOST: Final = "localhost"


@dataclass(frozen=True)
class Proxy:
    """A running proxy, which speaks HTTPS on `port`; over plain HTTP it listens on another, if it does."""

    kind: str
    port: int
    plain_port: int
    certificate: Path
    folder: Path

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.certificate))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=30), server_hostname=HOST)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Answer:
        context = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(HOST, self.port, timeout=60, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    @property
    def log(self) -> str:
        return (self.folder / "access.log").read_text()


@contextlib.contextmanager
def proxy(kind: str, upstream: int) -> Iterator[Proxy]:
    """A proxy of that kind in front of a port; the test is skipped where there is none."""
    program = shutil.which(kind, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        pytest.skip(f"{kind} is not installed")
    with tempfile.TemporaryDirectory(prefix=f"{kind}-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx works under another account
        _make_certificate(folder)
        found = Proxy(kind, free_port(), free_port(), folder / "cert.pem", folder)
        command = _COMMANDS[kind](program, found, upstream)
        homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        with (folder / "messages").open("wb") as messages:
            process = subprocess.Popen(command, env=os.environ | homes, stdout=messages, stderr=messages)
        try:
            _wait(process, found)
            yield found
        finally:
            process.terminate()
            process.wait(20)


def _nginx(program: str, proxy: Proxy, upstream: int) -> list[str]:
    folder = proxy.folder
    text = _changed(
        (ROOT / "deploy" / "nginx.conf").read_text(),
        {
            "server 127.0.0.1:8000;": f"server 127.0.0.1:{upstream};",
            "    listen [::]:80;\n": "",
            "    listen [::]:443 ssl http2;\n": "",
            "listen 80;": f"listen 127.0.0.1:{proxy.plain_port};",
            "listen 443 ssl http2;": f"listen 127.0.0.1:{proxy.port} ssl http2;",
            "/etc/ssl/objects.example.org/fullchain.pem": str(folder / "cert.pem"),
            "/etc/ssl/objects.example.org/privkey.pem": str(folder / "key.pem"),
            "/var/log/nginx/objectstore.log": str(folder / "access.log"),
        },
    )
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    around = (
        f"{user}daemon off;\npid {folder}/pid;\nevents {{ worker_connections 256; }}\nhttp {{\n{temporary}{text}}}\n"
    )
    (folder / "nginx.conf").write_text(around)
    return [program, "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]


def _caddy(program: str, proxy: Proxy, upstream: int) -> list[str]:
    folder = proxy.folder
    text = _changed(
        (ROOT / "deploy" / "Caddyfile").read_text(),
        {
            "objects.example.org {": f"https://{HOST}:{proxy.port} {{",
            "# For a certificate of your own: tls": "tls",
            "/etc/ssl/objects.example.org/fullchain.pem": str(folder / "cert.pem"),
            "/etc/ssl/objects.example.org/privkey.pem": str(folder / "key.pem"),
            "reverse_proxy 127.0.0.1:8000": f"reverse_proxy 127.0.0.1:{upstream}",
            "\tlog {\n": f"\tlog {{\n\t\toutput file {folder}/access.log\n",
        },
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


_COMMANDS: Final[Mapping[str, Callable[[str, Proxy, int], list[str]]]] = {"nginx": _nginx, "caddy": _caddy}


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def _make_certificate(folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1"]
    names += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]  # asked for from Python 3.13 on
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", *options, *names, *files], check=True, capture_output=True)


def _wait(process: subprocess.Popen[bytes], proxy: Proxy) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, (proxy.folder / "messages").read_text()
        with contextlib.suppress(OSError), proxy.connect():
            return
        time.sleep(0.02)
    raise AssertionError(f"{proxy.kind} did not come up")
