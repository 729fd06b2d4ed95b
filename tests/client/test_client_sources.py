"""What can be sent again, what is known of it beforehand, and files that change under way."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from client.both import TOKEN, Both
from client.scripted import Scripted, scripted, stored
from objectstore import AsyncRestStore, IncompleteBody
from objectstore.client.sources import CHUNK, Chunks, InHand, OpenFile, Parts, SyncSource, aopened, opened

LARGE = bytes(range(256)) * 5000


def both_ways(source: Any) -> Iterator[bytes]:
    """All the bytes, as each client reads them."""

    async def read() -> bytes:
        return b"".join([bytes(chunk) async for chunk in source.achunks()])

    yield b"".join(source.chunks())
    yield asyncio.run(read())


@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=len)
def test_bytes_are_known_beforehand(data: bytes) -> None:
    source = InHand(data)
    assert (source.size, source.sha256, source.repeatable) == (len(data), hashlib.sha256(data).digest(), True)
    assert list(both_ways(source)) == [data, data]
    assert max(map(len, source.chunks()), default=0) <= CHUNK


def test_a_small_file_is_read_before_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"small")
    with opened(tmp_path / "f") as source:
        assert isinstance(source, InHand)
        assert source.size == 5


def test_a_file_system_that_knows_no_sizes_is_read() -> None:
    status = Path("/proc/self/status")
    assert status.stat().st_size == 0
    with opened(status) as source:
        assert isinstance(source, InHand)
        assert source.size > 100


def test_a_large_file_is_hashed_while_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    with opened(tmp_path / "f") as source:
        assert isinstance(source, OpenFile)
        assert (source.size, source.sha256, source.repeatable) == (len(LARGE), None, True)
        assert list(both_ways(source)) == [LARGE, LARGE]
        assert source.sha256 == hashlib.sha256(LARGE).digest()


def test_a_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"before" + LARGE)
    file.seek(6)
    with opened(file) as source:
        assert source.size == len(LARGE)
        assert list(both_ways(source)) == [LARGE, LARGE]
    assert not file.closed


@pytest.mark.parametrize("size", [len(LARGE) - 1, len(LARGE) + 1, 0, 300_000])
def test_a_file_that_changes_its_size_is_an_error(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    with opened(tmp_path / "f") as source:
        os.truncate(tmp_path / "f", size)
        sent: list[bytes | memoryview] = []
        with pytest.raises(IncompleteBody) as caught:
            sent.extend(source.chunks())
        assert (caught.value.expected, caught.value.received) == (len(LARGE), size)
        # The server waits for more, and so keeps nothing.
        assert sum(map(len, sent)) < len(LARGE)


def test_a_path_is_closed_even_when_sending_fails(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    with suppress(LookupError), opened(tmp_path / "f") as source:
        next(source.chunks())
        raise LookupError
    with pytest.raises(ValueError, match="closed file"):
        next(source.chunks())


def test_a_path_that_is_not_there_is_an_os_error(client: Both, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.put("k", tmp_path / "absent")


def test_chunks_come_once_and_are_hashed() -> None:
    source = Chunks([b"ab", b"", b"c"])
    assert (source.size, source.sha256, source.repeatable) == (None, None, True)
    assert b"".join(source.chunks()) == b"abc"
    assert source.sha256 == hashlib.sha256(b"abc").digest()
    assert not source.repeatable


def _write(end: BinaryIO) -> None:
    with end:
        end.write(LARGE)


def test_a_pipe_comes_once() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe, open(writing, "wb") as end:  # noqa: PTH123  descriptors have no path
        thread = threading.Thread(target=_write, args=(end,))
        thread.start()
        with opened(pipe) as source:
            assert (source.size, source.repeatable) == (None, True)
            assert b"".join(source.chunks()) == LARGE
        thread.join()


def test_an_unbuffered_file_that_gives_little_is_read_whole() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 3))

    with opened(Slow(b"0123456789")) as source:
        assert isinstance(source, InHand)
        assert next(both_ways(source)) == b"0123456789"


@pytest.mark.parametrize("size", [1, 3, 7, 10, 11])
def test_a_source_is_cut_into_parts(size: int) -> None:
    chunks = [b"0", b"", b"12345", b"6789"]
    whole = b"".join(chunks)
    parts = Parts(iter(chunks))
    taken = []
    while (part := parts.take(size)).size:
        taken.append(b"".join(part.chunks()))
    assert taken == [whole[at : at + size] for at in range(0, len(whole), size)]
    assert asyncio.run(_taken(chunks, size)) == taken


async def _taken(chunks: list[bytes], size: int) -> list[bytes]:
    async def come() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    parts = Parts(come())
    taken = []
    while (part := await parts.atake(size)).size:
        taken.append(b"".join(part.chunks()))
    return taken


def test_both_clients_take_the_same(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)

    async def kind(data: Any) -> type:
        async with aopened(data) as source:
            return type(source)

    for data in (b"x", LARGE, bytearray(b"x"), tmp_path / "f", io.BytesIO(b"x"), [b"x"]):
        found: SyncSource
        with opened(data) as found:
            assert asyncio.run(kind(data)) is type(found)


def test_a_put_sends_what_it_knows(client: Both, server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)
    server.plays(stored(b"abc"), stored(LARGE), stored(b"abc"))
    for data in (b"abc", tmp_path / "f", client.source(b"abc")):
        client.put("k", data)
    known, large, unknown = (one.fields for one in server.seen)
    assert known["content-length"] == "3"
    assert known["repr-digest"].startswith("sha-256=:")
    assert large["content-length"] == str(len(LARGE))
    assert "repr-digest" not in large
    assert unknown["transfer-encoding"] == "chunked"
    assert "content-length" not in unknown


def test_what_a_body_raises_reaches_the_caller_and_the_server_keeps_nothing(client_of: Any) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100
        raise LookupError("the source broke")

    with scripted() as server:
        client = client_of(server.url)
        with pytest.raises(LookupError, match="the source broke"):
            client.put("k", broken())
        assert server.next_seen().body == b"cut"
        assert client.slept == []


def test_a_file_that_grows_while_it_is_sent_is_not_stored(client_of: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(LARGE)

    class Growing(io.FileIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            found = super().seek(offset, whence)
            if whence == 2 and found == len(LARGE):
                with (tmp_path / "f").open("ab") as more:
                    more.write(b"more")
            return found

    with scripted() as server, Growing(str(tmp_path / "f")) as file:
        with pytest.raises(IncompleteBody):
            client_of(server.url).put("k", file)
        assert server.next_seen().body == b"cut"


def test_a_cancelled_put_leaves_nothing(live: str) -> None:
    async def main() -> None:
        started = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"x" * 1000
            started.set()
            await asyncio.Event().wait()

        async with AsyncRestStore.create(live, TOKEN) as store:
            task = asyncio.create_task(store.put("cancelled", endless()))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not await store.exists("cancelled")
            assert [key async for key in store.keys("cancelled")] == []

    asyncio.run(main())
