"""Bodies taken in and parts read, without the store: where the bytes are kept, what is refused, what is left behind."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from backends.engine.bare import Bare, bare
from backends.engine.test_engine_transaction import put
from objectstore.backends.engine import intake, parts, steps
from objectstore.backends.engine.blobs import StagedBlob
from objectstore.backends.engine.intake import Intake, Taken, _fewer, commit
from objectstore.backends.engine.operations import Body
from objectstore.backends.engine.parts import PartReader
from objectstore.backends.engine.rows import PartRow
from objectstore.errors import (
    AlreadyExists,
    Corrupted,
    DigestMismatch,
    IncompleteBody,
    InvalidPart,
    StorageFull,
    Unavailable,
)
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, PutOptions

LIMIT = 10  # bytes that go in the index
BLOCK = 16
SHA256 = frozenset({"sha-256"})


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_BLOCK", BLOCK)
    monkeypatch.setattr(parts, "_BLOCK", BLOCK)


def intake_of(store: Bare) -> Intake:
    return Intake(store.blobs, store.executor, LIMIT)


def of(size: int) -> bytes:
    return bytes(range(size))


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def files(store: Bare) -> list[Path]:
    """All that hold bodies, finished or not."""
    root = store.directory.root
    return [path for path in (*root.glob("blobs/*/*"), *root.glob("staging/*/*")) if path.suffix != ".batch"]


def digests(data: bytes, *names: str) -> dict[str, bytes]:
    return {name: hashlib.new(name.replace("-", ""), data).digest() for name in names}


async def kept(store: Bare, taken: Taken, data: bytes) -> None:
    """It is where a body of its size belongs."""
    assert taken.body.size == len(data)
    if len(data) <= LIMIT:
        assert (taken.body.data, taken.body.blob, files(store)) == (data, None, [])
    else:
        (path,) = files(store)
        assert taken.body.data is None
        assert path.name == taken.body.blob
        assert path.parent.parent == store.directory.blobs
        assert path.read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, LIMIT, LIMIT + 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
@pytest.mark.parametrize("chunk", [None, 1, 7, 100], ids=lambda chunk: f"chunks of {chunk}")
def test_every_body_is_kept_as_it_came(tmp_path: Path, size: int, chunk: int | None) -> None:
    data = of(size)

    async def run() -> None:
        async with bare(tmp_path) as store:
            body = data if chunk is None else stream(*(data[at : at + chunk] for at in range(0, size, chunk)))
            expected = digests(data, "md5", "sha-256")
            taken = await intake_of(store).take(body, size, expected, SHA256 | {"sha-1"})
            await kept(store, taken, data)
            assert taken.body.digests == digests(data, "md5", "sha-1", "sha-256")
            taken.settle(committed=False)
            await taken.settled()
            assert files(store) == []

    asyncio.run(run())


@pytest.mark.parametrize("size", [5, LIMIT + 1, 40])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_of_another_length_or_digest_is_refused_and_leaves_nothing(
    tmp_path: Path, size: int, streamed: bool
) -> None:
    data = of(size)

    async def run() -> None:
        async with bare(tmp_path) as store:
            taking = intake_of(store)
            for said in (size - 1, size + 1):
                with pytest.raises(IncompleteBody) as incomplete:
                    await taking.take(stream(data) if streamed else data, said, {}, SHA256)
                assert str(incomplete.value) == str(IncompleteBody(said, size))
                assert files(store) == []
            with pytest.raises(DigestMismatch):
                await taking.take(stream(data) if streamed else data, None, {"md5": bytes(16)}, SHA256)
            assert files(store) == []

    asyncio.run(run())


@pytest.mark.parametrize("size", [BLOCK, 39, 40, 41, 42, 80, 83])
def test_what_goes_in_the_index_may_be_more_than_is_written_at_once(tmp_path: Path, size: int) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            taken = await Intake(store.blobs, store.executor, 40).take(stream(*[b"x"] * size), None, {}, SHA256)
            assert taken.body.size == size
            if size <= 40:
                assert (taken.body.data, files(store)) == (b"x" * size, [])
            else:
                assert [path.read_bytes() for path in files(store)] == [b"x" * size]
            taken.settle(committed=False)
            await taken.settled()

    asyncio.run(run())


@pytest.mark.parametrize("where", [steps.AFTER_CREATE, steps.AFTER_SYNC])
def test_who_is_cancelled_leaves_nothing_once_what_is_under_way_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    happened: list[str] = []
    arrived, go, discarding = threading.Event(), threading.Event(), threading.Event()

    def step(name: str) -> None:
        happened.append(name)
        if name == where:
            arrived.set()
            go.wait(30)

    discard = StagedBlob.discard

    def discarded(blob: StagedBlob) -> None:
        happened.append("discard")
        discarding.set()
        discard(blob)

    monkeypatch.setattr(StagedBlob, "discard", discarded)

    async def run() -> None:
        async with bare(tmp_path, step=step) as store:
            size = BLOCK if where == steps.AFTER_SYNC else 4 * BLOCK
            taking = asyncio.ensure_future(intake_of(store).take(stream(*[of(4)] * (size // 4)), None, {}, SHA256))
            await asyncio.to_thread(arrived.wait)
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
            # Not held up; and time enough for a thread to do too early what is only to be done after that.
            assert not await asyncio.to_thread(discarding.wait, 0.1)
            go.set()
            store.executor.shutdown()
            assert happened[-1] == "discard"
            assert files(store) == []

    asyncio.run(run())


def test_small_pieces_are_joined_and_large_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_PIECE", 4)
    for pieces in ([of(4)], [of(4), of(4)], [of(7), of(1)]):
        assert _fewer(pieces) is pieces
    assert _fewer([of(4), of(3)]) == [of(4) + of(3)]
    assert _fewer([of(1)] * 3) == [of(1) * 3]


def test_the_rest_of_a_body_follows_the_last_byte_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_PIECE", 1)
    waiting, go = threading.Event(), threading.Event()
    written: list[bytes] = []
    write = StagedBlob.write

    def slowly(blob: StagedBlob, data: bytes) -> None:
        if len(data) == 1:
            waiting.set()
            go.wait(60)
        written.append(data)
        write(blob, data)

    monkeypatch.setattr(StagedBlob, "write", slowly)

    async def run() -> None:
        async with bare(tmp_path) as store:
            body = stream(of(BLOCK - 1), b"x", b"the rest")
            taking = asyncio.create_task(intake_of(store).take(body, None, {}, SHA256))
            try:
                await asyncio.to_thread(waiting.wait)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert written == [of(BLOCK - 1)]
            finally:
                go.set()
            await kept(store, await taking, of(BLOCK - 1) + b"x" + b"the rest")

    asyncio.run(run())


def test_what_is_too_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            read: list[int] = []

            async def endless() -> AsyncIterator[bytes]:
                while True:
                    read.append(len(read))
                    assert len(read) < 9
                    yield of(BLOCK)

            with pytest.raises(IncompleteBody) as incomplete:
                await intake_of(store).take(endless(), 3 * BLOCK, {}, SHA256)
            assert str(incomplete.value) == str(IncompleteBody(3 * BLOCK, 4 * BLOCK))
            assert (len(read), files(store)) == (4, [])

    asyncio.run(run())


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_body_that_fails_leaves_nothing_when_its_error_is_raised(tmp_path: Path, before: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(before):
            yield of(BLOCK)
        raise ConnectionResetError

    async def run() -> None:
        async with bare(tmp_path) as store:
            taking = intake_of(store)
            with pytest.raises(ConnectionResetError):
                await taking.take(broken(), None, {}, SHA256)
            assert (files(store), taking._streams) == ([], 0)

    asyncio.run(run())


@pytest.mark.parametrize(("code", "error"), [(errno.ENOSPC, StorageFull), (errno.EIO, Unavailable)])
@pytest.mark.parametrize("size", [LIMIT + 1, 3 * BLOCK])
def test_a_disk_that_fails_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception], size: int
) -> None:
    def fail(_fd: int, _data: bytes) -> int:
        raise OSError(code, os.strerror(code))

    async def run() -> None:
        async with bare(tmp_path) as store:
            for body in (of(size), stream(of(size)), stream(*[of(1)] * size)):
                with monkeypatch.context() as patched:
                    patched.setattr(os, "write", fail)
                    # The loop wakes itself by a socket, not by this.
                    with pytest.raises(error) as told:
                        await intake_of(store).take(body, size, {}, SHA256)
                assert isinstance(told.value.__cause__, OSError)
                assert files(store) == []

    asyncio.run(run())


def test_a_small_body_in_hand_is_taken_without_waiting(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            taking = intake_of(store)
            for data in (b"", of(LIMIT)):
                expected = digests(data, "md5")
                taken = taking.at_hand(
                    data, PutOptions(size=len(data), expected=expected, digests=frozenset({"sha-1"}))
                )
                assert taken is not None
                assert taken.body.digests == digests(data, "md5", "sha-1", "sha-256")
                await kept(store, taken, data)
                taken.settle(committed=True)
                await taken.settled()
            plain = taking.at_hand(of(3), PutOptions())
            assert plain is not None
            assert plain.body == Body(3, digests(of(3), "sha-256"), data=of(3))
            assert taking.at_hand(of(LIMIT + 1), PutOptions(size=3)) is None
            assert taking.at_hand(stream(b""), PutOptions()) is None
            with pytest.raises(IncompleteBody) as incomplete:
                taking.at_hand(of(3), PutOptions(size=4))
            assert str(incomplete.value) == str(IncompleteBody(4, 3))
            with pytest.raises(DigestMismatch):
                taking.at_hand(of(3), PutOptions(expected={"md5": bytes(16)}))

    asyncio.run(run())


def test_a_body_whose_row_is_refused_is_gone_when_that_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            for expected in (1, 1):
                taken = await intake_of(store).take(of(40), None, {}, SHA256)
                operation = put("key", taken.body, ONLY_IF_ABSENT)
                if not store.index.keys_from("", 9):
                    assert (await commit(store.writer, operation, taken)).blob == taken.body.blob
                    await taken.settled()
                else:
                    with pytest.raises(AlreadyExists):
                        await commit(store.writer, operation, taken)
                assert len(files(store)) == expected
        assert list(store.directory.staging.iterdir()) == [], "every name is settled"

    asyncio.run(run())


def test_what_cannot_be_settled_is_logged_and_stays_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_path: object) -> None:
        raise OSError(errno.EIO, "of the disk")

    async def run() -> None:
        async with bare(tmp_path) as store:
            taken = await intake_of(store).take(of(40), None, {}, SHA256)
            with monkeypatch.context() as patched, caplog.at_level(logging.ERROR):
                patched.setattr(os, "unlink", fail)
                taken.settle(committed=False)
                await taken.settled()
            assert [record.getMessage() for record in caplog.records] == [
                f"the blob {taken.body.blob} could not be settled"
            ]
            assert "of the disk" in caplog.text
        assert len(list(store.directory.staging.glob("*/*.batch"))) == 1

    asyncio.run(run())


# Parts


def part(number: int, size: int, blob: str | None = None) -> PartRow:
    return PartRow("u", number, number, size, "e", 0, bytes(32), None, blob)


async def read(store: Bare, *rows: PartRow) -> list[bytes]:
    reader = PartReader(store.directory, store.index, store.executor)
    return [block async for block in reader.read(rows)]


def test_parts_are_read_one_after_the_other_block_by_block(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            blob = await intake_of(store).take(of(40), None, {}, SHA256)
            await commit(store.writer, put("key", blob.body, UNCONDITIONAL), blob)
            store.writing.execute("INSERT INTO bodies VALUES (7, ?)", (b"inline",))
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  numbers, not paths
            found = await read(store, part(1, 40, blob.body.blob), part(2, 0), part(7, 6))
            assert found == [of(40)[:16], of(40)[16:32], of(40)[32:], b"inline"]
            assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  as above

    asyncio.run(run())


def test_a_part_that_is_gone_or_has_another_size_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with bare(tmp_path) as store:
            gone: Sequence[PartRow] = (part(3, 5), part(3, 5, "none"))
            for one in gone:
                with pytest.raises(InvalidPart, match="part 3 was replaced or removed"):
                    await read(store, one)
            store.writing.execute("INSERT INTO bodies VALUES (3, ?)", (b"short",))
            for size in (4, 6):
                with pytest.raises(Corrupted, match=f"the body of part 3 in the index has 5 bytes, not {size}"):
                    await read(store, part(3, size))
            blob = await intake_of(store).take(of(40), None, {}, SHA256)
            await commit(store.writer, put("key", blob.body, UNCONDITIONAL), blob)
            with pytest.raises(Corrupted, match="the file of part 3 has 40 bytes, not 41"):
                await read(store, part(3, 41, blob.body.blob))
            (path,) = files(store)
            path.unlink()
            path.mkdir()
            with pytest.raises(Unavailable) as told:
                await read(store, part(3, 40, blob.body.blob))
            assert isinstance(told.value.__cause__, IsADirectoryError)
            path.rmdir()
            path.symlink_to(path)
            with pytest.raises(Unavailable) as told:
                await read(store, part(3, 40, blob.body.blob))
            assert isinstance(told.value.__cause__, OSError)
            path.unlink()

    asyncio.run(run())
