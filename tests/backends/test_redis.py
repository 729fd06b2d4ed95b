"""RedisStore on a real redis-server."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from backends.flat_memory import assert_get_is_flat, assert_put_is_flat
from backends.redis_server import RedisServer, running_redis
from objectstore.backends.contract import Backend
from objectstore.backends.reading import chunks, read_all
from objectstore.backends.redis import RedisBackend
from objectstore.backends.redis import backend as module
from objectstore.backends.redis.scripts import Script
from objectstore.backends.redis.server import Server as Way
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InvalidKey,
    NotFound,
    PreconditionFailed,
    StorageFull,
    TooLarge,
    Unavailable,
)
from objectstore.testing import Proxy, Stall, proxied
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.machine import machine
from objectstore.testing.suite.harness import LARGE, MIB, chunked, keys, read, sample
from objectstore.values import Attributes, Bounded, Conditions, GetOptions, ListQuery, PutOptions

OURS = b"\0objectstore:"


@pytest.fixture(scope="module")
def running() -> Iterator[RedisServer]:
    with running_redis() as started:
        yield started


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """With nothing in it."""
    with running.client() as client:
        client.flushall()
    return running


def on(url: str, scenario: Callable[[Backend], Awaitable[None]]) -> None:
    async def run() -> None:
        async with RedisBackend(url) as backend:
            await scenario(backend)

    asyncio.run(run())


class TestConformance(BackendConformance):
    @pytest.fixture(autouse=True)
    def fresh(self, server: RedisServer) -> None:
        self.url = server.url

    def backend(self, folder: Path) -> RedisBackend:
        del folder  # each test has the database for itself
        return RedisBackend(self.url)


def test_it_does_as_the_model(running: RedisServer) -> None:
    known: set[Path] = set()

    def opener(folder: Path) -> RedisBackend:
        if folder not in known:
            known.add(folder)
            with running.client() as client:
                client.flushall()
        return RedisBackend(running.url)

    steps = settings(
        max_examples=12,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(machine(opener), settings=steps)


class TestOtherPrograms:
    """Strings that another program writes are objects, whatever was known of their names before."""

    def test_their_strings_are_objects(self, server: RedisServer) -> None:
        with server.client() as client:
            client.mset({"a/1": b"one", "é": b"two", "z*[x]": b"three", b"\xff": b"no key", "n" * 1025: b"too long"})
            client.rpush("list", "1")

            async def scenario(backend: Backend) -> None:
                assert await keys(backend) == ["a/1", "z*[x]", "é"]
                assert await keys(backend, "z*[") == ["z*[x]"]
                assert await keys(backend, "z?") == []
                assert await read(backend, "é") == b"two"
                info = await backend.head("é")
                assert (info.size, info.digests, info.attributes) == (3, {}, Attributes())
                assert (await backend.head("é")).etag == info.etag
                await backend.delete("a/1")
                assert client.get("a/1") is None

            on(server.url, scenario)

    def test_our_objects_are_bare_strings(self, server: RedisServer) -> None:
        async def scenario(backend: Backend) -> None:
            await backend.put("a/b", b"bytes", PutOptions(attributes=Attributes(content_type="text/plain")))
            await backend.put("large", chunked(sample(3 * MIB)))

        on(server.url, scenario)
        with server.client() as client:
            assert client.get("a/b") == b"bytes"
            assert client.get("large") == sample(3 * MIB)
            assert client.ttl("large") == -1
            assert {name for name in client.keys() if not name.startswith(OURS)} == {b"a/b", b"large"}

    @pytest.mark.parametrize("size", [5, LARGE])
    @pytest.mark.parametrize("change", ["set", "edit", "append"])
    def test_a_string_that_they_change_has_no_stale_record(self, server: RedisServer, size: int, change: str) -> None:
        async def scenario(backend: Backend) -> None:
            options = PutOptions(attributes=Attributes(content_type="text/plain"))
            old = await backend.put("key", sample(size, 1), options)
            with server.client() as client:
                if change == "set":
                    client.set("key", b"?" * size)
                elif change == "edit":
                    client.setrange("key", size // 2, b"!")
                else:
                    client.append("key", b"!")
                now = client.get("key")
            info = await backend.head("key")
            assert info.etag != old.etag
            assert (info.digests, info.attributes) == ({}, Attributes())
            assert await read(backend, "key") == now
            [listed] = (await backend.list(ListQuery(details=True))).objects
            assert listed.etag == info.etag
            with pytest.raises(PreconditionFailed):
                await backend.put("key", b"x", PutOptions(conditions=Conditions(if_match=(old.etag,))))
            await backend.put("key", b"x", PutOptions(conditions=Conditions(if_match=(info.etag,))))

        on(server.url, scenario)

    def test_what_they_delete_is_gone_with_its_record(self, server: RedisServer) -> None:
        async def scenario(backend: Backend) -> None:
            await backend.put("key", b"old", PutOptions(attributes=Attributes(content_type="text/plain")))
            with server.client() as client:
                client.delete("key")
                assert await keys(backend) == []
                with pytest.raises(NotFound):
                    await backend.head("key")
                assert client.keys() == []

        on(server.url, scenario)

    def test_a_copy_of_theirs_gets_a_digest(self, server: RedisServer) -> None:
        with server.client() as client:
            client.set("key", sample(LARGE), ex=1000)

        async def scenario(backend: Backend) -> None:
            info = await backend.copy("key", "copy")
            assert set(info.digests) == {"sha-256"}
            assert await read(backend, "copy") == sample(LARGE)

        on(server.url, scenario)

    def test_values_of_other_types_are_left_alone(self, server: RedisServer) -> None:
        with server.client() as client:
            client.rpush("list", "1", "2")

            async def scenario(backend: Backend) -> None:
                await backend.put("key", b"1")
                for write in (
                    backend.put("list", b"x"),
                    backend.put("list", chunked(sample(LARGE * 2))),
                    backend.copy("key", "list"),
                ):
                    with pytest.raises(InvalidKey, match="keeps a list"):
                        await write
                for look in (backend.head("list"), read(backend, "list"), backend.delete("list")):
                    with pytest.raises(NotFound):
                        await look

            on(server.url, scenario)
            assert client.lrange("list", 0, -1) == [b"1", b"2"]
            assert not [name for name in client.keys() if b"writing" in name]

    @pytest.mark.parametrize("wanted", [None, Bounded(10, 3 * MIB - 10)])
    def test_an_object_that_they_overwrite_while_it_is_read_is_never_given_out_as_whole(
        self, server: RedisServer, wanted: Bounded | None
    ) -> None:
        async def scenario(backend: Backend) -> None:
            await backend.put("key", sample(3 * MIB, 1))
            with server.client() as client:
                async with backend.get("key", GetOptions(range=wanted)) as reading:
                    arriving = chunks(reading)
                    got = len(await anext(arriving))
                    client.set("key", sample(3 * MIB, 2))
                    with pytest.raises(Corrupted):  # noqa: PT012  how many blocks come before is not said
                        while True:
                            got += len(await anext(arriving))
                    assert got < reading.stop - reading.start

        on(server.url, scenario)


def test_large_bodies_are_not_held(server: RedisServer) -> None:
    async def scenario(backend: Backend) -> None:
        await assert_put_is_flat(backend, "key")
        await assert_get_is_flat(backend, "key")

    on(server.url, scenario)


def test_nothing_is_left_of_readings_and_writings(server: RedisServer) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield sample(2 * MIB)
        raise OSError("broken off")

    async def scenario(backend: Backend) -> None:
        await backend.put("key", sample(2 * MIB))
        async with backend.get("key") as reading:
            await backend.delete("key")
            assert await read_all(reading) == sample(2 * MIB)
        with pytest.raises(OSError, match="broken off"):
            await backend.put("key", body())

    on(server.url, scenario)
    with server.client() as client:
        # The version that was being read goes by itself.
        [left] = client.keys()
        assert b"version:" in left
        assert 0 < client.ttl(left) <= 120


def test_a_body_above_what_redis_takes_is_refused(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(backend: Backend) -> None:
        with pytest.raises(TooLarge):
            await backend.put("key", chunked(b"x"), PutOptions(size=module.LARGEST + 1))
        monkeypatch.setattr(module, "LARGEST", MIB)
        with pytest.raises(TooLarge):
            await backend.put("key", chunked(sample(2 * MIB)))

    on(server.url, scenario)
    with server.client() as client:
        assert client.keys() == []


def test_a_full_server_keeps_the_old_object(server: RedisServer) -> None:
    async def scenario(backend: Backend) -> None:
        old = await backend.put("small", b"old")
        await backend.put("large", sample(LARGE))
        with server.client() as client:
            client.config_set("maxmemory", 1)
            try:
                for body in (b"new", sample(LARGE), chunked(sample(3 * MIB))):
                    with pytest.raises(StorageFull):
                        await backend.put("small", body)
                with pytest.raises(StorageFull):
                    await backend.copy("large", "small")
                with pytest.raises(StorageFull):
                    await backend.check()
                assert await backend.head("small") == old
                assert await read(backend, "small") == b"old"
                assert await read(backend, "large") == sample(LARGE)
                await backend.delete("large")
            finally:
                client.config_set("maxmemory", 0)
        await backend.put("small", b"new")

    on(server.url, scenario)


def test_a_replica_serves_reads_and_is_unavailable_for_writes(server: RedisServer) -> None:
    async def scenario(backend: Backend) -> None:
        await backend.put("key", sample(LARGE))
        with server.client() as client:
            # Of a primary that is away: what is there stays.
            client.replicaof("127.0.0.1", 1)
            try:
                with pytest.raises(Unavailable):
                    await backend.put("key", b"new")
                with pytest.raises(Unavailable):
                    await backend.check()
                assert await read(backend, "key") == sample(LARGE)
                with pytest.raises(NotFound):
                    await backend.head("absent")
            finally:
                client.replicaof("NO", "ONE")

    on(server.url, scenario)


def test_a_server_that_goes_away_and_comes_back_is_used_again() -> None:
    with running_redis("--appendonly", "yes", "--appendfsync", "always") as server:

        async def scenario(backend: Backend) -> None:
            info = await backend.put("key", sample(LARGE))
            sending = asyncio.Event()
            resume = asyncio.Event()

            async def body() -> AsyncIterator[bytes]:
                yield sample(2 * MIB)
                sending.set()
                await resume.wait()
                yield b"end"

            writing = asyncio.create_task(backend.put("other", body()))
            await sending.wait()
            server.kill()
            for attempt in (backend.head("key"), backend.put("key", b"x"), backend.list(ListQuery()), backend.check()):
                with pytest.raises(Unavailable):
                    await attempt
            resume.set()
            with pytest.raises(Unavailable):
                await writing
            server.start()
            assert await backend.head("key") == info
            assert await read(backend, "key") == sample(LARGE)
            await backend.put("other", b"2")

        on(server.url, scenario)


@pytest.mark.parametrize("more", [b"", sample(2 * MIB)])
def test_a_body_whose_beginning_the_server_lost_is_not_stored(server: RedisServer, more: bytes) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield sample(2 * MIB)
        yield sample(2 * MIB)
        with server.client() as client:
            client.flushall()  # as a restart without persistence does
        yield more

    async def scenario(backend: Backend) -> None:
        with pytest.raises(Unavailable, match="lost what had been sent"):
            await backend.put("key", body())
        assert await keys(backend) == []

    on(server.url, scenario)


def test_a_server_that_hangs_is_unavailable_and_no_answer_is_mixed_up_afterwards(server: RedisServer) -> None:
    async def scenario(backend: Backend) -> None:
        for number in range(5):
            await backend.put(f"key/{number}", str(number).encode())
        server.pause()
        try:
            attempts = [read(backend, f"key/{number}") for number in range(5)]
            outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        finally:
            server.resume()
        assert {type(one) for one in outcomes} == {Unavailable}
        for number in range(5):
            assert await read(backend, f"key/{number}") == str(number).encode()

    on(f"{server.url}?socket_timeout=0.3", scenario)


def test_what_could_not_be_sent_in_time_is_not_stored_later(server: RedisServer) -> None:
    write = Script("redis.call('SET', KEYS[1], ARGV[1])\nreturn 'done'", lambda told: told == b"done")
    large = bytes(32 * 1024 * 1024)  # more than the proxy and the system take in

    async def scenario(url: str, proxy: Proxy) -> None:
        way = Way(f"{url}?socket_timeout=0.5")
        await way.open()
        try:
            await way.run(write, [b"first"], b"")  # Redis knows the script from now on, and would carry it out
            with proxy.disturb(Stall(), toward="server"), pytest.raises(Unavailable, match="in time"):
                await way.run(write, [b"late"], large)
            assert await asyncio.to_thread(proxy.wait_idle, 60)
        finally:
            await way.close()

    with proxied(server.url) as proxy, server.client() as client:
        asyncio.run(scenario(proxy.url, proxy))
        deadline = time.monotonic() + 60
        while len(client.client_list()) > 1:  # until Redis has seen the end of that connection
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert client.keys() == [b"first"]


@contextmanager
def answering(words: bytes) -> Iterator[int]:
    """The port of something that says these words to everyone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(words)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def open_only(url: str) -> None:
    async def scenario(_: Backend) -> None:
        pass

    on(url, scenario)


class TestOpening:
    def test_garbage_on_the_port_is_no_redis(self) -> None:
        with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, pytest.raises(ConfigurationError, match="url"):
            open_only(f"redis://127.0.0.1:{port}")

    def test_nothing_on_the_port_is_told_without_the_password(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}") as raised:
            open_only(f"redis://user:hush@127.0.0.1:{port}")
        assert "hush" not in str(raised.value)

    def test_a_wrong_password_is_told_without_it(self) -> None:
        with running_redis("--requirepass", "right") as server:
            address = f"127.0.0.1:{server.port}"
            for url in (f"redis://:hush@{address}", f"redis://{address}"):
                with pytest.raises(ConfigurationError, match="refuses user and password") as raised:
                    open_only(url)
                assert "hush" not in str(raised.value)
            open_only(f"redis://:right@{address}")

    @pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://h:port", ""])
    def test_an_url_of_another_kind_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="redis://"):
            open_only(url)

    def test_a_database_that_is_not_there_is_refused(self, server: RedisServer) -> None:
        with pytest.raises(ConfigurationError, match="DB index"):
            open_only(f"{server.url}/999")

    def test_a_server_that_throws_keys_away_is_warned_of(
        self, server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        with server.client() as client:
            client.config_set("maxmemory", "1gb")
            client.config_set("maxmemory-policy", "allkeys-lru")
            try:
                with caplog.at_level(logging.WARNING):
                    open_only(server.url)
            finally:
                client.config_set("maxmemory-policy", "noeviction")
                client.config_set("maxmemory", 0)
        assert "allkeys-lru" in caplog.text


def test_a_closed_store_says_so(server: RedisServer) -> None:
    async def scenario() -> None:
        backend = RedisBackend(server.url)
        async with backend:
            pass
        with pytest.raises(Unavailable, match="closed"):
            await backend.head("key")

    asyncio.run(scenario())
