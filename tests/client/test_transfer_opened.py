"""Objects as files: whatever takes a file takes them."""

from __future__ import annotations

import asyncio
import csv
import gc
import hashlib
import io
import pickle
import random
import shutil
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from objectstore import (
    AlreadyExists,
    AsyncRestStore,
    Conditions,
    NotFound,
    PreconditionFailed,
    RestStore,
    Unavailable,
)
from objectstore.testing import Cut, ObjectStoreServer, Sent, serve

DATA = hashlib.shake_256(b"opened").digest(3_000_000)
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStoreServer]:
    with serve() as running:
        running.store.put("data", DATA)
        yield running


@pytest.fixture
def remote(server: ObjectStoreServer) -> Iterator[RestStore]:
    with RestStore.create(server.url, server.token, retry_delay=0.01) as store:
        yield store


def awaited(server: ObjectStoreServer, call: Any) -> Any:
    async def main() -> Any:
        async with AsyncRestStore.create(server.url, server.token, retry_delay=0.01) as store:
            return await call(store)

    return asyncio.run(main())


def fail_after(_written: int) -> None:
    raise ZeroDivisionError


def unfinished(store: RestStore) -> list[str]:
    return [one.key for one in store.uploads()]


def test_what_is_read_is_what_a_local_file_gives(remote: RestStore) -> None:
    chance = random.Random(2)  # noqa: S311  the same each time
    with remote.open("data", buffer_size=10_000) as file, io.BytesIO(DATA) as local:
        assert (file.name, file.mode, file.seekable(), file.readable(), file.writable()) == (
            "data", "rb", True, True, False,
        )  # fmt: skip
        for _ in range(200):
            match chance.randrange(5):
                case 0:
                    place = chance.randrange(len(DATA) + 10_000)
                    assert file.seek(place) == local.seek(place)
                case 1:
                    place = -chance.randrange(len(DATA))
                    assert file.seek(place, io.SEEK_END) == local.seek(place, io.SEEK_END)
                case 2:
                    buffer, other = bytearray(5000), bytearray(5000)
                    assert file.readinto(buffer) == local.readinto(other)
                    assert buffer == other
                case _:
                    size = chance.choice([0, 1, 100, 30_000, 200_000])
                    assert file.read(size) == local.read(size)
            assert file.tell() == local.tell()
        file.seek(5)
        assert file.read() == DATA[5:]
        assert file.read(1) == b""
        with pytest.raises(ValueError, match="position"):
            file.raw.seek(-1, io.SEEK_SET)
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_the_async_file_reads_the_same(server: ObjectStoreServer) -> None:
    async def read(store: AsyncRestStore) -> None:
        chance = random.Random(3)  # noqa: S311  the same each time
        local = io.BytesIO(DATA)
        async with await store.open("data", buffer_size=10_000) as file:
            for _ in range(60):
                if chance.randrange(2):
                    place = chance.randrange(len(DATA) + 10)
                    assert await file.seek(place) == local.seek(place)
                size = chance.choice([0, 1, 30_000, 200_000])
                assert await file.read(size) == local.read(size)
                assert await file.tell() == local.tell()
            await file.seek(-10, io.SEEK_END)
            assert await file.read() == DATA[-10:]
        with pytest.raises(ValueError, match="closed"):
            await file.read()

    awaited(server, read)


def test_reading_from_front_to_back_takes_few_requests(server: ObjectStoreServer, remote: RestStore) -> None:
    server.forget_requests()
    with remote.open("data", buffer_size=100_000) as file:
        while file.read(10_000):
            pass
    assert [one.method for one in server.requests] == ["HEAD", "GET", "GET"]
    server.forget_requests()
    with remote.open("data", buffer_size=100_000) as file:
        for at in range(0, 1_000_000, 1000):
            file.seek(at % 50_000)
            file.read(100)
    assert len(server.requests) == 2


def test_a_file_of_which_the_connection_is_lost_is_read_on(server: ObjectStoreServer, remote: RestStore) -> None:
    with server.disturb(Cut(Sent(500_000)), method="GET", times=3), remote.open("data", buffer_size=1000) as file:
        assert file.read(10) + file.read() == DATA


@pytest.mark.parametrize("change", ["overwritten", "deleted"])
@pytest.mark.parametrize("place", [0, 2_000_000])
def test_an_object_that_changes_is_not_mixed_with_the_other(remote: RestStore, change: str, place: int) -> None:
    remote.put("changing", DATA)
    with remote.open("changing", buffer_size=1000) as file:
        assert file.read(100) == DATA[:100]
        if change == "overwritten":
            remote.put("changing", DATA[::-1])
        else:
            remote.delete("changing")
        file.seek(place)
        with pytest.raises((PreconditionFailed, Unavailable), match="overwritten or deleted"):
            file.read(100_000)


def test_archives_are_read_and_written_in_place(remote: RestStore, tmp_path: Path) -> None:
    with remote.open("a.zip", "wb", part_size=100_000) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", DATA)
        archive.writestr("two", b"two")
    with remote.open("a.zip") as source, zipfile.ZipFile(source) as archive:
        assert archive.namelist() == ["one", "two"]
        assert archive.read("two") == b"two"
        assert archive.read("one") == DATA
    (tmp_path / "member").write_bytes(DATA)
    with remote.open("a.tar.gz", "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        tar.add(tmp_path / "member", "member")
    with remote.open("a.tar.gz") as source, tarfile.open(fileobj=source) as tar:
        extracted = tar.extractfile("member")
        assert extracted is not None
        assert extracted.read() == DATA


def test_what_takes_a_file_takes_an_object(remote: RestStore, tmp_path: Path) -> None:
    with remote.open("p", "wb") as out:
        pickle.dump({"a": [1, 2]}, out)
    with remote.open("p") as file:
        assert pickle.load(file) == {"a": [1, 2]}  # noqa: S301  our own
    with remote.open("t.csv", "wb") as out:
        text = io.TextIOWrapper(out, encoding="utf-8", newline="")
        csv.writer(text).writerows([["ü", 1], ["b", 2]])
        text.detach()
    with io.TextIOWrapper(remote.open("t.csv"), encoding="utf-8", newline="") as lines:
        assert list(csv.reader(lines)) == [["ü", "1"], ["b", "2"]]
    with remote.open("data") as source, (tmp_path / "copy").open("wb") as copy:
        shutil.copyfileobj(source, copy)
    assert (tmp_path / "copy").read_bytes() == DATA
    with (tmp_path / "copy").open("rb") as source, remote.open("copy", "wb", part_size=MIB) as target:
        shutil.copyfileobj(source, target)
    assert remote.get("copy") == DATA


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001, 1_000_000])
def test_what_is_written_is_visible_when_it_is_closed(remote: RestStore, size: int) -> None:
    file = remote.open("w", "wb", part_size=100_000, content_type="x/y", metadata={"a": "b"})
    assert file.writable()
    for at in range(0, size, 33_333):
        file.write(memoryview(DATA)[at : min(size, at + 33_333)])
        assert not remote.exists("w")
    assert file.tell() == size
    file.close()
    file.close()
    assert file.closed
    assert remote.get("w") == DATA[:size]
    assert file.info == remote.head("w")
    assert file.info is not None
    assert (file.info.attributes.content_type, file.info.attributes.metadata) == ("x/y", {"a": "b"})
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")
    remote.delete("w")
    assert not unfinished(remote)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_an_exception_drops_what_was_written(remote: RestStore, size: int) -> None:
    remote.put("kept", b"old")
    with pytest.raises(ZeroDivisionError), remote.open("kept", "wb", part_size=100_000) as file:
        fail_after(file.write(DATA[:size]))
    assert file.closed
    abandoned = remote.open("kept", "wb", part_size=100_000)
    abandoned.write(DATA[:size])
    del abandoned
    gc.collect()
    assert remote.get("kept") == b"old"
    assert not unfinished(remote)


def test_the_async_file_writes_the_same(server: ObjectStoreServer, remote: RestStore) -> None:
    async def write(store: AsyncRestStore) -> None:
        async with await store.open("aw", "wb", part_size=100_000) as file:
            for at in range(0, 1_000_000, 33_333):
                await file.write(DATA[at : min(1_000_000, at + 33_333)])
            assert await file.tell() == 1_000_000
            assert not await store.exists("aw")
        assert file.info == await store.head("aw")
        with pytest.raises(ZeroDivisionError):
            async with await store.open("aw", "wb", part_size=100_000) as file:
                fail_after(await file.write(DATA))
        with pytest.raises(AlreadyExists):
            await store.open("aw", "xb")

    awaited(server, write)
    assert remote.get("aw") == DATA[:1_000_000]
    assert not unfinished(remote)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_an_exclusive_file_creates_or_fails(remote: RestStore, size: int) -> None:
    with remote.open("new", "xb", part_size=100_000) as file:
        file.write(DATA[:size])
    with pytest.raises(AlreadyExists):
        remote.open("new", "xb")
    remote.delete("new")
    file = remote.open("new", "xb", part_size=100_000)
    file.write(DATA[:size])
    remote.put("new", b"somebody else's")
    with pytest.raises(AlreadyExists):
        file.close()
    assert file.closed
    assert remote.get("new") == b"somebody else's"
    remote.delete("new")
    assert not unfinished(remote)


def test_a_part_that_could_not_be_sent_is_still_there(server: ObjectStoreServer) -> None:
    with RestStore.create(server.url, server.token, max_retries=0) as store:
        with store.open("again", "wb", part_size=100_000) as file:
            file.write(DATA[:150_000])
            with server.disturb(Cut(), method="PUT", times=1), pytest.raises(Unavailable):
                file.write(DATA[150_000:250_000])
            file.write(DATA[file.tell() : 250_000])
        assert store.get("again") == DATA[:250_000]


def test_what_is_wrong_is_told_on_opening(remote: RestStore) -> None:
    with pytest.raises(NotFound):
        remote.open("absent")
    with pytest.raises(ValueError, match="TextIOWrapper"):
        remote.open("data", "w")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="written"):
        remote.open("data", content_type="x/y")
    with pytest.raises(PreconditionFailed):
        remote.open("data", conditions=Conditions(if_match=("other",)))


def test_memory_stays_flat(remote: RestStore) -> None:
    block = bytes(MIB)
    tracemalloc.start()
    try:
        with remote.open("flat", "wb", part_size=MIB) as file:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(24):
                file.write(block)
            written = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # The server of the test keeps its 24 parts in the same process; beyond them there is room for a few.
    assert written < 34 * MIB
