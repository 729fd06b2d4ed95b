"""Two servers on one S3, one Redis and one balancer, with the files of deploy/: each part is a real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, moto
from backends.redis_server import running_redis
from deploy.composed import ROOT, program
from objectstore import RestStore
from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.core.rates import parse_rate
from objectstore.errors import AlreadyExists, RateLimited
from objectstore.values import ONLY_IF_ABSENT
from peer import command_for, free_port, wait_until_healthy

FILE: Final = ROOT / "deploy" / "compose-cluster.yml"
QUOTA: Final = 10  # requests


def composed(**variables: str) -> Mapping[str, Any]:
    """What `docker compose config` makes of the file."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | variables
    command = [program(), "-f", str(FILE), "config", "--format", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    model: Mapping[str, Any] = json.loads(done.stdout)
    return model


SECRETS: Final = {"S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY}


@dataclass
class Cluster:
    """`urls` are those of the servers; `balancer` stands before both."""

    folder: Path
    urls: list[str]
    processes: list[subprocess.Popen[bytes]]
    balancer: str
    token: str
    limited: str  # a token with a limit of its own

    def store(self, url: str = "", token: str = "", max_retries: int = 3) -> RestStore:
        return RestStore.create(url or self.balancer, token or self.token, max_retries=max_retries, retry_delay=0.05)


@contextmanager
def _server(folder: Path, name: str, environment: Mapping[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command_for("uvicorn", port),
            env=os.environ | environment | {"PORT": str(port)},
            stdout=log,
            stderr=log,
            cwd=folder,
            process_group=0,
        )
    try:
        wait_until_healthy(process, port)
        yield f"http://127.0.0.1:{port}", process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@contextmanager
def _balancer(urls: list[str]) -> Iterator[str]:
    """nginx with deploy/cluster/nginx.conf, changed only in names and ports."""
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    text = (ROOT / "deploy" / "cluster" / "nginx.conf").read_text()
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        changes = {
            "listen 80;": f"listen 127.0.0.1:{port};",
            "/var/log/nginx/access.log": f"{name}/access.log",
            "server-1:8000": urls[0].removeprefix("http://"),
            "server-2:8000": urls[1].removeprefix("http://"),
        }
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        temporary = "".join(
            f"{one}_temp_path {name}/{one};\n" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        (Path(name) / "nginx.conf").write_text(
            f"{user}daemon off;\nmaster_process off;\npid {name}/pid;\nevents {{ worker_connections 256; }}\n"
            f"http {{\n{temporary}{text}}}\n"
        )
        process = subprocess.Popen([nginx, "-e", f"{name}/errors", "-c", f"{name}/nginx.conf"])
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                assert process.poll() is None, Path(name, "errors").read_text()
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        s3, redis = stack.enter_context(moto()), stack.enter_context(running_redis())
        variables = {**SECRETS, "S3_ENDPOINT": s3.url, "RATE_LIMIT_STORAGE": f"{redis.url}/0"}
        environment = composed(**variables)["services"]["server-1"]["environment"]
        _make_bucket(environment, s3.url)
        file = TokenFile(folder / "tokens.json")
        token = file.add("all", scopes=SCOPES, now=datetime.now(UTC), ttl=None)
        # In a day, so that none of it comes back while the test runs.
        rate = parse_rate(f"{QUOTA}/day")
        limited = file.add("limited", scopes=SCOPES, now=datetime.now(UTC), ttl=None, rate=rate)
        (folder / "links.key").write_text("0" * 64)
        places = {
            "AUTH_TOKENS_FILE": str(folder / "tokens.json"),
            "LINK_SECRET_FILE": str(folder / "links.key"),
            "STORAGE_CONFIG": str(ROOT / "deploy" / "cluster" / "storage.yaml"),
            "TRUSTED_PROXIES": "127.0.0.1",
            "HOST": "127.0.0.1",
        }
        running = [stack.enter_context(_server(folder, name, environment | places)) for name in ("one", "two")]
        urls = [url for url, _ in running]
        balancer = stack.enter_context(_balancer(urls))
        yield Cluster(folder, urls, [process for _, process in running], balancer, token, limited)


def _make_bucket(environment: Mapping[str, str], url: str) -> None:
    """By the command of the file, twice: the second time it is there."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    script = composed(**SECRETS)["services"]["bucket"]["command"][0].replace("$$", "$")
    assert "--aws-sigv4" in script
    values = {"ENDPOINT": url, "BUCKET": environment["S3_BUCKET"], "CREDENTIALS": f"{ACCESS_KEY}:{SECRET_KEY}"}
    for _ in range(2):
        subprocess.run(["sh", "-c", script], env=os.environ | values, check=True)


def test_the_file_describes_two_servers_that_are_alike() -> None:
    services = composed(**SECRETS)["services"]
    one, two = services["server-1"], services["server-2"]
    assert one == two
    assert [name for name, service in services.items() if service.get("ports")] == ["balancer"]
    assert {mount["target"] for mount in one["volumes"]} == {"/app/tokens.json", "/app/links.key", "/app/storage.yaml"}
    assert all(mount["read_only"] and not mount["bind"].get("create_host_path") for mount in one["volumes"])
    assert one["environment"]["RATE_LIMIT_STORAGE"] == "redis://redis:6379/0"
    text = (ROOT / "deploy" / "cluster" / "nginx.conf").read_text()
    assert all(f"server {name}:{one['environment']['PORT']} " in text for name in ("server-1", "server-2"))


def test_it_does_not_start_without_the_keys_of_the_bucket() -> None:
    command = [program(), "-f", str(FILE), "config"]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "set it in .env" in done.stderr


def test_what_is_written_through_one_is_read_through_the_other(cluster: Cluster) -> None:
    keys = ["a/b", "a%2Fb", "größe 😀", "runs?x=1&y"]
    with cluster.store(cluster.urls[0]) as one, cluster.store(cluster.urls[1]) as other, cluster.store() as both:
        for key in keys:
            one.put(key, key.encode(), metadata={"site_id": "7"})
            assert other.get(key) == both.get(key) == key.encode()
            assert other.head(key).attributes.metadata == {"site_id": "7"}
        assert sorted(both.keys()) == sorted(keys)
        both.put("large", bytes(20_000_000))
        assert one.head("large").etag == other.head("large").etag
        # An upload in parts is begun at one, goes on at the other, and is completed through the balancer.
        upload = one.begin_upload("parts")
        parts = [other.put_part(upload.upload_id, 1, bytes(6_000_000)), one.put_part(upload.upload_id, 2, b"end")]
        assert both.complete_upload(upload.upload_id, parts).size == 6_000_003
        assert other.get("parts")[-4:] == b"\0end"
        link = one.sign("a/b")
        assert httpx2.get(str(link).replace(cluster.urls[0], cluster.urls[1]), trust_env=False).content == b"a/b"
        other.delete("large")
        assert not one.exists("large")


def test_of_many_that_create_one_key_through_the_balancer_one_wins(cluster: Cluster) -> None:
    def create(number: int) -> int | None:
        with cluster.store() as store:
            try:
                store.put("once", f"by {number}".encode(), conditions=ONLY_IF_ABSENT)
            except AlreadyExists:
                return None
            return number

    with ThreadPoolExecutor(12) as pool:
        winners = [number for number in pool.map(create, range(24)) if number is not None]
    assert len(winners) == 1
    with cluster.store() as store:
        assert store.get("once") == f"by {winners[0]}".encode()


def test_a_limit_holds_across_both(cluster: Cluster) -> None:
    with cluster.store() as store:
        store.put("limited", b"x")
    allowed = [_spend(cluster, url) for url in (*cluster.urls, cluster.balancer)]
    assert sum(allowed) == QUOTA


def _spend(cluster: Cluster, url: str) -> int:
    with cluster.store(url, cluster.limited, max_retries=0) as store:
        spent = 0
        for _ in range(QUOTA - 3):
            try:
                store.get("limited")
            except RateLimited:
                continue
            spent += 1
        return spent


def test_when_one_server_is_killed_the_other_goes_on(cluster: Cluster) -> None:
    with cluster.store() as store:
        for number in range(10):
            store.put(f"kept/{number}", b"before")
        os.killpg(cluster.processes[0].pid, signal.SIGKILL)
        cluster.processes[0].wait(20)
        for number in range(10):
            assert store.get(f"kept/{number}") == b"before"
            store.put(f"kept/{number}", b"after")
        assert {store.get(key) for key in store.keys("kept/")} == {b"after"}
        store.delete_many([f"kept/{number}" for number in range(10)])
