"""`open_store`: one set of scenes, played with both forms over several stores, and with the client of a server."""

from __future__ import annotations

import asyncio
import inspect
import io
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, Final, Self

import pytest

import objectstore
from cli.served import Served, serving
from objectstore import (
    ONLY_IF_ABSENT,
    AlreadyExists,
    AsyncRestStore,
    Bounded,
    Conditions,
    InvalidCursor,
    InvalidKey,
    InvalidParameter,
    InvalidRange,
    Last,
    NotFound,
    NotModified,
    ObjectInfo,
    PreconditionFailed,
    RestStore,
    Unsupported,
    UploadNotFound,
    open_store,
)
from objectstore.client import AsyncReader, Reader
from objectstore.client.transfers.sync import Transfers
from objectstore.errors import ConfigurationError, Corrupted, IncompleteBody, InvalidMetadata
from objectstore.library import AsyncStore, AsyncStoreReader, Opening, Store, StoreReader

Open = Callable[[Path], Opening]
STACK: Final = """\
stores:
  packed: {type: GzipStore, base: part}
  part: {type: PrefixStore, config: {prefix: part/}, base: files}
  files: {type: FilesystemStore, config: {root_path: "FOLDER/files"}}
main: packed
"""


def _stack(folder: Path) -> Opening:
    file = folder / "storage.yaml"
    file.write_text(STACK.replace("FOLDER", str(folder)))
    (folder / "files").mkdir(exist_ok=True)
    return open_store(file)


def _files(folder: Path) -> Opening:
    (folder / "files").mkdir(exist_ok=True)
    description = {"type": "FilesystemStore", "config": {"root_path": folder / "files"}}
    return open_store({"stores": {"files": description}, "main": "files"})


STORES: Final[dict[str, Open]] = {
    "engine": lambda folder: open_store(folder / "data"),
    "filesystem": _files,
    "stack": _stack,
}


class Both:
    """A store of either form, used the same way: awaitables are awaited, iterators come as lists."""

    def __init__(self, opening: Opening, form: str) -> None:
        self._opening = opening
        self._form = form

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._runner = stack.enter_context(asyncio.Runner())
            self.store: Any = (
                self._opening.__enter__() if self._form == "sync" else self._runner.run(self._opening.__aenter__())
            )
            stack.pop_all()
        return self

    def __exit__(self, *told: object) -> None:
        if self._form == "sync":
            self._opening.__exit__(None, None, None)
        else:
            self._runner.run(self._opening.__aexit__(None, None, None))
        self._runner.close()

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            found = getattr(self.store, name)(*args, **options)
            if self._form == "sync":
                return list(found) if isinstance(found, Iterator) else found
            return self._runner.run(_awaited(found))

        return call

    def read(self, key: str, **options: Any) -> tuple[ObjectInfo, int, int, list[bytes]]:
        if self._form == "sync":
            with self.store.stream(key, **options) as reader:
                return reader.info, reader.start, reader.stop, list(reader)

        async def read() -> tuple[ObjectInfo, int, int, list[bytes]]:
            async with self.store.stream(key, **options) as reader:
                return reader.info, reader.start, reader.stop, [chunk async for chunk in reader]

        return self._runner.run(read())

    def first_chunk(self, key: str, other: str) -> bytes:
        """The first chunk of an object that is not read further; another is read while it is open."""
        if self._form == "sync":
            with self.store.stream(key) as reader:
                self.store.get(other)
                first: bytes = next(iter(reader))
                return first

        async def read() -> bytes:
            async with self.store.stream(key) as reader:
                await self.store.get(other)
                return await anext(aiter(reader))

        return self._runner.run(read())


async def _awaited(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else [one async for one in found]


@pytest.fixture(params=STORES)
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Opening]:
    return lambda: STORES[request.param](tmp_path)


class Remote(Both):
    """The client of a server: what is shown of the others holds for it, too."""

    def __init__(self, client: RestStore) -> None:
        self._form = "sync"
        self.store = client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving("--data", str(tmp_path_factory.mktemp("served") / "data")) as served:
        yield served


@pytest.fixture(
    params=[*product(STORES, ["sync", "async"]), "client"],
    ids=lambda one: one if isinstance(one, str) else "-".join(one),
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "client":
        served = request.getfixturevalue("server")
        with RestStore.create(served.url, served.token) as client:
            client.delete_many(list(client.keys()))
            yield Remote(client)
    else:
        name, form = request.param
        with Both(STORES[name](tmp_path), form) as opened:
            yield opened


def test_objects_go_in_and_come_out(store: Any) -> None:
    info = store.put("a/b", b"0123456789", content_type="text/plain", metadata={"site": "north"})
    assert (info.key, info.size) == ("a/b", 10)
    assert store.get("a/b") == b"0123456789"
    assert store.get("a/b", range=Bounded(2, 5)) == b"234"
    assert store.head("a/b") == info
    assert info.attributes.content_type == "text/plain"
    assert store.exists("a/b")
    assert not store.exists("a")
    store.delete("a/b")
    with pytest.raises(KeyError):
        store.get("a/b")
    with pytest.raises(NotFound):
        store.delete("a/b")


def test_all_that_the_clients_store_is_stored(store: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"of a file" * 100_000)
    assert store.put("path", path).size == 900_000
    assert store.get("path") == path.read_bytes()
    for data in (bytearray(b"bytes"), memoryview(b"bytes"), io.BytesIO(b"bytes"), iter([b"by", b"", b"tes"])):
        store.put("key", data)
        assert store.get("key") == b"bytes"
    with pytest.raises(TypeError, match="bytes"):
        store.put("key", "text")
    assert store.upload([b"in ", b"parts"], "key", part_size=4).size == 8


def test_a_body_that_fails_changes_nothing(store: Any) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    store.put("key", b"old")
    with pytest.raises(ZeroDivisionError):
        store.put("key", broken())
    assert store.get("key") == b"old"


def test_an_object_is_read_in_chunks(store: Any) -> None:
    data = bytes(range(256)) * 4096
    info = store.put("large", data)
    told, start, stop, chunks = store.read("large")
    assert (told, start, stop, b"".join(chunks)) == (info, 0, len(data), data)
    _, start, stop, chunks = store.read("large", range=Last(3))
    assert (start, stop, b"".join(chunks)) == (len(data) - 3, len(data), data[-3:])


def test_a_reader_may_be_left_early_and_others_read_meanwhile(store: Any) -> None:
    data = bytes(range(256)) * 4096
    store.put("large", data)
    first = store.first_chunk("large", "large")
    assert first
    assert data.startswith(first)
    assert store.get("large") == data


def test_conditions_hold(store: Any) -> None:
    first = store.put("key", b"1", conditions=ONLY_IF_ABSENT)
    with pytest.raises(AlreadyExists):
        store.put("key", b"2", conditions=ONLY_IF_ABSENT)
    with pytest.raises(NotModified):
        store.get("key", conditions=Conditions(if_none_match=(first.etag,)))
    with pytest.raises(PreconditionFailed):
        store.delete("key", conditions=Conditions(if_match=("other",)))
    with pytest.raises(PreconditionFailed):
        store.copy("key", "key", conditions=Conditions(if_match=("other",)))


def test_a_copy_keeps_what_is_said_of_it_or_takes_something_else(store: Any) -> None:
    store.put("key", b"1", content_type="text/plain")
    assert store.copy("key", "same").attributes.content_type == "text/plain"
    assert store.copy("key", "other", content_type="a/b").attributes.content_type == "a/b"
    assert store.get("other") == b"1"


def test_keys_are_listed(store: Any) -> None:
    for key in ("a", "b/1", "b/2", "c"):
        store.put(key, key.encode())
    assert store.keys() == ["a", "b/1", "b/2", "c"]
    assert store.keys("b/") == ["b/1", "b/2"]
    assert [info.size for info in store.objects()] == [1, 3, 3, 1]
    page = store.list(delimiter="/", limit=2)
    assert (page.keys, page.prefixes, page.has_more) == (("a",), ("b/",), True)
    assert store.list(delimiter="/", cursor=page.next_cursor).keys == ("c",)
    assert store.list(start_after="b/1", details=True).objects[0].key == "b/2"
    with pytest.raises(InvalidParameter):
        store.list(limit=0)
    with pytest.raises(InvalidCursor):
        store.list(cursor="nonsense")


def test_many_are_deleted_at_once(store: Any) -> None:
    for number in range(3):
        store.put(f"{number}", b"")
    done = store.delete_many(["0", "2", "absent", "0"])
    assert (done.deleted, done.absent, done.failed) == (("0", "2"), ("absent",), {})
    assert store.keys() == ["1"]
    with pytest.raises(TypeError):
        store.delete_many("1")


def test_an_upload_is_made_of_parts(store: Any) -> None:
    begun = store.begin_upload("key", content_type="text/plain")
    second = store.put_part(begun.upload_id, 2, b"two")
    first = store.put_part(begun.upload_id, 1, io.BytesIO(b"one"))
    assert [one.upload_id for one in store.uploads()] == [begun.upload_id]
    assert store.get_upload(begun.upload_id).parts == (first, second)
    assert store.complete_upload(begun.upload_id, [first, second]).size == 6
    assert store.get("key") == b"onetwo"
    other = store.begin_upload("key")
    store.abort_upload(other.upload_id)
    with pytest.raises(UploadNotFound):
        store.get_upload(other.upload_id)
    with pytest.raises(InvalidParameter):
        store.begin_upload("key", conditions=Conditions(if_unmodified_since=store.head("key").modified))


def test_what_is_no_key_is_refused(store: Any) -> None:
    for key in ("", "nul\0", "x" * 1025):
        with pytest.raises(InvalidKey):
            store.put(key, b"")
        with pytest.raises(InvalidKey):
            store.delete_many([key])
    with pytest.raises(TypeError, match="a key is a str, not bytes"):
        store.get(b"key")
    with pytest.raises(InvalidMetadata):
        store.put("key", b"", metadata={"Upper": "case"})
    store.put("key", b"1")
    with pytest.raises(InvalidRange):
        store.get("key", range=Bounded(5, 9))


@pytest.mark.parametrize("form", ["sync", "async"])
def test_what_is_stored_is_there_when_it_is_opened_again(opening: Callable[[], Opening], form: str) -> None:
    with Both(opening(), form) as store:
        info = store.put("key", b"data")
    opened = opening()
    for _ in range(2):
        with Both(opened, form) as store:
            assert store.head("key") == info


def test_an_async_iterator_is_stored_too(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"as they "
        yield b"come"

    async def scenario() -> None:
        async with open_store(tmp_path / "data") as store:
            await store.put("key", chunks())
            assert await store.get("key") == b"as they come"
            await asyncio.gather(*(store.put(f"{number}", b"") for number in range(50)))
            assert len([key async for key in store.keys()]) == 51

    asyncio.run(scenario())


def test_the_sync_form_is_for_several_threads(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        threads = [threading.Thread(target=store.put, args=(f"{number}", b"")) for number in range(20)]
        before = threading.active_count()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(store.keys())) == 20
        assert before <= threading.active_count() + len(threads)


def test_the_sync_form_says_so_where_a_loop_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="'async with'"), open_store(tmp_path / "data"):
            pass

    asyncio.run(scenario())


def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        store.put("key", b"")
    with pytest.raises(RuntimeError, match="closed"):
        store.get("key")


def test_a_damaged_object_is_not_given_out(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as store:
        store.put("key", b"x" * 200_000)
        [blob] = [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
        blob.chmod(0o600)
        blob.write_bytes(b"y" * 200_000)
        with pytest.raises(Corrupted):
            store.get("key")


def test_a_file_that_changes_while_it_is_stored_is_told(tmp_path: Path) -> None:
    class Growing(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            return super().seek(offset, whence)

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            at = self.tell()
            super().seek(0, 2)
            self.write(b"more")
            super().seek(at)
            return data

    with open_store(tmp_path / "data") as store:
        with pytest.raises(IncompleteBody):
            store.put("key", Growing(b"x" * 600_000))
        assert not store.exists("key")


def test_what_the_store_cannot_do_is_told() -> None:
    with open_store(
        {"stores": {"w": {"type": "WriteonlyStore", "base": "m"}, "m": {"type": "DictStore"}}}, "w"
    ) as store:
        store.put("key", b"")
        with pytest.raises((Unsupported, objectstore.ObjectStoreError)):
            list(store.keys())


def test_a_url_is_a_store(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"1")
    with open_store(tmp_path.as_uri()) as store:
        assert store.get("there") == b"1"


@pytest.mark.parametrize(
    ("place", "name", "complaint"),
    [
        ("nowhere.yaml", None, "nowhere.yaml: No such file or directory"),
        ("some-folder", "main", "'main' is to be a store of a storage.yaml, and 'some-folder' is none"),
        ("nothing://at/all", None, "unknown scheme 'nothing'"),
        ({}, None, "the description: there is no 'stores'"),
        ({"stores": {1: {}}}, None, "stores: the name 1 is no text"),
        ({"stores": {"a": {"type": "DictStor"}}}, None, "stores.a.type: store 'a': unknown type 'DictStor'; did you"),
        ({"stores": {"a": {"type": "DictStore"}}}, "b", "the description: there is no store 'b'"),
        (
            {"stores": {"a": {"type": "MirroringStore", "base": ["b"]}}, "main": "a"},
            None,
            "stores.a.base: store 'a' (MirroringStore): unknown base 'b'",
        ),
    ],
)
def test_a_mistake_is_told_on_opening(place: Any, name: str | None, complaint: str) -> None:
    for form in ("sync", "async"):
        with pytest.raises(ConfigurationError) as caught, Both(open_store(place, name), form):
            pass
        assert complaint in str(caught.value)


SAME: Final = {
    "AsyncStoreReader": "AsyncReader",
    "StoreReader": "Reader",
}


@pytest.mark.parametrize(
    ("local", "remote"),
    [(Store, RestStore), (AsyncStore, AsyncRestStore), (StoreReader, Reader), (AsyncStoreReader, AsyncReader)],
    ids=lambda cls: cls.__name__,
)
def test_the_methods_are_those_of_the_clients(local: type, remote: type) -> None:
    theirs = _signatures(remote)
    ours = _signatures(local)
    if local in {Store, AsyncStore}:
        # Bytes that are here already do not move in parts: there is nothing to go on with, or to do side by side.
        # It is a server that takes links and keeps quotas.
        for name in ("create", "close", "aclose", "sign", "usage", *_signatures(Transfers)):
            theirs.pop(name, None)
        ours.pop("upload")
    assert ours == theirs


def _signatures(cls: type) -> dict[str, str]:
    found = {}
    for name, member in inspect.getmembers(cls, inspect.isroutine):
        if not name.startswith("_"):
            text = str(inspect.signature(inspect.unwrap(member)))
            for ours, theirs in SAME.items():
                text = text.replace(ours, theirs)
            found[name] = text
    return found


def test_without_what_a_server_needs_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['yaml'] = None\nfrom objectstore import RestStore\nfrom objectstore import open_store"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "ModuleNotFoundError: open_store needs yaml: pip install 'objectstore[server]'" in ended.stderr
