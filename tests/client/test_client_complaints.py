"""What is complained of in the clients of other stores: none of it is true of these."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from client.both import TOKEN, Both, Kind
from client.scripted import Scripted, content
from objectstore import Bounded, TooLarge, Unavailable
from objectstore.wire.retries import Retries

DATA = bytes(range(256)) * 16


@pytest.mark.parametrize("ends", [0, 1, len(DATA) // 2, len(DATA) - 1])
def test_a_download_that_is_cut_short_is_no_result(client_of: Callable[..., Both], server: Scripted, ends: int) -> None:
    stop = len(DATA) - 16
    part = content(DATA, start=16, stop=stop, ends=min(ends, stop - 17))
    server.plays(*[content(DATA, ends=ends)] * 2, part)
    client = client_of(server.url, retries=Retries(limit=0))
    with pytest.raises(Unavailable):
        client.get("k")
    with pytest.raises(Unavailable):
        client.read("k")
    with pytest.raises(Unavailable):
        client.get("k", range=Bounded(16, stop))


def test_sixty_four_transfers_run_at_the_same_time(kind: Kind, server: Scripted) -> None:
    # No answer is given before all have asked.
    together = threading.Barrier(64, timeout=30)
    server.plays(*[replace(content(DATA), meanwhile=together.wait)] * 64)
    client, found = Both(kind, server.url), list[bytes]()
    if kind == "sync":
        with ThreadPoolExecutor(64) as threads:
            found.extend(threads.map(client.get, ["k"] * 64))
    else:

        async def get() -> None:
            found.extend(await asyncio.gather(*(client.store.get("k") for _ in range(64))))

        client._runner.run(get())
    client.close()
    assert found == [DATA] * 64
    assert {one.connection for one in server.seen} == set(range(64))


LOADER = """
import asyncio, multiprocessing, os, sys, threading
from contextlib import ExitStack
from objectstore import AsyncRestStore, RestStore

WORKERS, KEYS, EPOCHS = 3, 24, 2
url, token = sys.argv[1:]
# Without retries, which would hide a connection that two processes write to.
store = RestStore.create(url, token, max_retries=0)
tasks = AsyncRestStore.create(url, token, max_retries=0)
keys = [f"loader/{number}" for number in range(KEYS)]
large = 4 * 2**20

def put_all():
    for key in keys:
        store.put(key, key.encode() * 200)
    store.put("loader/large", bytes(large))

def load(number, found):
    # Each worker of a data loader reads its share of the keys, batch by batch, and hands the samples over.
    for _ in range(EPOCHS):
        for key in keys[number::WORKERS]:
            found.put((key, store.get(key)))
            found.put((key, asyncio.run(tasks.get(key))))
    with store.stream("loader/large") as reader:
        found.put(("large", sum(map(len, reader))))

def epoch(context):
    with ExitStack() as held:  # more idle connections than the threads use, so that each child inherits some
        for reader in [held.enter_context(store.stream("loader/large")) for _ in range(4)]:
            reader.read()
    found = context.Queue()
    workers = [context.Process(target=load, args=(number, found)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    got = [found.get(timeout=30) for _ in range(2 * EPOCHS * KEYS + WORKERS)]
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0, worker.exitcode
    assert sum(1 for key, data in got if key == "large" and data == large) == WORKERS
    assert all(data == key.encode() * 200 for key, data in got if key != "large")

put_all()
asyncio.run(tasks.get(keys[0]))
with store.stream("loader/large") as reader:  # the threads that hash are there
    assert sum(map(len, reader)) == large
# The parent goes on all the while, and some of its threads are in the middle of a request when it forks.
ended = threading.Event()
def go_on():
    while not ended.is_set():
        assert store.get(keys[1]) == keys[1].encode() * 200
        with store.stream("loader/large") as reader:
            assert sum(map(len, reader)) == large
threads = [threading.Thread(target=go_on) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(2):
    epoch(multiprocessing.get_context("fork"))
ended.set()
for thread in threads:
    thread.join()
assert store.get(keys[0]) == keys[0].encode() * 200
store.close()
"""


def test_the_workers_of_a_data_loader_go_on_with_the_store_of_their_parent(live: str) -> None:
    subprocess.run([sys.executable, "-c", LOADER, live, TOKEN], check=True, timeout=120)


def _endless() -> Iterator[bytes]:
    while True:
        yield bytes(64 * 1024)


async def _aendless() -> AsyncIterator[bytes]:
    for chunk in _endless():
        yield chunk


@contextlib.contextmanager
def refusing(status: bytes) -> Iterator[tuple[str, list[int]]]:
    """A server that answers once it has the head, and then counts what still comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        counted: list[int] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(1 << 16):
                    pass
                connection.sendall(b"HTTP/1.1 %b\r\ncontent-length: 0\r\n\r\n" % status)
                came = 0
                while data := connection.recv(1 << 20):
                    came += len(data)
                counted.append(came)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", counted
        thread.join(30)


def test_what_the_server_refuses_is_sent_no_more(kind: Kind) -> None:
    # Without end, so that a client that sends to the end never comes to it.
    with refusing(b"413 Too Large") as (url, counted):
        client = Both(kind, url)
        with pytest.raises(TooLarge):
            client.put("k", _endless() if kind == "sync" else _aendless())
        client.close()
    assert counted


def test_it_holds_back_no_other_library() -> None:
    # Who pins what others need as well can be installed beside few of them.
    needed = [Requirement(one) for one in requires("objectstore") or ()]
    assert needed
    assert {clause.operator for one in needed for clause in one.specifier} <= {">=", "!="}
