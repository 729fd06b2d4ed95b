"""`/health/ready` tells the truth, quickly, and does not load the store."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server
from backends.redis_server import running_redis
from objectstore.auth.store import TokenStore
from objectstore.backends.engine.scrubstate import Pass, ScrubFolder, State
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import NotReady, StorageFull
from objectstore.server.readiness import Readiness
from objectstore.server.service import Service
from objectstore.wrappers.forwarding import Forwarding
from peer import Answer, Server, free_port, running
from server.scraped import scrape


class Asked(Forwarding):
    """Counts how often it is asked, answers when it may, and then with `failure`."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())
        self.times = 0
        self.may = asyncio.Event()
        self.may.set()
        self.failure: Exception | None = None

    async def check(self) -> None:
        self.times += 1
        await self.may.wait()
        if self.failure is not None:
            raise self.failure


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def service_of(store: Asked, tmp_path: Path) -> Service:
    return Service(
        backend=store,
        tokens=TokenStore(tmp_path / "tokens.json"),
        max_object_size=1,
        upload_ttl=timedelta(days=1),
    )


def test_many_probes_ask_the_store_once_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, clock = Asked(), Clock()
        readiness = Readiness(service_of(store, tmp_path), clock=clock)
        await asyncio.gather(*(readiness.require() for _ in range(10)))
        clock.now = 0.9
        await readiness.require()
        assert store.times == 1
        clock.now = 1.0
        await readiness.require()
        assert store.times == 2

    asyncio.run(scenario())


def test_a_store_that_hangs_is_told_in_time_and_not_asked_again_meanwhile(tmp_path: Path) -> None:
    async def scenario() -> None:
        store, clock = Asked(), Clock()
        readiness = Readiness(service_of(store, tmp_path), clock=clock, patience=0.01)
        store.may.clear()
        for _ in range(3):
            with pytest.raises(NotReady, match=r"store: the store did not answer within 0\.01 seconds"):
                await readiness.require()
            clock.now += 1
        assert store.times == 1
        store.may.set()
        await readiness.require()
        assert store.times == 1  # the first has come to its end
        clock.now += 1
        await readiness.require()
        assert store.times == 2

    asyncio.run(scenario())


def test_each_part_that_fails_has_its_reason(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = Asked()
        service = service_of(store, tmp_path)
        store.failure = StorageFull("no room")
        service.closing = False
        with pytest.raises(NotReady) as caught:
            await Readiness(service).require()
        assert caught.value.checks["store"] == {"status": "failed", "code": "storage_full", "message": "no room"}
        assert caught.value.checks["server"] == {"status": "ok"}
        store.failure = RuntimeError("secret inside")
        with pytest.raises(NotReady, match="store: the check failed; the log says how"):
            await Readiness(service).require()

    asyncio.run(scenario())


def test_a_server_that_ends_is_not_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        service = service_of(Asked(), tmp_path)
        readiness = Readiness(service)
        await service.open()
        await readiness.require()
        await service.close()
        with pytest.raises(NotReady, match="shutting down"):
            await readiness.require()

    asyncio.run(scenario())


def ready(server: Server, status: int) -> Answer:
    """The answer, once it has that status."""
    deadline = time.monotonic() + 60
    while (answer := server.ask("GET", "/health/ready", token=None)).status != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def test_a_relaxed_engine_says_so_and_a_broken_token_file_is_a_warning(tmp_path: Path) -> None:
    with running(tmp_path, environment={"DURABILITY": "relaxed"}) as server:
        told = ready(server, 200).json
        assert told["checks"] == {name: {"status": "ok"} for name in ("server", "store", "tokens", "limits", "scrub")}
        assert any("durability is relaxed" in note for note in told["notes"])
        (tmp_path / "tokens.json").write_text("{")
        while (told := ready(server, 200).json)["checks"]["tokens"]["status"] == "ok":
            pass
        assert told["checks"]["tokens"] == {
            "status": "warning",
            "message": "the token file is gone or cannot be used",
        }
        assert server.ask("GET", "/objects").status == 200
        folder = ScrubFolder(tmp_path / "data")
        folder.root.mkdir(exist_ok=True)
        for damaged, message in ((1, "1 body is damaged"), (2, "2 bodies are damaged")):
            folder.write(State(last=Pass(began=1.0, ended=2.0, bodies=9, damaged=damaged)))
            told_of(server, "scrub", message)
        (folder.root / "state.json").write_text("{")
        told_of(server, "scrub", "what scrubbing keeps cannot be read")


def told_of(server: Server, name: str, message: str) -> None:
    """Wait for a warning of that part, of a server that is ready all the same."""
    deadline = time.monotonic() + 60
    while message not in (check := ready(server, 200).json["checks"][name]).get("message", ""):
        assert time.monotonic() < deadline, check
    assert check["status"] == "warning"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with 40 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "data"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_fills_up_or_becomes_read_only_is_told(disk: Path, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        ready(server, 200)
        (disk / "filling").write_bytes(bytes(30 * 1024 * 1024))
        full = ready(server, 503)
        assert full.code == "not_ready"
        assert full.json["error"]["checks"]["store"]["code"] == "storage_full"
        assert "nearly full" in full.json["error"]["message"]
        assert int(full.headers["Retry-After"]) >= 1
        (disk / "filling").unlink()
        ready(server, 200)
        # What is open stays writable: so it is when somebody mounts over it, and so it looks when a disk fails.
        subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
        try:
            assert "read-only" in ready(server, 503).json["error"]["message"]
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        ready(server, 200)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        (tmp_path / "data").chmod(0o500)
        try:
            assert "cannot be written to" in ready(server, 503).json["error"]["message"]
        finally:
            (tmp_path / "data").chmod(0o700)
        ready(server, 200)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def rclone(port: int, folder: Path) -> Iterator[S3Server]:
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    command = [str(program), "serve", "s3", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", ""]
    command += ["--addr", f"127.0.0.1:{port}", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not accepts(port):
                pass
            S3Server(f"http://127.0.0.1:{port}").make_bucket("bucket")
            yield S3Server(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


S3 = """
stores:
  s3:
    type: BucketStore
    config: {{bucket_name: bucket, endpoint_url: "{url}", s3_access_key: {key}, s3_secret_key: {secret}}}
main: s3
"""


def test_a_bucket_that_is_away_is_told_and_so_is_its_return(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "bucket").mkdir()
    described = tmp_path / "storage.yaml"
    described.write_text(S3.format(url=f"http://127.0.0.1:{port}", key=ACCESS_KEY, secret=SECRET_KEY))
    with contextlib.ExitStack() as server_is_there:
        server_is_there.enter_context(rclone(port, tmp_path / "bucket"))
        with running(tmp_path, environment={"DATA_DIR": "", "STORAGE_CONFIG": str(described)}) as server:
            assert ready(server, 200).json["backend"] == "BucketStore"
            server_is_there.close()
            began = time.monotonic()
            assert ready(server, 503).json["error"]["checks"]["store"]["code"] == "unavailable"
            assert time.monotonic() - began < 30
            assert server.ask("GET", "/health", token=None).status == 200
            with rclone(port, tmp_path / "bucket"):
                ready(server, 200)


def test_a_redis_that_is_away_is_told_and_so_is_its_return(tmp_path: Path) -> None:
    with running_redis() as redis:
        described = tmp_path / "storage.yaml"
        described.write_text(f"stores: {{r: {{type: RedisStore, config: {{url: '{redis.url}'}}}}}}\nmain: r\n")
        with running(tmp_path, environment={"DATA_DIR": "", "STORAGE_CONFIG": str(described)}) as server:
            ready(server, 200)
            redis.kill()
            assert ready(server, 503).json["error"]["checks"]["store"]["code"] == "unavailable"
            assert server.ask("GET", "/objects/k").status == 503
            found = scrape(server)
            failed = {"error": "unavailable", "route": "/objects/{key}", "method": "GET"}
            assert found.value("objectstore_backend_errors_total", **failed) == 1
            assert found.value("objectstore_ready") == 0
            redis.start()
            ready(server, 200)
