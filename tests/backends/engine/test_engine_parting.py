"""Uploads in parts without the store: which parts make the object, what is refused before it costs anything."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backends.engine.bare import NOW, Bare, bare
from backends.engine.test_engine_transaction import put
from objectstore.backends.engine import uploads as module
from objectstore.backends.engine.etags import Etags
from objectstore.backends.engine.intake import Intake
from objectstore.backends.engine.operations import Body, Count
from objectstore.backends.engine.rows import EPOCH, PartRow, encode_digests
from objectstore.backends.engine.uploads import EngineUploads, _chosen, _shared
from objectstore.errors import (
    AlreadyExists,
    Corrupted,
    DigestMismatch,
    IncompleteBody,
    InvalidDigest,
    InvalidMetadata,
    InvalidPart,
    QuotaExceeded,
    Unavailable,
    UploadNotFound,
)
from objectstore.values import ONLY_IF_ABSENT, Attributes, CompleteOptions, PutOptions, Quota

PLAIN = PutOptions()
LIMIT = 10  # bytes that go in the index
LARGE = bytes(range(40))
SMALL = b"small"
MD5, SHA256 = hashlib.md5(LARGE, usedforsecurity=False).digest(), hashlib.sha256(LARGE).digest()


def part(number: int, etag: str = "e", blob: str | None = None, **digests: bytes) -> PartRow:
    return PartRow("u", number, number, len(LARGE), etag, 0, SHA256, encode_digests(digests), blob)


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[tuple[Bare, EngineUploads]]:
    async with bare(root) as store:
        intake = Intake(store.blobs, store.executor, LIMIT)
        uploads = EngineUploads(store.directory, store.index, store.writer, intake, store.executor, Etags(), idle=60.0)
        try:
            yield store, uploads
        finally:
            await uploads.settle()


async def sent(
    uploads: EngineUploads, *bodies: bytes, options: PutOptions = PLAIN
) -> tuple[str, list[tuple[int, str]]]:
    upload_id = (await uploads.begin("key", options)).upload_id
    numbered = list(enumerate(bodies, start=1))
    return upload_id, [
        (number, (await uploads.put_part(upload_id, number, body, PLAIN)).etag) for number, body in numbered
    ]


def files(store: Bare) -> list[bytes]:
    return [path.read_bytes() for path in store.directory.blobs.glob("*/*")]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ([], "name the parts that make the object; none was named"),
        ([(2, "b"), (1, "a")], "name the parts in ascending order; 1 comes after 2"),
        ([(1, "a"), (1, "a")], "name the parts in ascending order; 1 comes after 1"),
        ([(1, "a"), (4, "d")], "part 4 has not arrived"),
        ([(1, "a"), (2, "a")], "part 2 has the etag 'b', not 'a'; it was sent again"),
    ],
)
def test_parts_that_make_no_object_are_told(named: Sequence[tuple[int, str]], told: str) -> None:
    with pytest.raises(InvalidPart) as refused:
        _chosen(named, {1: part(1, "a"), 2: part(2, "b"), 3: part(3, "c")})
    assert refused.value.message == told


def test_the_named_parts_make_the_object_in_their_order() -> None:
    arrived = {number: part(number, etag) for number, etag in enumerate("abc", start=1)}
    assert _chosen([(1, "a"), (3, "c")], arrived) == [arrived[1], arrived[3]]
    assert _chosen([(2, "b")], arrived) == [arrived[2]]


def test_an_only_part_is_the_object_if_all_its_digests_are_known() -> None:
    only = part(1, blob="b", md5=MD5)
    taken = _shared(only, {"md5": MD5}, frozenset())
    assert taken is not None
    assert taken.body == Body(len(LARGE), {"sha-256": SHA256, "md5": MD5}, blob="b")
    plain = _shared(only, {}, frozenset())
    assert plain is not None
    assert plain.body.digests == {"sha-256": SHA256}
    asked = _shared(only, {}, frozenset({"md5"}))
    assert asked is not None
    assert asked.body.digests == {"sha-256": SHA256, "md5": MD5}
    assert _shared(only, {}, frozenset({"md5", "sha-1"})) is None
    assert _shared(only, {"sha-1": bytes(20)}, frozenset()) is None
    assert _shared(part(1, md5=MD5), {}, frozenset()) is None
    with pytest.raises(DigestMismatch):
        _shared(only, {"md5": bytes(16)}, frozenset())


def test_what_would_fail_after_the_last_part_is_refused_at_the_beginning(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            with pytest.raises(InvalidDigest):
                await uploads.begin("key", PutOptions(digests=frozenset({"md6"})))
            with pytest.raises(InvalidDigest):
                await uploads.begin("key", PutOptions(expected={"md6": b""}))
            with pytest.raises(InvalidMetadata):
                await uploads.begin("key", PutOptions(attributes=Attributes(content_type="\n")))
            assert store.writer.stats.operations == 0

    asyncio.run(run())


class Unread:
    """A body that nobody may read."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError


def test_a_part_that_cannot_be_is_refused_unread(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            upload_id, parts = await sent(uploads, SMALL)
            for number in (-1, 0, 10_001):
                with pytest.raises(InvalidPart) as refused:
                    await uploads.put_part(upload_id, number, Unread(), PLAIN)
                assert refused.value.message == f"parts are numbered from 1 to 10000; this one is {number}"
            assert (await uploads.put_part(upload_id, 10_000, SMALL, PLAIN)).number == 10_000
            with pytest.raises(UploadNotFound) as unknown:
                await uploads.put_part("none", 1, Unread(), PLAIN)
            assert unknown.value.upload_id == "none"
            with pytest.raises(UploadNotFound):
                await uploads.get("none")
            with pytest.raises(UploadNotFound):
                await uploads.complete("none", parts)
            await uploads.complete(upload_id, parts)
            with pytest.raises(UploadNotFound) as over:
                await uploads.put_part(upload_id, 1, Unread(), PLAIN)
            assert over.value.upload_id == upload_id
            other, _ = await sent(uploads)
            store.writer.failed = "the disk is gone"
            with pytest.raises(Unavailable, match="the disk is gone"):
                await uploads.put_part(other, 1, Unread(), PLAIN)

    asyncio.run(run())


def test_a_part_counts_as_it_comes_once_the_quota_is_counted(tmp_path: Path) -> None:
    read: list[int] = []

    async def long() -> AsyncIterator[bytes]:
        for number in range(9):
            read.append(number)
            yield LARGE

    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            upload_id, _ = await sent(uploads, LARGE)
            limited = PutOptions(quota=Quota(prefix="", size=100))
            with pytest.raises(QuotaExceeded):
                await uploads.put_part(upload_id, 2, long(), limited)
            assert len(read) == 9, "nobody knew how much there is"
            await store.writer.commit(Count(("",)))
            read.clear()
            with pytest.raises(QuotaExceeded):
                await uploads.put_part(upload_id, 2, long(), limited)
            assert len(read) == 2
            read.clear()
            with pytest.raises(QuotaExceeded):
                await uploads.put_part(upload_id, 1, long(), limited)
            assert len(read) == 3, "what it replaces makes room"
            with pytest.raises(QuotaExceeded):
                await uploads.put_part(upload_id, 2, Unread(), PutOptions(size=61, quota=limited.quota))
            await uploads.put_part(upload_id, 2, LARGE, limited)
            assert len(files(store)) == 2

    asyncio.run(run())


def test_what_there_is_of_an_upload_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (_, uploads):
            upload_id, parts = await sent(uploads, LARGE, SMALL)
            found = await uploads.get(upload_id)
            assert (found.upload_id, found.key, found.completed) == (upload_id, "key", None)
            assert [(one.number, one.etag, one.size) for one in found.parts] == [(*parts[0], 40), (*parts[1], 5)]
            info = await uploads.complete(upload_id, parts)
            assert (await uploads.get(upload_id)).completed == info

    asyncio.run(run())


def test_unfinished_uploads_are_listed_page_by_page(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (_, uploads):
            begun = [await uploads.begin(f"{'ab'[number % 2]}/{number}", PLAIN) for number in range(7)]
            finished, parts = await sent(uploads, SMALL)
            await uploads.complete(finished, parts)
            ids = sorted(one.upload_id for one in begun)
            for prefix in ("", "a/", "b/", "c/"):
                wanted = [one for one in ids if [x for x in begun if x.upload_id == one and x.key.startswith(prefix)]]
                for limit in (1, 2, 3, 6, 7, 8):
                    start: str | None = ""
                    found: list[str] = []
                    while start is not None:
                        page = await uploads.list(prefix=prefix, start=start, limit=limit)
                        assert len(page.uploads) == min(limit, len(wanted) - len(found))
                        found += [one.upload_id for one in page.uploads]
                        assert (page.next_start is not None) == (len(found) < len(wanted))
                        start = page.next_start
                    assert found == wanted
            assert [one.upload_id for one in (await uploads.list(start=ids[3])).uploads] == ids[3:]

    asyncio.run(run())


def test_a_hundred_uploads_make_a_page_unless_another_number_is_asked_for(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (_, uploads):
            await asyncio.gather(*(uploads.begin("key", PLAIN) for _ in range(101)))
            page = await uploads.list()
            assert len(page.uploads) == 100
            assert page.next_start is not None

    asyncio.run(run())


@pytest.mark.parametrize("bodies", [(LARGE,), (SMALL,), (LARGE, SMALL), (SMALL, b"more"), (SMALL, LARGE, SMALL)])
def test_all_who_complete_get_the_one_object(tmp_path: Path, bodies: Sequence[bytes]) -> None:
    whole = b"".join(bodies)

    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            options = PutOptions(size=len(whole), digests=frozenset({"md5"}), etag="chosen")
            upload_id, parts = await sent(uploads, *bodies, options=options)
            first, second = await asyncio.gather(*(uploads.complete(upload_id, parts) for _ in range(2)))
            assert first == second == await uploads.complete(upload_id, [(9, "of no importance")])
            assert (first.key, first.size, first.etag) == ("key", len(whole), "chosen")
            assert dict(first.digests) == {
                "md5": hashlib.md5(whole, usedforsecurity=False).digest(),
                "sha-256": hashlib.sha256(whole).digest(),
            }
            row, data = store.index.row_and_body("key") or (None, None)
            assert row is not None
            assert (data if row.blob is None else whole) == whole
            assert row.blob is None or whole in files(store)
            assert uploads._completing == {}

    asyncio.run(run())


def test_an_only_part_becomes_the_object_and_of_two_none_does(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            upload_id, parts = await sent(uploads, LARGE)
            (row,) = store.index.parts(upload_id)
            await uploads.complete(upload_id, parts)
            whole = store.index.row("key")
            assert whole is not None
            assert whole.blob == row.blob
            upload_id, parts = await sent(uploads, LARGE, LARGE)
            assert (await uploads.complete(upload_id, parts)).size == 2 * len(LARGE)

    asyncio.run(run())


def test_a_part_of_another_size_than_told_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            upload_id, _ = await sent(uploads)
            for size in (len(LARGE) - 1, len(LARGE) + 1):
                with pytest.raises(IncompleteBody):
                    await uploads.put_part(upload_id, 1, LARGE, PutOptions(size=size))
            assert ((await uploads.get(upload_id)).parts, files(store)) == ((), [])

    asyncio.run(run())


def test_a_part_that_the_index_holds_only_half_of_makes_no_object(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            for order in ((1, 2), (2, 3)):  # put together while they came, and at the end
                upload_id = (await uploads.begin("key", PLAIN)).upload_id
                parts = []
                for number in order:
                    part = await uploads.put_part(upload_id, number, SMALL, PLAIN)
                    parts.append((number, part.etag))
                    store.writing.execute("UPDATE bodies SET data = substr(data, 1, 3)")
                with pytest.raises(Corrupted, match="in the index has 3 bytes, not 5"):
                    await uploads.complete(upload_id, parts)
                assert store.index.row("key") is None

    asyncio.run(run())


def test_what_was_put_together_early_goes_once_there_is_an_object(tmp_path: Path) -> None:
    complaints: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with opened(tmp_path) as (_, uploads):
            upload_id, parts = await sent(uploads, LARGE, SMALL)
            (assembly,) = uploads._assemblies._running.values()
            with pytest.raises(InvalidPart):
                await uploads.complete(upload_id, [*parts, (3, "e")])
            await asyncio.sleep(0)
            assert not assembly.task.cancelling(), "there may be another try"
            waiting = asyncio.create_task(uploads.complete(upload_id, parts[:1]))
            await asyncio.sleep(0)
            uploads._completing[upload_id].cancel()  # as a loop does with all that is left when it ends
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await asyncio.sleep(0)
            assert not assembly.task.cancelling()
            await uploads.complete(upload_id, parts[:1])
            await asyncio.wait([assembly.task])
            assert assembly.task.cancelled()

    asyncio.run(run())
    assert complaints == []


def test_an_etag_of_its_own_is_given_when_none_was_chosen(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (_, uploads):
            upload_id, parts = await sent(uploads, SMALL)
            info = await uploads.complete(upload_id, parts)
            assert info.etag
            assert info.etag != parts[0][1]

    asyncio.run(run())


def test_what_cannot_be_completed_is_refused_and_can_be_tried_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            options = PutOptions(size=45, conditions=ONLY_IF_ABSENT, expected={"md5": MD5})
            upload_id, parts = await sent(uploads, LARGE, SMALL, SMALL, options=options)
            with pytest.raises(IncompleteBody) as incomplete:
                await uploads.complete(upload_id, parts)
            assert str(incomplete.value) == str(IncompleteBody(45, 50))
            with pytest.raises(DigestMismatch):
                await uploads.complete(upload_id, parts[:2])
            with pytest.raises(InvalidPart):
                await uploads.complete(upload_id, [])
            await store.writer.commit(put("key", Body(1, {"sha-256": SHA256}, data=b"x")))
            with pytest.raises(AlreadyExists) as exists:
                await uploads.complete(upload_id, parts[:2])
            assert exists.value.key == "key"
            assert files(store) == [LARGE]
            assert len((await uploads.get(upload_id)).parts) == 3

    asyncio.run(run())


def test_a_completion_is_held_to_the_quota(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (_, uploads):
            upload_id, parts = await sent(uploads, LARGE, SMALL)
            with pytest.raises(QuotaExceeded):
                await uploads.complete(upload_id, parts, CompleteOptions(quota=Quota(prefix="k", objects=0)))
            # No more bytes than its parts, which go.
            await uploads.complete(upload_id, parts, CompleteOptions(quota=Quota(prefix="", size=1, objects=1)))

    asyncio.run(run())


def test_an_aborted_upload_is_gone(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as (_, uploads):
            upload_id, parts = await sent(uploads, LARGE, SMALL)
            await uploads.abort(upload_id)
            for again in (uploads.abort(upload_id), uploads.get(upload_id), uploads.complete(upload_id, parts)):
                with pytest.raises(UploadNotFound):
                    await again

    asyncio.run(run())


def test_uploads_expire_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_EXPIRED_AT_ONCE", 2)

    async def run() -> None:
        async with opened(tmp_path) as (store, uploads):
            await asyncio.gather(*(sent(uploads, LARGE, SMALL) for _ in range(5)))
            now = EPOCH + timedelta(microseconds=NOW)
            assert await uploads.expire(now) == 0
            commits = store.writer.stats.operations
            assert await uploads.expire(now + timedelta(microseconds=1)) == 5
            assert store.writer.stats.operations == commits + 3
            assert (await uploads.list()).uploads == ()

    asyncio.run(run())
