"""Connections are kept, shared by threads, and left alone by children and other event loops."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import pytest

from client.both import TOKEN, Both
from client.scripted import Scripted, answer, content
from objectstore import AsyncRestStore, RestStore, Unavailable
from objectstore.wire.retries import Retries


def test_one_connection_serves_many_requests(client: Both, server: Scripted) -> None:
    server.plays(content(b"x"), answer(404), answer(429), content(b"x"), answer(204), content(b"x"))
    client.get("k")
    client.exists("k")
    client.get("k")
    client.delete("k")
    client.read("k")
    assert {one.connection for one in server.seen} == {0}


def test_a_connection_that_the_server_closed_is_not_used(client: Both, server: Scripted) -> None:
    server.plays(answer(404, keep=False), content(b"x"))
    client.exists("k")
    assert client.get("k") == b"x"
    assert [one.connection for one in server.seen] == [0, 1]


def test_threads_share_a_store(live: str) -> None:
    with RestStore.create(live, TOKEN) as store, ThreadPoolExecutor(16) as threads:

        def use(number: int) -> bytes:
            key, data = f"threads/{number % 40}", bytes([number % 40]) * 1000
            store.put(key, data)
            with store.stream(key) as reader:
                assert reader.read() == data
            return store.get(key)

        found = list(threads.map(use, range(400)))
        assert found == [bytes([number % 40]) * 1000 for number in range(400)]
        assert len(list(store.keys("threads/"))) == 40


def test_tasks_share_a_store(live: str) -> None:
    async def use(store: AsyncRestStore, number: int) -> None:
        key, data = f"tasks/{number}", bytes([number]) * 1000
        await store.put(key, data)
        assert await store.get(key) == data

    async def main() -> None:
        async with AsyncRestStore.create(live, TOKEN) as store, asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(use(store, number))

    asyncio.run(main())


def test_a_store_goes_along_from_one_event_loop_to_the_next(live: str) -> None:
    store = AsyncRestStore.create(live, TOKEN)

    async def use() -> bytes:
        await store.put("loops", b"x")
        data = await store.get("loops")
        # What belongs to this loop is closed with it; the store itself goes on.
        await store._driver._transport.aclose()
        return data

    assert asyncio.run(use()) == b"x"
    assert asyncio.run(use()) == b"x"


def test_a_loop_that_ended_without_a_word_takes_its_connections_along(live: str) -> None:
    with warnings.catch_warnings():
        # Nobody closed them, and Python says so when it collects them.
        warnings.simplefilter("ignore", ResourceWarning)
        _use_in_two_loops(AsyncRestStore.create(live, TOKEN))
        gc.collect()


def _use_in_two_loops(store: AsyncRestStore) -> None:
    async def use() -> bool:
        return await store.exists("loops/none")

    assert asyncio.run(use()) is False
    assert asyncio.run(use()) is False


def _in_child(store: RestStore, told: Connection) -> None:
    told.send([store.get("fork") for _ in range(3)])
    store.close()


def test_a_child_after_a_fork_has_connections_of_its_own(live: str) -> None:
    context = multiprocessing.get_context("fork")
    with RestStore.create(live, TOKEN) as store:
        store.put("fork", b"x" * 1000)
        store.put("fork/large", bytes(8_000_000))
        with store.stream("fork/large") as reader:  # one connection is in the middle of an answer, one is idle
            store.exists("fork")
            ours, theirs = context.Pipe()
            child = context.Process(target=_in_child, args=(store, theirs))
            child.start()
            assert ours.poll(30)
            assert ours.recv() == [b"x" * 1000] * 3
            child.join(30)
            assert child.exitcode == 0
            assert reader.read() == bytes(8_000_000)
        assert store.get("fork") == b"x" * 1000


FORKED_WHILE_LOCKED = """
import os, sys, threading
from objectstore import RestStore

store = RestStore.create(sys.argv[1], sys.argv[2])
store.put("forked", b"x")
lock = store._driver._transport._pool._slots._cond
held, forked = threading.Event(), threading.Event()

def hold():
    with lock:
        held.set()
        forked.wait(30)

thread = threading.Thread(target=hold)
thread.start()
held.wait(30)
pid = os.fork()
if pid == 0:
    os._exit(0 if store.get("forked") == b"x" else 1)
status = os.waitpid(pid, 0)[1]
forked.set()
thread.join()
assert store.get("forked") == b"x"
store.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_lock_held_by_another_thread_does_not_stop_a_child(live: str) -> None:
    command = [sys.executable, "-W", "error", "-c", FORKED_WHILE_LOCKED, live, TOKEN]
    subprocess.run(command, check=True, timeout=60)


def test_a_store_of_tasks_can_be_used_after_a_fork(live: str) -> None:
    store = AsyncRestStore.create(live, TOKEN)

    async def parent() -> None:
        await store.put("afork", b"x")
        pid = os.fork()
        if pid == 0:
            os._exit(_child_of_tasks(store))
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert await store.get("afork") == b"x"
        await store.aclose()

    asyncio.run(parent())


def _child_of_tasks(store: AsyncRestStore) -> int:
    # A new thread has no running loop, which the forked one still believes to have.
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(store.get("afork"))))
    thread.start()
    thread.join(30)
    return 0 if found == [b"x"] else 1


def test_no_more_connections_are_opened_than_allowed(client_of: Callable[..., Both], server: Scripted) -> None:
    server.plays(content(b"x" * 1000, ends=1))
    client = client_of(server.url, max_connections=1, timeout=0.1, retries=Retries(limit=0))
    with pytest.raises(Unavailable, match=r"no connection to .* became free"):
        client.get_while_reading("k")


def test_a_closed_store_says_so(client_of: Callable[..., Both], live: str) -> None:
    client = client_of(live, token=TOKEN)
    client.exists("k")
    client.hang_up()
    with pytest.raises(RuntimeError, match="this store is closed"):
        client.get("k")


def test_closing_a_store_ends_what_is_under_way(live: str) -> None:
    store = RestStore.create(live, TOKEN)
    store.put("under-way", bytes(8_000_000))
    with store.stream("under-way") as reader:
        store.close()
        with pytest.raises(RuntimeError, match="this store is closed"):
            reader.read()

    async def main() -> None:
        store = AsyncRestStore.create(live, TOKEN)
        async with store.stream("under-way") as reader:
            await store.aclose()
            with pytest.raises(RuntimeError, match="this store is closed"):
                await reader.read()

    asyncio.run(main())


def test_stores_are_context_managers(live: str) -> None:
    with RestStore.create(live, TOKEN) as store:
        store.exists("k")
    with pytest.raises(RuntimeError):
        store.exists("k")

    async def main() -> None:
        async with AsyncRestStore.create(live, TOKEN) as store:
            await store.exists("k")
        with pytest.raises(RuntimeError):
            await store.exists("k")

    asyncio.run(main())
