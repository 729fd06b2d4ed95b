"""The server for tests is a real one, does what it is told, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import objectstore.testing
from objectstore import (
    ONLY_IF_ABSENT,
    Forbidden,
    InternalError,
    NotFound,
    RateLimited,
    RestStore,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import ConfigurationError, ObjectStoreError
from objectstore.testing import After, Cut, Delay, ObjectStoreServer, Received, Refuse, Sent, serve

DATA = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def running() -> Iterator[ObjectStoreServer]:
    with serve() as started:
        yield started


@pytest.fixture
def server(running: ObjectStoreServer) -> ObjectStoreServer:
    running.calm()
    running.store.put("key", DATA)
    running.forget_requests()
    return running


@pytest.fixture
def once(server: ObjectStoreServer) -> Iterator[RestStore]:
    """A client that does not try again."""
    with RestStore.create(server.url, server.token, max_retries=0) as store:
        yield store


def _methods(server: ObjectStoreServer) -> list[str]:
    return [request.method for request in server.requests]


def _answer(server: ObjectStoreServer, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    with closing(connection):
        connection.request(method, "/objects/key", headers={"Authorization": f"Bearer {server.token}"})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def test_it_ends_with_its_block_and_leaves_no_thread_and_no_listener() -> None:
    before = set(threading.enumerate())
    with serve() as server:
        server.store.put("key", b"data")
        assert server.store.get("key") == b"data"
        address = urlsplit(server.url)
    assert not [one for one in set(threading.enumerate()) - before if one.name == "objectstore-server"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=5)


def test_it_leaves_the_garbage_collector_alone() -> None:
    frozen = gc.get_freeze_count()
    with serve() as server:
        server.store.exists("key")
    assert gc.get_freeze_count() == frozen


def test_it_serves_tasks_too() -> None:
    async def main() -> bytes:
        async with serve() as server, server.async_store() as store:
            await store.put("key", b"data")
            return await store.get("key")

    assert asyncio.run(main()) == b"data"


def test_a_folder_keeps_objects_and_a_port_stays_the_same(tmp_path: Path) -> None:
    with serve(tmp_path / "data") as server:
        server.store.put("key", DATA)
        url = server.url
        server.stop()
        with RestStore.create(url, server.token, max_retries=0) as store, pytest.raises(Unavailable):
            store.get("key")
        server.start()
        assert server.url == url
        assert server.store.get("key") == DATA
    with serve(tmp_path / "data") as server:
        assert server.store.get("key") == DATA
    assert (tmp_path / "data" / "FORMAT").exists()


def test_a_folder_that_cannot_be_used_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError), serve(tmp_path / "file"):
        pass
    with pytest.raises(TypeError, match="one of them"):
        serve(tmp_path, backend=MemoryBackend())


def test_a_server_that_is_not_started_says_so() -> None:
    server = serve()
    with pytest.raises(RuntimeError, match="not started"):
        assert server.url
    with server, pytest.raises(RuntimeError, match="running already"):
        server.start()


def test_tokens_may_do_less(server: ObjectStoreServer) -> None:
    reading = server.add_token(scopes=("read",), prefixes=("k",))
    with RestStore.create(server.url, reading) as store:
        assert store.get("key") == DATA
        with pytest.raises(Forbidden):
            store.put("key", b"")
        with pytest.raises(Forbidden):
            store.get("other")
    for token in ("wrong", server.add_token(lifetime=timedelta(0))):
        with RestStore.create(server.url, token) as store, pytest.raises(Unauthenticated):
            store.get("key")
    assert server.token not in repr(server)


def test_a_limit_of_size_is_that_of_a_real_server() -> None:
    with serve(max_object_size=10) as server, pytest.raises(TooLarge):
        server.store.put("key", bytes(11))


def test_a_limit_of_rate_is_that_of_a_real_server() -> None:
    with serve(rate_limit="2/hour") as server, RestStore.create(server.url, server.token, max_retries=0) as store:
        for _ in range(2):
            assert not store.exists("key")
        with pytest.raises(RateLimited) as refused:
            store.exists("key")
    assert refused.value.retry_after
    with pytest.raises(ValueError, match="rate"):
        serve(rate_limit="often")


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_refused_request_is_tried_again_by_our_client(server: ObjectStoreServer, status: int) -> None:
    rule = server.disturb(Refuse(status, retry_after=0), times=2)
    assert server.store.get("key") == DATA
    assert rule.hits == 2
    assert _methods(server) == ["GET"] * 3


def test_a_refusal_reads_as_one_of_the_server(server: ObjectStoreServer, once: RestStore) -> None:
    refusals: list[tuple[Refuse, type[ObjectStoreError]]] = [
        (Refuse(429, retry_after=7), RateLimited),
        (Refuse(503, retry_after=2.5), Unavailable),
        (Refuse(500), InternalError),
    ]
    for refusal, error in refusals:
        with server.disturb(refusal), pytest.raises(error):
            once.get("key")
    with server.disturb(Refuse(429, retry_after=7)):
        status, fields, body = _answer(server)
        assert (status, fields["retry-after"], fields["x-error-code"]) == (429, "7", "rate_limited")
        assert b'"rate_limited"' in body
    with server.disturb(Refuse(502, retry_after=0.5)):
        status, fields, _ = _answer(server, "HEAD")
        assert (status, fields["retry-after"]) == (502, "1")
    with server.disturb(Refuse(503)), pytest.raises(Unavailable):
        once.put("refused", DATA)
    assert not once.exists("refused")


def test_a_connection_cut_before_the_request_does_nothing(server: ObjectStoreServer, once: RestStore) -> None:
    with server.disturb(Cut(), method="PUT"), pytest.raises(Unavailable):
        once.put("cut before", b"data")
    assert not server.store.exists("cut before")


def test_a_connection_cut_after_the_request_leaves_its_fate_unknown(server: ObjectStoreServer) -> None:
    key = "cut after"
    server.disturb(Cut(After()), method="PUT", times=1)
    with pytest.raises(Unavailable, match="not known whether"):
        server.store.put(key, b"data", conditions=ONLY_IF_ABSENT)
    assert server.store.get(key) == b"data"


def test_a_body_cut_on_its_way_in_stores_nothing(server: ObjectStoreServer, once: RestStore) -> None:
    with server.disturb(Cut(Received(1000)), key="cut in"), pytest.raises(Unavailable):
        once.put("cut in", DATA)
    with pytest.raises(NotFound):
        once.get("cut in")


def test_a_body_cut_on_its_way_out_arrives_so_far(server: ObjectStoreServer) -> None:
    with server.disturb(Cut(Sent(1000))):
        with pytest.raises(http.client.IncompleteRead) as short:
            _answer(server)
        assert short.value.partial == DATA[:1000]
    server.disturb(Cut(Sent(1000)), times=2)
    assert server.store.get("key") == DATA
    with server.disturb(Cut(Sent(len(DATA) + 1))):
        assert server.store.get("key") == DATA


def test_a_delay_outlasts_the_patience_of_a_client_and_ends_with_the_server(server: ObjectStoreServer) -> None:
    with server.disturb(Delay(0.01)):
        assert server.store.get("key") == DATA
    with (
        serve() as slow,
        RestStore.create(slow.url, slow.token, timeout=0.2, max_retries=0) as hasty,
        slow.disturb(Delay(3600)),
        pytest.raises(Unavailable, match="did not answer"),
    ):
        hasty.get("key")


def test_open_connections_can_be_cut(server: ObjectStoreServer) -> None:
    server.store.get("key")
    server.hang_up()
    assert server.store.get("key") == DATA


def test_requests_are_known(server: ObjectStoreServer) -> None:
    server.store.put("a/ä", b"")
    server.store.list("a/")
    assert [(one.method, one.key) for one in server.requests] == [("PUT", "a/ä"), ("GET", None)]
    assert server.requests[1].path == "/objects"
    server.forget_requests()
    assert server.requests == ()


def test_every_name_is_there() -> None:
    for name in objectstore.testing.__all__:
        assert getattr(objectstore.testing, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = objectstore.testing.nothing
