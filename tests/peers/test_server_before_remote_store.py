"""The server, while the store behind it is away, silent or wrong: it says so, holds nothing up, and recovers."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, rclone
from backends.redis_server import running_redis
from objectstore import Corrupted, RestStore, Unavailable
from objectstore.testing import BlackHole, Corrupt, Cut, Proxy, Received, Sent, proxied
from objectstore.testing.lines import LineTrouble
from peer import Answer, Server, running

KIB = 1024
MIB = 1024 * KIB
SMALL = b"small" * 1000
LARGE = os.urandom(2 * MIB)
REDIS = (
    "stores: {{s: {{type: RedisStore, config: {{url: '{url}?socket_timeout=1&socket_connect_timeout=1'}}}}}}\nmain: s\n"
)
S3 = """
stores:
  s:
    type: BucketStore
    config:
      bucket_name: bucket
      endpoint_url: "{url}"
      s3_access_key: {key}
      s3_secret_key: {secret}
      conditions: false
      botocore_config_kwargs: {{read_timeout: 0.5, connect_timeout: 0.5, retries: {{max_attempts: 0}}}}
main: s
"""


@dataclass(frozen=True)
class Served:
    server: Server
    proxy: Proxy

    @property
    def log(self) -> str:
        return (self.server.folder / "server.log").read_text()


def started(folder: Path, proxy: Proxy, described: str) -> Iterator[Served]:
    (folder / "storage.yaml").write_text(described)
    environment = {"DATA_DIR": "", "STORAGE_CONFIG": str(folder / "storage.yaml")}
    with running(folder, environment=environment) as server:
        yield Served(server, proxy)


def on_redis(folder: Path) -> Iterator[Served]:
    with running_redis() as redis, proxied(redis.url) as proxy:
        yield from started(folder, proxy, REDIS.format(url=proxy.url))


def on_s3(folder: Path) -> Iterator[Served]:
    with rclone() as s3, proxied(s3.url) as proxy:
        s3.make_bucket("bucket")
        yield from started(folder, proxy, S3.format(url=proxy.url, key=ACCESS_KEY, secret=SECRET_KEY))


@pytest.fixture(scope="module", params=[on_redis, on_s3], ids=["redis", "s3"])
def all_served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from request.param(tmp_path_factory.mktemp("served"))


@pytest.fixture
def served(all_served: Served) -> Iterator[Served]:
    in_the_end(all_served.server, "PUT", "/objects/small", 200, SMALL)
    in_the_end(all_served.server, "PUT", "/objects/large", 200, LARGE)
    yield all_served
    all_served.proxy.calm()


def in_the_end(server: Server, method: str, path: str, status: int, body: bytes | None = None) -> Answer:
    deadline = time.monotonic() + 60
    while (answer := server.ask(method, path, body)).status != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    return answer


def everything(server: Server) -> dict[str, Answer]:
    """One request of each kind, none of which changes what it finds when it is sent once more."""
    copied = {"X-Copy-From": "small"}
    return {
        "GET": server.ask("GET", "/objects/small"),
        "GET large": server.ask("GET", "/objects/large"),
        "HEAD": server.ask("HEAD", "/objects/small"),
        "PUT": server.ask("PUT", "/objects/put", SMALL),
        "PUT large": server.ask("PUT", "/objects/put-large", LARGE),
        "PUT in chunks": server.ask("PUT", "/objects/put-chunks", iter([LARGE[:MIB], LARGE[MIB:]])),
        "copy": server.ask("PUT", "/objects/copied", headers=copied),
        "list": server.ask("GET", "/objects?prefix=s&details=true"),
        "upload": server.json("POST", "/uploads", {"key": "upload"}),
    }


@pytest.mark.parametrize("trouble", ["away", "black hole", "cut"])
def test_a_store_in_trouble_is_503_and_its_return_200(served: Served, trouble: str) -> None:
    server, proxy = served.server, served.proxy
    troubles: dict[str, LineTrouble] = {"black hole": BlackHole(), "cut": Cut(Received(10), reset=True)}
    if trouble == "away":
        proxy.stop()
    else:
        proxy.disturb(troubles[trouble])
    try:
        answers = everything(server) | {"DELETE": server.ask("DELETE", "/objects/small")}
        assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 503)
        for name, answer in answers.items():
            assert answer.headers["X-Error-Code"] == "unavailable", name
            assert int(answer.headers["Retry-After"]) >= 1, name
        assert in_the_end(server, "GET", "/health/ready", 503).headers["Retry-After"]
        assert server.ask("GET", "/health", token=None).status == 200
    finally:
        proxy.calm()
        if trouble == "away":
            proxy.start()
    in_the_end(server, "GET", "/health/ready", 200)
    # On a busy machine some may take longer than the store is given.
    deadline = time.monotonic() + 60
    while wrong := {answer.status for answer in everything(server).values()} - {200, 201}:
        assert time.monotonic() < deadline, wrong
    assert "failed unforeseen" not in served.log


def test_a_store_that_is_away_costs_no_memory(served: Served) -> None:
    server = served.server

    def burden() -> set[int]:
        answers = [server.ask("PUT", f"/objects/many/{number % 10}", LARGE[: 300 * KIB]) for number in range(30)]
        answers += [server.ask("GET", "/objects/large") for _ in range(15)]
        return {answer.status for answer in answers}

    assert burden() == {200}
    before = server.peak_memory()
    served.proxy.stop()
    try:
        assert burden() == {503}
    finally:
        served.proxy.start()
    assert server.peak_memory() - before < 8 * MIB
    in_the_end(server, "GET", "/objects/large", 200)


def test_a_body_that_breaks_off_behind_the_server_breaks_off(served: Served) -> None:
    for reset in (False, True):
        with served.proxy.disturb(Cut(Sent(MIB), reset=reset)), pytest.raises(http.client.IncompleteRead):
            served.server.ask("GET", "/objects/large")
        assert in_the_end(served.server, "GET", "/objects/large", 200).body == LARGE
    assert "a response had to be cut" in served.log
    assert "failed unforeseen" not in served.log


def test_wrong_bits_behind_the_server_are_found_by_who_reads(served: Served) -> None:
    server = served.server
    with RestStore.create(server.url, server.token, max_retries=0) as store:
        for at in range(100_000, MIB, 300_000):
            with served.proxy.disturb(Corrupt(at), toward="client", times=1), pytest.raises((Corrupted, Unavailable)):
                store.get("large")
        for at in range(100_000, 400_000, 100_000):
            key = f"wrong/{at}"
            with served.proxy.disturb(Corrupt(at), toward="server"):
                try:
                    store.put(key, LARGE)
                except Unavailable:
                    continue  # the service has seen it
            with pytest.raises(Corrupted):
                store.get(key)
