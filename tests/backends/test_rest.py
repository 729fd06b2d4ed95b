"""RestStore on a real server of ours."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule, run_state_machine_as_test

from backends.flat_memory import assert_get_is_flat, assert_put_is_flat
from client.scripted import Act, answer, failure, scripted
from objectstore.backends.contract import Backend
from objectstore.backends.rest import RestBackend
from objectstore.errors import ConfigurationError, DigestMismatch, NotFound, RateLimited, Unavailable
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.machine import machine
from objectstore.testing.suite.harness import LARGE, MIB, SMALL, chunked, contract, keys, read, sample
from objectstore.testing.suite.objects import FULL
from objectstore.testing.suite.uploads import begin
from objectstore.values import ListQuery, PutOptions
from peer import Server, add_token, command_for, running, wait_until_healthy

EMPTY = answer(200, b'{"keys": [], "next_cursor": null, "has_more": false}', [("content-type", "application/json")])


def clear(server: Server) -> None:
    while keys := server.ask("GET", "/objects?limit=1000").json["keys"]:
        server.json("POST", "/objects/delete", {"keys": keys})
    for upload in server.ask("GET", "/uploads?limit=1000").json["uploads"]:
        server.ask("DELETE", f"/uploads/{upload['upload_id']}")


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server"), environment={"DATA_DIR": ""}) as server:
        yield server


@pytest.fixture
def server(peer: Server) -> Server:
    """With nothing in it."""
    clear(peer)
    return peer


def on(backend: RestBackend, scenario: Callable[[Backend], Awaitable[None]]) -> None:
    async def run() -> None:
        async with backend:
            await scenario(backend)

    asyncio.run(run())


@contextmanager
def restarted(server: Server) -> Iterator[None]:
    """The server once more, on the port and the data that it had."""
    settings = {"DATA_DIR": str(server.folder / "data"), "AUTH_TOKENS_FILE": str(server.folder / "tokens.json")}
    process = subprocess.Popen(command_for("uvicorn", server.port), env=os.environ | settings)
    try:
        wait_until_healthy(process, server.port)
        yield
    finally:
        process.kill()
        process.wait()


async def nothing(_: Backend) -> None:
    pass


class TestConformance(BackendConformance):
    """All of the contract, but for what the HTTP contract has no words for."""

    @pytest.fixture(autouse=True)
    def fresh(self, server: Server) -> None:
        self.server = server

    def backend(self, folder: Path) -> RestBackend:
        del folder  # each test has the server for itself
        return RestBackend(self.server.url, self.server.token)

    @contract("write")
    async def test_a_chosen_etag_is_kept(self, backend: Backend) -> None:
        # The other server chooses; what it chose is told everywhere.
        info = await backend.put("key", b"1", PutOptions(etag="chosen-2"))
        assert await backend.head("key") == info

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write")
    async def test_digests_asked_for_are_kept(self, backend: Backend, size: int) -> None:
        # Only SHA-256 is; the others are at least not told here and forgotten there.
        info = await backend.put("key", chunked(sample(size)), PutOptions(digests=frozenset({"md5", "crc32"})))
        assert info.digests == {"sha-256": hashlib.sha256(sample(size)).digest()}
        assert await backend.head("key") == info

    @contract("write")
    async def test_a_part_is_checked_against_size_and_digests(self, backend: Backend) -> None:
        upload = await begin(backend)
        data = sample(LARGE)
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        with pytest.raises(DigestMismatch):
            await upload.put(1, data, PutOptions(expected={"md5": bytes(16)}))
        assert (await backend.uploads.get(upload.upload_id)).parts == ()
        part = await upload.put(1, data, PutOptions(size=LARGE, expected={"md5": md5}))
        [arrived] = (await backend.uploads.get(upload.upload_id)).parts
        assert arrived == part

    @contract("write")
    async def test_the_object_gets_the_attributes_and_etag_of_the_beginning(self, backend: Backend) -> None:
        upload = await begin(backend, "key", PutOptions(attributes=FULL, etag="chosen"))
        etag = await upload.complete(await upload.put(1, sample(SMALL)))
        info = await backend.head("key")
        assert (info.attributes, info.etag) == (FULL, etag)

    @contract("write")
    async def test_expiry_ends_uploads_begun_before(self, backend: Backend) -> None:
        unfinished, completed = await begin(backend), await begin(backend)
        await completed.complete(await completed.put(1, b"done"))
        begun = (await backend.uploads.get(unfinished.upload_id)).begun
        assert await backend.uploads.expire(begun - timedelta(days=1)) == 0
        # Completed ones are the other server's to forget.
        assert await backend.uploads.expire(begun + timedelta(days=1)) == 1
        assert (await backend.uploads.list()).uploads == ()
        assert await read(backend, "key") == b"done"


def test_it_does_as_the_model(peer: Server) -> None:
    known: set[Path] = set()

    def opener(folder: Path) -> RestBackend:
        if folder not in known:
            known.add(folder)
            clear(peer)
        return RestBackend(peer.url, peer.token)

    class Machine(machine(opener)):  # type: ignore[misc]  # a class made for this test
        @rule()
        def expire_uploads(self) -> None:
            for upload_id, upload in self.model.uploads.items():
                if upload.completed is None:
                    self.run(self.backend.uploads.abort(upload_id))
            self.model.uploads.clear()

    steps = settings(
        max_examples=10,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(Machine, settings=steps)


@pytest.mark.parametrize("announced", [None, 3 * MIB])
def test_a_body_with_another_digest_is_not_stored_there(server: Server, announced: int | None) -> None:
    """CRC-32 has no header field: it is compared on this side, before the other server has the last byte."""

    async def scenario(backend: Backend) -> None:
        options = PutOptions(size=announced, expected={"crc32": bytes(4)})
        with pytest.raises(DigestMismatch):
            await backend.put("key", chunked(sample(3 * MIB)), options)
        assert await keys(backend) == []

    on(RestBackend(server.url, server.token), scenario)


def test_large_bodies_are_not_held(server: Server) -> None:
    async def scenario(backend: Backend) -> None:
        await assert_put_is_flat(backend, "key")
        await assert_get_is_flat(backend, "key")

    on(RestBackend(server.url, server.token), scenario)


def test_a_server_that_goes_away_and_comes_back_is_used_again(tmp_path: Path) -> None:
    with running(tmp_path) as server:

        async def scenario(backend: Backend) -> None:
            info = await backend.put("key", sample(LARGE))
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            for attempt in (backend.head("key"), backend.put("key", b"x"), backend.list(ListQuery()), backend.check()):
                with pytest.raises(Unavailable):
                    await attempt
            with restarted(server):
                assert await backend.head("key") == info
                assert await read(backend, "key") == sample(LARGE)
                await backend.check()

        on(RestBackend(server.url, server.token, max_retries=1, retry_delay=0), scenario)


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "code", "error"), [(429, "rate_limited", RateLimited), (503, "unavailable", Unavailable)]
    )
    def test_who_asks_for_time_is_given_it(self, status: int, code: str, error: type[RateLimited]) -> None:
        async def scenario(backend: Backend) -> None:
            with pytest.raises(error) as raised:
                await backend.put("key", b"1")
            assert raised.value.retry_after == 7

        with scripted() as other:
            other.plays(EMPTY, failure(status, code, ("retry-after", "7")))
            on(RestBackend(other.url, max_retries=0), scenario)

    def test_a_key_that_is_refused_later_is_not_the_fault_of_our_caller(self) -> None:
        async def scenario(backend: Backend) -> None:
            with pytest.raises(Unavailable, match="api_key"):
                await backend.head("key")

        with scripted() as other:
            other.plays(EMPTY, failure(401, "unauthenticated"))
            on(RestBackend(other.url), scenario)

    def test_garbage_is_unavailable(self) -> None:
        async def scenario(backend: Backend) -> None:
            with pytest.raises(Unavailable):
                await backend.head("key")

        with scripted() as other:
            other.plays(EMPTY, Act(b"-ERR unknown command\r\n", keep=False))
            on(RestBackend(other.url, max_retries=0), scenario)

    def test_a_server_that_hangs_is_unavailable(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(ConfigurationError, match="did not answer"):
                on(RestBackend(url, timeout=0.2), nothing)


class TestOpening:
    def test_nobody_there_is_told(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as closed:
            port = closed.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"base_url http://127\.0\.0\.1:{port}"):
            on(RestBackend(f"http://127.0.0.1:{port}", "os_hush"), nothing)

    def test_an_api_key_that_is_not_accepted_is_told_without_it(self, server: Server) -> None:
        for api_key in ("os_hush", None):
            with pytest.raises(ConfigurationError, match="does not accept the api_key") as raised:
                on(RestBackend(server.url, api_key), nothing)
            assert "hush" not in str(raised.value)

    def test_an_api_key_for_writing_alone_will_do(self, server: Server) -> None:
        token = add_token(server.folder / "tokens.json", "writer", scopes=["write"])

        async def scenario(backend: Backend) -> None:
            await backend.put("key", b"1")

        while server.ask("GET", "/objects", token=token).status == 401:
            pass  # the server looks at its tokens within a second
        on(RestBackend(server.url, token), scenario)

    def test_another_kind_of_server_is_told(self) -> None:
        with scripted() as other:
            other.plays(answer(404, b"<html>", [("content-type", "text/html")]))
            with pytest.raises(ConfigurationError, match="is the base URL right"):
                on(RestBackend(other.url), nothing)

    @pytest.mark.parametrize("url", ["", "host", "ftp://host", "http://u:p@host", "http://host/?q"])
    def test_a_base_url_of_another_kind_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="base URL"):
            on(RestBackend(url), nothing)


def test_a_closed_store_says_so(server: Server) -> None:
    async def scenario() -> None:
        backend = RestBackend(server.url, server.token)
        async with backend:
            with pytest.raises(NotFound):
                await backend.head("key")
        with pytest.raises(Unavailable, match="closed"):
            await backend.head("key")

    asyncio.run(scenario())
