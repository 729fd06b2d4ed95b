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
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
import pytest

from objectstore.core.sigv4 import EMPTY_PAYLOAD, Credentials, signed_headers

ACCESS_KEY: Final = "ACCESSKEY"
SECRET_KEY: Final = "SECRETKEY"


@dataclass(frozen=True)
class S3Server:
    """A running server; buckets are made by `make_bucket`."""

    url: str

    def make_bucket(self, bucket: str) -> None:
        """A new bucket, or the one that is there."""
        headers = signed_headers(
            "PUT",
            f"/{bucket}",
            (),
            {"host": self.url.removeprefix("http://")},
            payload_hash=EMPTY_PAYLOAD,
            credentials=Credentials(ACCESS_KEY, SECRET_KEY),
            region="us-east-1",
            now=datetime.now(UTC),
        )
        response = httpx2.put(f"{self.url}/{bucket}", headers=headers, trust_env=False)
        if b"BucketAlready" not in response.content:
            response.raise_for_status()


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
            "--config",
            "",
        ]
        with _serving([str(program), *arguments, "--addr"], folder) as url:
            yield S3Server(url)


@contextmanager
def moto() -> Iterator[S3Server]:
    pytest.importorskip("moto.server", reason="moto's server is not installed")
    with _serving([sys.executable, "-m", "moto.server", "-H"]) as url:
        yield S3Server(url)


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
