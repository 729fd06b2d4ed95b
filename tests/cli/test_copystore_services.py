"""`objectstore copy-store` from and to services that run."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, rclone
from backends.redis_server import running_redis
from cli.served import PROGRAM, Served, environment, invoke, run
from objectstore.backends.engine.backend import EngineBackend
from objectstore.testing.suite.harness import found, keys
from objectstore.values import Attributes, ObjectInfo, PutOptions

OBJECTS = {"a.txt": b"", "photos/1": b"one", "photos/2": bytes(range(256)) * 4000, "photoshop": b"x" * 70_000}
KEPT = Attributes(content_type="text/plain", metadata={"author": "Ada"})


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """What leads to a server that has the bucket `bucket`, and knows no conditional writes."""
    with rclone() as server:
        server.make_bucket("bucket")
        yield f"endpoint_url={server.url}&conditions=false"


@pytest.fixture
def stock(tmp_path: Path) -> Path:
    """A data folder."""

    async def fill() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            for key, body in OBJECTS.items():
                await backend.put(key, body, PutOptions(attributes=KEPT))

    asyncio.run(fill())
    return tmp_path / "data"


def copy(source: object, target: object, *arguments: str, env: Mapping[str, str]) -> list[dict[str, Any]]:
    return events(invoke("copy-store", str(source), str(target), "--json", *arguments, env=env))


def events(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


def counts(told: list[dict[str, Any]]) -> tuple[int, int, int, int]:
    summary = told[-1]
    return summary["copied"], summary["skipped"], summary["deleted"], summary["failed"]


def held(folder: Path) -> dict[str, tuple[ObjectInfo, bytes]]:
    async def read() -> dict[str, tuple[ObjectInfo, bytes]]:
        async with EngineBackend(folder) as backend:
            objects = {key: await found(backend, key) for key in await keys(backend)}
            return {key: one for key, one in objects.items() if one is not None}

    return asyncio.run(read())


def check_round_trip(stock: Path, store: str, env: Mapping[str, str]) -> None:
    """There and back: nothing is sent twice, everything comes back with its attributes."""
    back = stock.with_name("back")
    assert counts(copy(stock, store, env=env)) == (4, 0, 0, 0)
    assert counts(copy(stock, store, "--delete", env=env)) == (0, 4, 0, 0)
    assert counts(copy(store, back, env=env)) == (4, 0, 0, 0)
    there = held(back)
    assert {key: body for key, (_, body) in there.items()} == OBJECTS
    assert all(info.attributes == KEPT for info, _ in there.values())
    assert counts(copy(store, back, "--checksum", env=env)) == (0, 4, 0, 0)


def s3_environment() -> dict[str, str]:
    return environment(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_REGION="us-east-1")


def test_a_bucket(s3: str, stock: Path) -> None:
    check_round_trip(stock, f"s3://bucket/a/folder?{s3}", s3_environment())


def test_a_folder_of_a_bucket_is_told_without_its_name(s3: str, stock: Path, tmp_path: Path) -> None:
    env = s3_environment()
    copy(stock, f"s3://bucket/all?{s3}", env=env)
    copy(f"s3://bucket/all/photos?{s3}", tmp_path / "below", env=env)
    assert held(tmp_path / "below").keys() == {"1", "2"}
    copy(f"s3://bucket/all?{s3}", tmp_path / "prefix", "--prefix", "photos/", env=env)
    assert held(tmp_path / "prefix").keys() == {"photos/1", "photos/2"}


def test_a_bucket_that_is_not_there_is_told_of(s3: str, stock: Path) -> None:
    done = invoke("copy-store", str(stock), f"s3://nothing?{s3}", env=s3_environment())
    assert done.returncode == 2
    assert b"no such bucket" in done.stderr
    assert SECRET_KEY.encode() not in done.stderr


def test_redis(stock: Path) -> None:
    with running_redis() as server:
        check_round_trip(stock, f"{server.url}/3", environment())


def test_another_server_of_this_kind(server: Served, stock: Path, tmp_path: Path) -> None:
    env = server.environment()
    copy(stock, server.url, env=env)
    copy(server.url, tmp_path / "back", env=env)
    assert {key: body for key, (_, body) in held(tmp_path / "back").items() if key in OBJECTS} == OBJECTS
    assert counts(copy(stock, server.url, env=env)) == (0, 4, 0, 0)


def test_a_server_that_knows_no_such_token_is_told_of(server: Served, stock: Path) -> None:
    env = {**server.environment(), "OBJECTSTORE_TOKEN": "os_unknown"}
    done = invoke("copy-store", str(stock), server.url, env=env)
    assert done.returncode == 2
    assert b"does not accept" in done.stderr


def test_a_copy_to_a_bucket_that_is_killed_goes_on(s3: str, tmp_path: Path) -> None:
    objects = {f"{number:03}": number.to_bytes(2, "big") * 20_000 for number in range(60)}
    (tmp_path / "files").mkdir()
    for key, body in objects.items():
        (tmp_path / "files" / key).write_bytes(body)
    source, target = f"file://{tmp_path}/files", f"s3://bucket/killed?{s3}"
    env = {**s3_environment(), "PYTHONUNBUFFERED": "1"}
    command = [*PROGRAM, "copy-store", source, target, "--json", "--jobs", "2"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        told = 0
        while told < 3:
            told += b'"copied"' in process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    # As a process: how it ends belongs to what is tested.
    copied, skipped, _, failed = counts(events(run("copy-store", source, target, "--json", env=env)))
    assert skipped >= 3
    assert copied >= 1
    assert (copied + skipped, failed) == (len(objects), 0)
    copy(target, tmp_path / "back", env=env)
    assert {key: body for key, (_, body) in held(tmp_path / "back").items()} == objects
