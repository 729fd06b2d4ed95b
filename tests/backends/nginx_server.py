"""A real nginx that serves a folder, on a port of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from peer import free_port

_CONFIGURATION: Final = """
{user}
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  default_type application/octet-stream;
  types {{ text/plain txt; }}
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/files;
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
    location /round/ {{ return 302 /round/; }}
    location /out/ {{ return 302 ftp://127.0.0.1/x; }}
    location /busy/ {{ add_header Retry-After 7 always; return 503; }}
    location /limited/ {{ return 429; }}
    location /guarded/ {{ return 401; }}
    location /plain/ {{ alias {folder}/files/; etag off; max_ranges 0; }}
    location /bare/ {{ alias {folder}/files/; etag off; add_header Last-Modified ""; }}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """What is in `files` is served; some paths are served in odd ways, as the configuration says."""

    port: int
    files: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def running_nginx() -> Iterator[Nginx]:
    """A server, ended when the block is left; the test is skipped where there is none."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        port = free_port()
        configuration = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, user=user))
        process = subprocess.Popen([program, "-e", str(folder / "log"), "-c", str(configuration)])
        try:
            _wait(process, port, folder)
            yield Nginx(port, folder / "files")
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("nginx did not come up")
