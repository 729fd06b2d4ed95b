"""The load that `objectstore bench` puts on a server, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from objectstore.errors import Corrupted

if TYPE_CHECKING:
    from objectstore.client import AsyncRestStore

PREFIX: Final = "objectstore-bench/"  # every run has a part of its own below
_SETTLING: Final = 1.0  # seconds
_PAGE: Final = 1000  # keys
_CHUNK: Final = 1024 * 1024  # bytes of a large body handed over at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is asked of the server."""

    objects: int
    size: int  # bytes of each
    connections: int  # requests under way at once
    large: int  # bytes of one large object; 0 for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One kind of work that was done."""

    work: str
    count: int  # requests
    seconds: float  # that all of them took
    rate: float
    unit: Literal["/s", "keys/s", "MB/s"]
    p50: float  # seconds that half of the requests stayed under
    p99: float  # seconds that all but a hundredth stayed under


@asynccontextmanager
async def room(store: AsyncRestStore) -> AsyncIterator[str]:
    """A prefix that is nobody else's. Whatever happens, what is under it afterwards is deleted."""
    prefix = f"{PREFIX}{secrets.token_hex(8)}/"
    try:
        yield prefix
    except BaseException:
        # Requests that were cut off may still be carried out.
        await asyncio.sleep(_SETTLING)
        raise
    finally:
        await store.delete_many([key async for key in store.keys(prefix)])


async def measure(store: AsyncRestStore, prefix: str, load: Load) -> AsyncIterator[Step]:
    """Each kind of work in turn. Raises what the client raises; every body is compared with what was stored."""
    pool = os.urandom(load.size + load.objects)
    keys = [f"{prefix}small/{number:09}" for number in range(load.objects)]
    bodies = {key: slice(number, number + load.size) for number, key in enumerate(keys)}

    async def put(key: str) -> None:
        await store.put(key, pool[bodies[key]])

    async def get(key: str) -> None:
        if await store.get(key) != pool[bodies[key]]:
            raise Corrupted(f"what is under {key!r} is not what was stored there")

    async def head(key: str) -> None:
        await store.head(key)

    yield await _each("put", put, keys, load.connections)
    yield await _each("get", get, keys, load.connections)
    yield await _each("head", head, keys, load.connections)
    yield await _listed(store, f"{prefix}small/", load.objects)
    yield await _each("delete", store.delete, keys, load.connections)
    if load.large:
        yield await _uploaded(store, f"{prefix}large", load.large)
        yield await _downloaded(store, f"{prefix}large", load.large)


async def _each(work: str, act: Callable[[str], Awaitable[None]], keys: list[str], connections: int) -> Step:
    took: list[float] = []
    waiting = iter(keys)

    async def connection() -> None:
        for key in waiting:
            began = time.perf_counter()
            await act(key)
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(connection())
    except ExceptionGroup as failed:
        # One tells enough: the others mostly say the same.
        raise failed.exceptions[0] from None
    seconds = time.perf_counter() - began
    return _step(work, took, seconds, len(keys) / seconds, "/s")


async def _listed(store: AsyncRestStore, prefix: str, count: int) -> Step:
    took: list[float] = []
    found, cursor = 0, None
    while not took or cursor is not None:
        began = time.perf_counter()
        page = await store.list(prefix, limit=_PAGE, cursor=cursor)
        took.append(time.perf_counter() - began)
        found, cursor = found + len(page.keys), page.next_cursor
    if found != count:
        raise Corrupted(f"{found} of {count} keys were listed under {prefix!r}")
    return _step("list", took, sum(took), found / sum(took), "keys/s")


async def _uploaded(store: AsyncRestStore, key: str, size: int) -> Step:
    chunk = os.urandom(_CHUNK)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size // _CHUNK):
            yield chunk
        yield chunk[: size % _CHUNK]

    began = time.perf_counter()
    info = await store.put(key, body())
    seconds = time.perf_counter() - began
    if info.size != size:
        raise Corrupted(f"{info.size} of {size} bytes were stored")
    return _step("upload", [seconds], seconds, size / seconds / 1e6, "MB/s")


async def _downloaded(store: AsyncRestStore, key: str, size: int) -> Step:
    began = time.perf_counter()
    received = 0
    async with store.stream(key) as reader:
        async for chunk in reader:
            received += len(chunk)
    seconds = time.perf_counter() - began
    if received != size:
        raise Corrupted(f"{received} of {size} bytes arrived")
    return _step("download", [seconds], seconds, size / seconds / 1e6, "MB/s")


def _step(work: str, took: list[float], seconds: float, rate: float, unit: Literal["/s", "keys/s", "MB/s"]) -> Step:
    ordered = sorted(took)
    return Step(
        work=work,
        count=len(took),
        seconds=seconds,
        rate=rate,
        unit=unit,
        p50=ordered[len(ordered) // 2],
        p99=ordered[len(ordered) * 99 // 100],
    )
