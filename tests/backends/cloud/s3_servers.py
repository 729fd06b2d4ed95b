"""Real S3 servers on loopback, each for one session of tests: rclone's and moto's."""

from __future__ import annotations

import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import pytest

ACCESS_KEY: Final = "ACCESSKEY"
SECRET_KEY: Final = "SECRETKEY"


@dataclass(frozen=True)
class S3Server:
    """A running server; buckets are made by `make_bucket`."""

    name: str
    url: str
    folder: Path

    def make_bucket(self, bucket: str) -> None:
        if self.name == "rclone":
            (self.folder / bucket).mkdir(exist_ok=True)
        else:
            httpx2.put(f"{self.url}/{bucket}").raise_for_status()


@contextmanager
def rclone() -> Iterator[S3Server]:
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    if not program.exists():
        pytest.skip("the program rclone is not installed")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "serve",
            "s3",
            "--auth-key",
            f"{ACCESS_KEY},{SECRET_KEY}",
            "--dir-cache-time",
            "0s",
            "--config",
            "",
        ]
        with _serving([str(program), *arguments, "--addr"], folder) as url:
            yield S3Server("rclone", url, Path(folder))


@contextmanager
def moto() -> Iterator[S3Server]:
    pytest.importorskip("moto.server", reason="moto's server is not installed")
    with tempfile.TemporaryDirectory() as folder, _serving([sys.executable, "-m", "moto.server", "-H"]) as url:
        yield S3Server("moto", url, Path(folder))


@contextmanager
def _serving(command: list[str], *last: str) -> Iterator[str]:
    port = _free_port()
    address = [f"127.0.0.1:{port}"] if command[-1] == "--addr" else ["127.0.0.1", "-p", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*command, *address, *last], **quiet) as process:  # type: ignore[call-overload]  # as given
        try:
            _wait(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended at its start with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)  # what is waited for is another program's listening: there is no event for it
        else:
            return
    raise RuntimeError("the server did not listen in a minute")
