"""Zarr's own tests for stores, over the file system and over our store; and what the latter is for."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import Buffer, cpu, default_buffer_prototype
from zarr.storage import FsspecStore
from zarr.testing.store import StoreTests

from objectstore import Forbidden, Unavailable
from objectstore.testing import Cut, ObjectStoreServer, Refuse
from objectstore.zarr import ZarrStore


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def url(server: ObjectStoreServer) -> str:
    """Of a place that no other test uses."""
    return f"objectstore://{server.url.removeprefix('http://')}/zarr/{uuid.uuid4()}"


# Its tests are coroutines, and leave it to who runs them how.
@pytest.mark.anyio
@pytest.mark.usefixtures("anyio_backend")
class Tests(StoreTests[Any, cpu.Buffer]):
    __test__ = False
    buffer_cls = cpu.Buffer

    async def set(self, store: Any, key: str, value: Buffer) -> None:
        await self._client(store).put(f"{store.path}/{key}", value.to_bytes())

    async def get(self, store: Any, key: str) -> Buffer:
        return self.buffer_cls.from_bytes(await self._client(store).get(f"{store.path}/{key}"))

    def _client(self, store: Any) -> Any:
        raise NotImplementedError

    def test_store_supports_writes(self, store: Any) -> None:
        assert store.supports_writes

    def test_store_supports_listing(self, store: Any) -> None:
        assert store.supports_listing


class TestFsspecStore(Tests):
    __test__ = True
    store_cls = FsspecStore
    # The class of zarr has no methods that block.
    test_get_sync = test_get_sync_missing = test_set_sync = test_delete_sync = test_delete_sync_missing = None  # type: ignore[assignment]

    def _client(self, store: Any) -> Any:
        return store.fs.client

    @pytest.fixture
    async def store_kwargs(self, url: str, server: ObjectStoreServer) -> AsyncIterator[dict[str, Any]]:
        store = FsspecStore.from_url(url, storage_options={"token": server.token})
        yield {"fs": store.fs, "path": store.path}
        await store.fs._close()

    def test_store_repr(self, store: Any) -> None:
        assert repr(store) == f"<FsspecStore(ObjectStoreFileSystem, {store.path})>"


class TestZarrStore(Tests):
    __test__ = True
    store_cls = ZarrStore

    def _client(self, store: Any) -> Any:
        return store._client

    @pytest.fixture
    async def store_kwargs(self, url: str, server: ObjectStoreServer) -> AsyncIterator[dict[str, Any]]:
        kwargs: dict[str, Any] = {"url": url, "token": server.token, "retry_delay": 0.01}
        yield dict(kwargs)
        await ZarrStore(**kwargs).aclose()

    def test_store_repr(self, store: Any) -> None:
        assert repr(store) == f"<ZarrStore objectstore://{store._place.url.removeprefix('http://')}/{store.path}>"


@pytest.fixture
async def store(url: str, server: ObjectStoreServer, anyio_backend: str) -> AsyncIterator[ZarrStore]:  # noqa: ARG001  it is what runs it
    opened = ZarrStore(url, token=server.token, retry_delay=0.01)
    yield opened
    await opened.aclose()


def _buffer(data: bytes) -> cpu.Buffer:
    return cpu.Buffer.from_bytes(data)


PROTOTYPE = default_buffer_prototype()


@pytest.mark.anyio
async def test_what_is_no_chunk_takes_one_request(store: ZarrStore, server: ObjectStoreServer) -> None:
    for number in range(30):
        await store.set(f"a/{number}", _buffer(b"12"))
    single: dict[str, Callable[[], Any]] = {
        "HEAD": lambda: store.exists("none"),
        "PUT": lambda: store.set_if_not_exists("a/1", _buffer(b"3456")),
        "DELETE": lambda: store.delete("none"),
        "GET": lambda: store.getsize_prefix("a/"),
    }
    for method, call in single.items():
        server.forget_requests()
        await call()
        assert [one.method for one in server.requests] == [method]
    await store.set("ab/1", _buffer(b"of another array"))
    assert await store.getsize_prefix("a/") == await store.getsize_prefix("a") == 60
    server.forget_requests()
    assert not await store.is_empty("a")
    await store.clear()
    assert Counter(one.method for one in server.requests) == {"GET": 2, "POST": 1}
    assert await store.is_empty("")


@pytest.mark.anyio
async def test_ranges_of_one_key_come_together(store: ZarrStore, server: ObjectStoreServer) -> None:
    data = np.random.default_rng(1).bytes(300_000)
    await store.set("shard", _buffer(data))
    wanted = [(0, 100), (250_000, 250_100), (200, 5000), (7, 7), (299_999, 300_100)]
    server.forget_requests()
    found = await store.get_partial_values(PROTOTYPE, [("shard", RangeByteRequest(*one)) for one in wanted])
    assert [one.to_bytes() for one in found if one is not None] == [data[slice(*one)] for one in wanted]
    assert len(server.requests) == 3
    assert await store.get_partial_values(PROTOTYPE, [("none", RangeByteRequest(0, 1)), ("none", None)]) == [None] * 2


@pytest.mark.anyio
async def test_of_many_creators_one_wins(store: ZarrStore) -> None:
    await asyncio.gather(*(store.set_if_not_exists("k", _buffer(b"%d" % number)) for number in range(20)))
    first = await store.get("k", PROTOTYPE)
    await store.set_if_not_exists("k", _buffer(b"late"))
    assert await store.get("k", PROTOTYPE) == first


@pytest.mark.anyio
async def test_trouble_is_never_taken_for_absence(store: ZarrStore, server: ObjectStoreServer, url: str) -> None:
    await store.set("k", _buffer(b"12"))
    server.disturb(Refuse(503, retry_after=0), times=2)
    assert await store.exists("k")
    with server.disturb(Cut()):
        for call in (store.exists("k"), store.get("k", PROTOTYPE), store.set("k", _buffer(b""))):
            with pytest.raises(Unavailable):
                await call
    other = ZarrStore(url, token=server.add_token(prefixes=("nothing/",)))
    with pytest.raises(Forbidden):
        await other.get("k", PROTOTYPE)
    await other.aclose()


def test_a_place_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBJECTSTORE_URL", raising=False)
    for wrong in ("some/path", "objectstore:///prefix"):
        with pytest.raises(ValueError, match="objectstore://host:port"):
            ZarrStore(wrong)


def _read_in_child(store: ZarrStore, told: Connection) -> None:
    told.send(float(np.asarray(zarr.open_array(store, path="a", mode="r")[:]).sum()))


def test_arrays_live_in_it_and_workers_read_them(url: str, server: ObjectStoreServer) -> None:
    store = ZarrStore(url, token=server.token)
    root = zarr.create_group(store)
    array = root.create_array("a", shape=(100, 100), chunks=(10, 10), shards=(50, 50), dtype="f8")
    array[:] = 1
    root.create_array("b", shape=(10,), chunks=(5,), dtype="i4")[:] = 2
    array.resize((200, 100))
    array[100:] = 3
    assert sorted(root.array_keys()) == ["a", "b"]
    again = zarr.open_group(pickle.loads(pickle.dumps(store)), mode="r")  # noqa: S301  our own
    assert float(np.asarray(again["a"])[:].sum()) == 40_000
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_read_in_child, args=(store, theirs))
    child.start()
    try:
        assert ours.poll(60), "the child hangs"
        assert ours.recv() == 40_000
    finally:
        child.kill()
        child.join()
    zarr.core.sync.sync(store.aclose())
