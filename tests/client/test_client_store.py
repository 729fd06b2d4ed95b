"""Everything that users call, of both clients, against a real server."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.both import TOKEN, Both
from objectstore import (
    ONLY_IF_ABSENT,
    AlreadyExists,
    Attributes,
    Bounded,
    Conditions,
    From,
    InvalidKey,
    InvalidMetadata,
    InvalidParameter,
    InvalidRange,
    Last,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    RestStore,
    Unauthenticated,
    UploadNotFound,
)
from objectstore.backends.memory import MemoryBackend
from objectstore.client import UploadedPart
from objectstore.errors import Unsupported
from objectstore.testing import serve
from objectstore.values import ListPage, ListQuery

DATA = bytes(range(256)) * 5000  # more than a file is read at once


def test_an_object_goes_in_and_out(store: Both, base: str) -> None:
    key = f"{base}k"
    info = store.put(key, DATA)
    assert (info.key, info.size) == (key, len(DATA))
    assert info.digests["sha-256"] == hashlib.sha256(DATA).digest()
    assert store.get(key) == DATA
    assert store.exists(key) is True
    assert store.delete(key) is None
    assert store.exists(key) is False


@pytest.mark.parametrize("data", [b"", b"x"])
def test_the_smallest_objects_go_in_and_out(store: Both, base: str, data: bytes) -> None:
    store.put(f"{base}k", data)
    assert store.get(f"{base}k") == data
    assert store.read(f"{base}k")[1] == ([data] if data else [])
    store.put(f"{base}k", store.source(data))
    assert store.head(f"{base}k").size == len(data)


def _file(folder: Path) -> Path:
    path = folder / "data"
    path.write_bytes(DATA)
    return path


SOURCES: dict[str, Callable[[Both, Path], Any]] = {
    "bytes": lambda _, __: DATA,
    "bytearray": lambda _, __: bytearray(DATA),
    "memoryview": lambda _, __: memoryview(DATA),
    "a view of wider items": lambda _, __: memoryview(DATA).cast("I"),
    "a view with gaps": lambda _, __: memoryview(bytes(one for byte in DATA for one in (byte, 0)))[::2],
    "path": lambda _, folder: _file(folder),
    "file in memory": lambda _, __: io.BytesIO(DATA),
    "unbuffered file": lambda _, folder: _file(folder).open("rb", buffering=0),
    "list": lambda _, __: [DATA[:10], b"", DATA[10:]],
    "generator": lambda _, __: (DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000)),
    "own kind of iterator": lambda store, _: store.source(DATA[:10], b"", DATA[10:]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_data_comes_in_many_forms(store: Both, base: str, name: str, tmp_path: Path) -> None:
    data = SOURCES[name](store, tmp_path)
    assert store.put(f"{base}k", data).digests["sha-256"] == hashlib.sha256(DATA).digest()
    if isinstance(data, io.IOBase):
        data.close()


@pytest.mark.parametrize(
    "data", ["text", 7, None, ["text"], [1], io.StringIO("text")], ids=lambda value: repr(value).partition(" ")[0]
)
def test_what_is_no_bytes_is_a_type_error(store: Both, base: str, data: object) -> None:
    with pytest.raises(TypeError, match=r"bytes|rb"):
        store.put(f"{base}k", data)
    assert not store.exists(f"{base}k")


def test_attributes_travel_with_the_object(store: Both, base: str) -> None:
    kept: dict[str, Any] = {
        "content_type": "text/plain; charset=utf-8",
        "content_encoding": "gzip",
        "content_disposition": 'attachment; filename="a b"',
        "content_language": "de",
        "cache_control": "max-age=60",
        "metadata": {"station": "Fénélon ⚓", "depth": "12 m"},
    }
    store.put(f"{base}k", b"x", **kept)
    assert store.head(f"{base}k").attributes == Attributes(**kept)
    assert store.read(f"{base}k")[0].attributes == Attributes(**kept)
    assert store.copy(f"{base}k", f"{base}j").attributes == Attributes(**kept)
    assert store.copy(f"{base}k", f"{base}j", metadata={"only": "this"}).attributes.metadata == {"only": "this"}


@pytest.mark.parametrize(
    "metadata", [{"Upper": "x"}, {"a": "line\nbreak"}, {"a": "x" * 9000}], ids=["name", "value", "size"]
)
def test_metadata_that_cannot_travel_are_refused(store: Both, base: str, metadata: dict[str, str]) -> None:
    with pytest.raises(InvalidMetadata):
        store.put(f"{base}k", b"x", metadata=metadata)


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        (Bounded(3, 9), 3, 9),
        (From(len(DATA) - 5), len(DATA) - 5, len(DATA)),
        (Last(7), len(DATA) - 7, len(DATA)),
        (Bounded(9, 1 << 60), 9, len(DATA)),
    ],
    ids=repr,
)
def test_ranges_are_parts_of_the_object(store: Both, base: str, wanted: Any, start: int, stop: int) -> None:
    store.put(f"{base}k", DATA)
    assert store.get(f"{base}k", range=wanted) == DATA[start:stop]
    info, chunks = store.read(f"{base}k", range=wanted)
    assert info.size == len(DATA)
    assert b"".join(chunks) == DATA[start:stop]


def test_a_range_past_the_end_is_invalid(store: Both, base: str) -> None:
    store.put(f"{base}k", b"abc")
    with pytest.raises(InvalidRange) as caught:
        store.get(f"{base}k", range=From(3))
    assert caught.value.size == 3


def test_a_reader_tells_which_bytes_it_reads(store: Both, base: str) -> None:
    store.put(f"{base}k", DATA)
    info, chunks = store.read(f"{base}k")
    assert info == store.head(f"{base}k")
    assert b"".join(chunks) == DATA
    assert len(chunks) > 1


@pytest.mark.parametrize("method", ["get", "head", "delete", "read"])
def test_an_absent_key_is_a_key_error(store: Both, base: str, method: str) -> None:
    with pytest.raises(KeyError) as caught:
        getattr(store, method)(f"{base}absent")
    assert isinstance(caught.value, NotFound)
    assert caught.value.key == f"{base}absent"


def test_a_write_can_be_made_to_create_only(store: Both, base: str) -> None:
    store.put(f"{base}k", b"1", conditions=ONLY_IF_ABSENT)
    with pytest.raises(AlreadyExists):
        store.put(f"{base}k", b"2", conditions=ONLY_IF_ABSENT)
    with pytest.raises(AlreadyExists):
        store.copy(f"{base}k", f"{base}k", conditions=ONLY_IF_ABSENT)
    assert store.get(f"{base}k") == b"1"


def test_a_write_can_be_bound_to_a_version(store: Both, base: str) -> None:
    first = store.put(f"{base}k", b"1")
    second = store.put(f"{base}k", b"2", conditions=Conditions(if_match=(first.etag,)))
    with pytest.raises(PreconditionFailed):
        store.put(f"{base}k", b"3", conditions=Conditions(if_match=(first.etag,)))
    with pytest.raises(PreconditionFailed):
        store.delete(f"{base}k", conditions=Conditions(if_match=(first.etag,)))
    with pytest.raises(NotModified):
        store.get(f"{base}k", conditions=Conditions(if_none_match=(second.etag,)))
    with pytest.raises(PreconditionFailed):
        store.read(f"{base}k", conditions=Conditions(if_match=(first.etag,)))
    store.delete(f"{base}k", conditions=Conditions(if_match=(second.etag,)))


def test_a_copy_has_the_bytes_of_its_source(store: Both, base: str) -> None:
    store.put(f"{base}ä b", DATA)
    assert store.copy(f"{base}ä b", f"{base}copy").size == len(DATA)
    assert store.get(f"{base}copy") == DATA
    with pytest.raises(KeyError):
        store.copy(f"{base}absent", f"{base}copy")


def test_many_objects_are_deleted_in_batches(store: Both, base: str) -> None:
    there = [f"{base}{number}" for number in (0, 1500, 2400)]
    for key in there:
        store.put(key, b"x")
    result = store.delete_many(f"{base}{number}" for number in range(2500))
    assert sorted(result.deleted) == sorted(there)
    assert len(result.absent) == 2497
    assert not result.failed
    assert store.keys(base) == []
    assert store.delete_many([]).deleted == ()


def test_one_key_for_many_is_a_type_error(store: Both) -> None:
    with pytest.raises(TypeError, match="several keys"):
        store.delete_many("key")


@pytest.fixture(scope="module")
def many(live: str) -> list[str]:
    """More keys than fit on a page."""
    keys = [f"many/{number:04}" for number in range(1005)]
    with RestStore.create(live, TOKEN) as store:
        for key in keys:
            store.put(key, b"")
    return keys


def test_listings_go_on_by_themselves(store: Both, many: list[str]) -> None:
    assert store.keys("many/") == many
    assert [info.key for info in store.objects("many/")] == many
    assert store.keys("many/00") == many[:100]


def test_pages_are_taken_one_by_one(store: Both, base: str) -> None:
    for name in ("a", "b/1", "b/2", "c"):
        store.put(base + name, b"xyz")
    page = store.list(base, limit=2)
    assert page.keys == (f"{base}a", f"{base}b/1")
    assert page.has_more
    rest = store.list(base, cursor=page.next_cursor)
    assert rest.keys == (f"{base}b/2", f"{base}c")
    assert not rest.has_more
    assert store.list(base, start_after=f"{base}b/1").keys == rest.keys
    grouped = store.list(base, delimiter="/", details=True)
    assert (grouped.keys, grouped.prefixes) == ((f"{base}a", f"{base}c"), (f"{base}b/",))
    assert [(info.key, info.size) for info in grouped.objects] == [(f"{base}a", 3), (f"{base}c", 3)]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_limit(store: Both, limit: int) -> None:
    with pytest.raises(InvalidParameter):
        store.list(limit=limit)


def test_a_store_that_cannot_list_is_not_implemented(client_of: Callable[..., Both]) -> None:
    class Unlisted(MemoryBackend):
        async def list(self, query: ListQuery) -> ListPage:
            raise Unsupported(f"this store cannot list {query.prefix!r}")

    with serve(backend=Unlisted(), token=TOKEN) as server, pytest.raises(NotImplementedError):
        client_of(server.url).keys()


def test_an_upload_arrives_in_parts(store: Both, base: str) -> None:
    begun = store.begin_upload(f"{base}k", content_type="text/plain", metadata={"a": "b"})
    assert begun.part_size > 0
    second = store.put_part(begun.upload_id, 2, store.source(b"de", b"f"))
    first = store.put_part(begun.upload_id, 1, b"abc")
    assert (first.number, first.size) == (1, 3)
    found = store.get_upload(begun.upload_id)
    assert (found.key, found.parts) == (f"{base}k", (first, second))
    assert begun.upload_id in {one.upload_id for one in store.uploads()}
    assert not store.exists(f"{base}k")
    info = store.complete_upload(begun.upload_id, [first, second])
    assert (info.size, info.attributes.content_type, info.attributes.metadata) == (6, "text/plain", {"a": "b"})
    assert store.complete_upload(begun.upload_id, [first, second]) == info
    assert store.get(f"{base}k") == b"abcdef"


def test_an_upload_can_be_aborted(store: Both, base: str) -> None:
    begun = store.begin_upload(f"{base}k")
    store.abort_upload(begun.upload_id)
    with pytest.raises(UploadNotFound):
        store.abort_upload(begun.upload_id)
    with pytest.raises(UploadNotFound):
        store.put_part(begun.upload_id, 1, b"x")


def test_an_upload_has_conditions(store: Both, base: str) -> None:
    info = store.put(f"{base}k", b"1")
    with pytest.raises(AlreadyExists):
        store.begin_upload(f"{base}k", conditions=ONLY_IF_ABSENT)
    begun = store.begin_upload(f"{base}k", conditions=Conditions(if_match=(info.etag, "other")))
    part = store.put_part(begun.upload_id, 1, b"2")
    store.put(f"{base}k", b"3")
    with pytest.raises(PreconditionFailed):
        store.complete_upload(begun.upload_id, [part])
    store.abort_upload(begun.upload_id)


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001, 250_000])
def test_large_data_are_cut_into_parts(store: Both, base: str, size: int) -> None:
    data = DATA[:size]
    chunks = [data[at : at + 70_000] for at in range(0, size, 70_000)]
    info = store.upload(store.source(*chunks), f"{base}k", part_size=100_000, content_type="text/plain")
    assert (info.size, info.attributes.content_type) == (size, "text/plain")
    assert store.get(f"{base}k") == data


def test_an_upload_of_a_broken_source_leaves_nothing(store: Both, base: str) -> None:
    def broken() -> Any:
        yield DATA
        raise LookupError("the source broke")

    with pytest.raises(LookupError):
        store.upload(broken(), f"{base}k", part_size=100_000)
    assert not store.exists(f"{base}k")
    assert f"{base}k" not in {one.key for one in store.uploads()}


def test_parts_that_never_arrived_cannot_be_completed(store: Both, base: str) -> None:
    begun = store.begin_upload(f"{base}k")
    with pytest.raises(ObjectStoreError, match="part"):
        store.complete_upload(begun.upload_id, [UploadedPart(number=1, size=1, etag="x")])
    store.abort_upload(begun.upload_id)


def test_a_wrong_token_is_told(client_of: Callable[..., Both], live: str) -> None:
    client = client_of(live, token="os_wrong")
    for name, *arguments in (("put", "k", b"x"), ("get", "k"), ("exists", "k"), ("keys",), ("delete_many", ["k"])):
        with pytest.raises(Unauthenticated) as caught:
            getattr(client, str(name))(*arguments)
        assert "os_wrong" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 1025, "\ud800"], ids=["empty", "nul", "long", "surrogate"])
def test_what_can_be_no_key_is_refused(store: Both, key: str) -> None:
    with pytest.raises(InvalidKey):
        store.put(key, b"")
    with pytest.raises(InvalidKey):
        store.delete_many([key])


def test_a_key_is_a_str(store: Both) -> None:
    with pytest.raises(TypeError, match="a key is a str, not bytes"):
        store.get(b"key")
