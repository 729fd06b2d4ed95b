"""Uploads in parts: invisible until they are completed, then one object."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import (
    AlreadyExists,
    DigestMismatch,
    IncompleteBody,
    InvalidPart,
    PreconditionFailed,
    UploadNotFound,
)
from objectstore.testing.suite.harness import (
    LARGE,
    SMALL,
    BodyFailed,
    Stalling,
    Suite,
    chunked,
    contract,
    failing,
    found,
    keys,
    read,
    sample,
    settle,
    unchanged,
)
from objectstore.testing.suite.objects import FULL
from objectstore.values import ONLY_IF_ABSENT, Attributes, Conditions, Part, PutOptions, Upload

PLAIN: Final = PutOptions()
STRANGERS: Final = ("", "no-such-upload", "../x", "a/b", "/", ".", "..", "%", "x" * 2000, "é", "a\0b", "0" * 32)


class _Sending:
    """An upload under way, so that a test says no more than it is about."""

    def __init__(self, backend: Backend, upload_id: str) -> None:
        self.backend = backend
        self.uploads = backend.uploads
        self.upload_id = upload_id

    async def put(self, number: int, data: bytes, options: PutOptions = PLAIN) -> Part:
        return await self.uploads.put_part(self.upload_id, number, chunked(data), options)

    async def complete(self, *parts: Part) -> str:
        """Completes with these parts, and gives the etag of the object."""
        info = await self.uploads.complete(self.upload_id, named(parts))
        assert await self.backend.head(info.key) == info
        return info.etag


def named(parts: Sequence[Part]) -> list[tuple[int, str]]:
    return [(part.number, part.etag) for part in parts]


async def begin(backend: Backend, key: str = "key", options: PutOptions = PLAIN) -> _Sending:
    return _Sending(backend, (await backend.uploads.begin(key, options)).upload_id)


class UploadTests(Suite):
    @contract("write")
    async def test_the_parts_become_one_object(self, backend: Backend) -> None:
        upload = await begin(backend)
        parts = [await upload.put(number, sample(LARGE + number, number)) for number in (1, 2, 3)]
        info = await backend.uploads.complete(upload.upload_id, named(parts))
        whole = b"".join(sample(LARGE + number, number) for number in (1, 2, 3))
        assert (info.key, info.size) == ("key", len(whole))
        assert await found(backend, "key") == (info, whole)
        if backend.capabilities.digests:
            assert info.digests["sha-256"] == hashlib.sha256(whole).digest()

    @pytest.mark.parametrize("sizes", [(0,), (SMALL,), (0, 0), (SMALL, 0, SMALL), (LARGE, SMALL), (1, LARGE, 1)])
    @contract("write")
    async def test_parts_have_any_size(self, backend: Backend, sizes: tuple[int, ...]) -> None:
        upload = await begin(backend)
        parts = [await upload.put(number, sample(size, number)) for number, size in enumerate(sizes, 1)]
        assert [part.size for part in parts] == list(sizes)
        await upload.complete(*parts)
        assert await read(backend, "key") == b"".join(sample(size, number) for number, size in enumerate(sizes, 1))

    @contract("write")
    async def test_a_part_may_be_bytes_in_hand(self, backend: Backend) -> None:
        upload = await begin(backend)
        part = await backend.uploads.put_part(upload.upload_id, 1, sample(LARGE), PLAIN)
        await upload.complete(part)
        assert await read(backend, "key") == sample(LARGE)

    @contract("write")
    async def test_numbers_may_come_in_any_order_and_leave_gaps(self, backend: Backend) -> None:
        upload = await begin(backend)
        bodies = {10_000: b"last", 1: b"first ", 70: b"middle "}
        parts = {number: await upload.put(number, body) for number, body in bodies.items()}
        arrived = (await backend.uploads.get(upload.upload_id)).parts
        assert arrived == tuple(parts[number] for number in (1, 70, 10_000))
        await upload.complete(*arrived)
        assert await read(backend, "key") == b"first middle last"

    @contract("write")
    async def test_many_parts_are_ordered_by_number(self, backend: Backend) -> None:
        upload = await begin(backend)
        numbers = [*range(1, 1200, 10)]
        backwards = [upload.put(number, f"{number},".encode()) for number in reversed(numbers)]
        parts = await asyncio.gather(*backwards)
        arrived = (await backend.uploads.get(upload.upload_id)).parts
        assert arrived == tuple(reversed(parts))
        await upload.complete(*arrived)
        assert await read(backend, "key") == b"".join(f"{number},".encode() for number in numbers)

    @pytest.mark.parametrize("number", [-1, 0, 10_001, 2**40])
    @contract("write")
    async def test_a_number_outside_its_range_is_refused(self, backend: Backend, number: int) -> None:
        upload = await begin(backend)
        with pytest.raises(InvalidPart):
            await upload.put(number, b"1")
        assert (await backend.uploads.get(upload.upload_id)).parts == ()

    @contract("write")
    async def test_parts_may_come_at_the_same_time(self, backend: Backend) -> None:
        upload = await begin(backend)
        parts = await asyncio.gather(*(upload.put(number, sample(LARGE, number)) for number in range(1, 9)))
        await upload.complete(*parts)
        assert await read(backend, "key") == b"".join(sample(LARGE, number) for number in range(1, 9))

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @contract("write")
    async def test_a_part_sent_again_replaces_the_first(self, backend: Backend, size: int) -> None:
        upload = await begin(backend)
        first = await upload.put(1, sample(size, 1))
        other = await upload.put(2, b"end")
        second = await upload.put(1, sample(SMALL, 2))
        assert second.etag != first.etag
        assert (await backend.uploads.get(upload.upload_id)).parts == (second, other)
        with pytest.raises(InvalidPart):
            await upload.complete(first, other)
        await upload.complete(second, other)
        assert await read(backend, "key") == sample(SMALL, 2) + b"end"

    @contract("write")
    async def test_one_part_sent_by_many_at_once_is_one_of_them(self, backend: Backend) -> None:
        upload = await begin(backend)
        parts = await asyncio.gather(*(upload.put(1, sample(LARGE, seed)) for seed in range(5)))
        [arrived] = (await backend.uploads.get(upload.upload_id)).parts
        assert arrived in parts
        await upload.complete(arrived)
        assert await read(backend, "key") == sample(LARGE, parts.index(arrived))

    @contract("write")
    async def test_a_part_that_fails_leaves_the_one_before(self, backend: Backend) -> None:
        upload = await begin(backend)
        part = await upload.put(1, sample(LARGE, 1))
        for number in (1, 2):
            with pytest.raises(BodyFailed):
                await backend.uploads.put_part(upload.upload_id, number, failing(sample(LARGE, 2)), PLAIN)
            body = Stalling(sample(LARGE, 2))
            task = asyncio.create_task(backend.uploads.put_part(upload.upload_id, number, body, PLAIN))
            await body.stalled.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(IncompleteBody):
                await upload.put(number, sample(LARGE, 2), PutOptions(size=LARGE + 1))
            with pytest.raises(DigestMismatch):
                await upload.put(number, sample(LARGE, 2), PutOptions(expected={"md5": b"1" * 16}))
        assert (await backend.uploads.get(upload.upload_id)).parts == (part,)
        await upload.complete(part)
        assert await read(backend, "key") == sample(LARGE, 1)

    @contract("write")
    async def test_a_part_is_checked_against_size_and_digests(self, backend: Backend) -> None:
        upload = await begin(backend)
        data = sample(LARGE)
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        part = await upload.put(1, data, PutOptions(size=LARGE, expected={"md5": md5}, digests=frozenset({"sha-1"})))
        assert part.digests["sha-1"] == hashlib.sha1(data, usedforsecurity=False).digest()
        [arrived] = (await backend.uploads.get(upload.upload_id)).parts
        assert arrived == part

    @contract("write")
    async def test_an_upload_tells_what_it_is(self, backend: Backend) -> None:
        attributes = FULL if backend.capabilities.attributes else Attributes()
        conditions = ONLY_IF_ABSENT if backend.capabilities.conditions else Conditions()
        options = PutOptions(attributes=attributes, conditions=conditions)
        begun = await backend.uploads.begin("key", options)
        upload = await backend.uploads.get(begun.upload_id)
        assert upload == begun
        assert (upload.key, upload.attributes, upload.conditions) == ("key", attributes, conditions)
        assert (upload.parts, upload.completed) == ((), None)
        assert upload.begun.utcoffset() == timedelta(0)

    @contract("write")
    async def test_an_upload_is_invisible_until_it_is_completed(self, backend: Backend) -> None:
        upload = await begin(backend, "a/b")
        part = await upload.put(1, sample(LARGE))
        await unchanged(backend, "a/b", None)
        if backend.capabilities.listing:
            assert await keys(backend) == []
        await upload.complete(part)
        if backend.capabilities.listing:
            assert await keys(backend) == ["a/b"]

    @contract("write", "overwrite")
    async def test_an_upload_replaces_the_object_at_its_completion(self, backend: Backend) -> None:
        before = await backend.put("key", b"old")
        upload = await begin(backend)
        part = await upload.put(1, sample(LARGE))
        await unchanged(backend, "key", (before, b"old"))
        assert await upload.complete(part) != before.etag
        assert await read(backend, "key") == sample(LARGE)
        if backend.capabilities.attributes:
            assert (await backend.head("key")).created == before.created

    @contract("write", "attributes")
    async def test_the_object_gets_the_attributes_and_etag_of_the_beginning(self, backend: Backend) -> None:
        upload = await begin(backend, "key", PutOptions(attributes=FULL, etag="chosen", digests=frozenset({"md5"})))
        part = await upload.put(1, sample(SMALL), PutOptions(attributes=Attributes(content_type="no/no")))
        assert await upload.complete(part) == "chosen"
        info = await backend.head("key")
        assert info.attributes == FULL
        assert info.digests["md5"] == hashlib.md5(sample(SMALL), usedforsecurity=False).digest()

    @contract("write", "overwrite")
    async def test_two_uploads_to_one_key_give_two_etags(self, backend: Backend) -> None:
        etags = set()
        for _ in range(2):
            upload = await begin(backend)
            etags.add(await upload.complete(await upload.put(1, b"same")))
        assert len(etags) == 2

    @contract("write")
    async def test_completion_checks_the_parts_named(self, backend: Backend) -> None:
        upload = await begin(backend)
        parts = [await upload.put(number, sample(SMALL, number)) for number in (1, 2, 3)]
        one, two, three = named(parts)
        wrong: dict[str, list[tuple[int, str]]] = {
            "none": [],
            "another etag": [one, (2, "other")],
            "the etag of another part": [one, (2, three[1])],
            "not arrived": [one, two, three, (4, one[1])],
            "outside": [(0, one[1])],
            "descending": [two, one],
            "twice": [one, one],
        }
        for what, wanted in wrong.items():
            with pytest.raises(InvalidPart):
                await backend.uploads.complete(upload.upload_id, wanted)
            assert await found(backend, "key") is None, what
        assert (await backend.uploads.get(upload.upload_id)).parts == tuple(parts)
        await backend.uploads.complete(upload.upload_id, [one, three])
        assert await read(backend, "key") == sample(SMALL, 1) + sample(SMALL, 3)

    @contract("write", "overwrite")
    async def test_completing_again_gives_the_same_record(self, backend: Backend) -> None:
        upload = await begin(backend)
        parts = [await upload.put(number, sample(LARGE, number)) for number in (1, 2)]
        info = await backend.uploads.complete(upload.upload_id, named(parts))
        assert await backend.uploads.complete(upload.upload_id, named(parts)) == info
        await backend.put("key", b"newer")
        assert await backend.uploads.complete(upload.upload_id, named(parts)) == info
        assert await read(backend, "key") == b"newer"

    @contract("write")
    async def test_completing_at_the_same_time_gives_one_record(self, backend: Backend) -> None:
        upload = await begin(backend)
        parts = [await upload.put(number, sample(LARGE, number)) for number in (1, 2)]
        records, errors = await settle(backend.uploads.complete(upload.upload_id, named(parts)) for _ in range(8))
        assert errors == []
        assert len({record.etag for record in records}) == 1
        assert await backend.head("key") == records[0]
        assert await read(backend, "key") == sample(LARGE, 1) + sample(LARGE, 2)

    @contract("write")
    async def test_completing_wrongly_at_the_same_time_does_no_harm(self, backend: Backend) -> None:
        upload = await begin(backend)
        part = await upload.put(1, sample(LARGE))
        wrong, right = [(1, "other")], named([part])
        orders = [wrong, right, wrong, right]
        records, errors = await settle(backend.uploads.complete(upload.upload_id, one) for one in orders)
        assert len(records) >= 2
        assert all(isinstance(error, InvalidPart) for error in errors)
        assert await read(backend, "key") == sample(LARGE)

    @pytest.mark.parametrize("turns", [*range(8), 10, 15, 30])
    @contract("write")
    async def test_a_completion_cancelled_anywhere_is_done_or_can_be_done(self, backend: Backend, turns: int) -> None:
        upload = await begin(backend)
        parts = [await upload.put(number, sample(LARGE, number)) for number in (1, 2)]
        task = asyncio.create_task(backend.uploads.complete(upload.upload_id, named(parts)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        seen = await found(backend, "key")
        assert seen is None or seen[1] == sample(LARGE, 1) + sample(LARGE, 2)
        info = await backend.uploads.complete(upload.upload_id, named(parts))
        assert await found(backend, "key") == (info, sample(LARGE, 1) + sample(LARGE, 2))

    @contract("write")
    async def test_a_completed_upload_takes_no_more_parts(self, backend: Backend) -> None:
        upload = await begin(backend)
        part = await upload.put(1, sample(LARGE))
        info = await backend.uploads.complete(upload.upload_id, named([part]))
        with pytest.raises(UploadNotFound):
            await upload.put(2, b"late")
        assert (await backend.uploads.list()).uploads == ()
        with suppress(UploadNotFound):
            assert (await backend.uploads.get(upload.upload_id)).completed == info
        with suppress(UploadNotFound):
            await backend.uploads.abort(upload.upload_id)
        assert await found(backend, "key") == (info, sample(LARGE))

    @pytest.mark.parametrize("stranger", STRANGERS, ids=lambda text: ascii(text[:20]))
    @contract("write")
    async def test_an_unknown_upload_is_not_found(self, backend: Backend, stranger: str) -> None:
        uploads = backend.uploads
        await begin(backend)
        for attempt in (
            uploads.get(stranger),
            uploads.put_part(stranger, 1, b"1", PLAIN),
            uploads.complete(stranger, [(1, "x")]),
            uploads.abort(stranger),
        ):
            with pytest.raises(UploadNotFound):
                await attempt

    @contract("write")
    async def test_an_aborted_upload_is_gone(self, backend: Backend) -> None:
        upload, other = await begin(backend), await begin(backend)
        part = await upload.put(1, sample(LARGE))
        kept = await other.put(1, b"kept")
        await backend.uploads.abort(upload.upload_id)
        for attempt in (
            backend.uploads.get(upload.upload_id),
            backend.uploads.put_part(upload.upload_id, 2, b"late", PLAIN),
            backend.uploads.complete(upload.upload_id, named([part])),
            backend.uploads.abort(upload.upload_id),
        ):
            with pytest.raises(UploadNotFound):
                await attempt
        await unchanged(backend, "key", None)
        await other.complete(kept)
        assert await read(backend, "key") == b"kept"

    @contract("write")
    async def test_a_part_on_its_way_while_the_upload_is_aborted_goes_nowhere(self, backend: Backend) -> None:
        upload = await begin(backend)
        sending, resume = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield sample(LARGE)
            sending.set()
            await resume.wait()
            yield b"end"

        task = asyncio.create_task(backend.uploads.put_part(upload.upload_id, 1, body(), PLAIN))
        await sending.wait()
        await backend.uploads.abort(upload.upload_id)
        resume.set()
        with pytest.raises(UploadNotFound):
            await task
        with pytest.raises(UploadNotFound):
            await backend.uploads.get(upload.upload_id)

    @contract("write")
    async def test_unfinished_uploads_are_listed_in_pages(self, backend: Backend) -> None:
        begun = {}
        for number in range(7):
            upload = await backend.uploads.begin(f"{'ab'[number % 2]}/{number}", PLAIN)
            await backend.uploads.put_part(upload.upload_id, 1, b"part", PLAIN)
            begun[upload.upload_id] = upload
        for prefix, limit in (("", 1), ("", 2), ("", 7), ("", 100), ("a/", 1), ("a/", 3), ("b/", 100), ("c", 5)):
            wanted = [begun[one] for one in sorted(begun) if begun[one].key.startswith(prefix)]
            seen: list[Upload] = []
            start = ""
            for _ in range(20):
                page = await backend.uploads.list(prefix=prefix, start=start, limit=limit)
                assert len(page.uploads) <= limit
                seen += page.uploads
                if page.next_start is None:
                    break
                start = page.next_start
            assert seen == wanted
        last = max(begun)
        assert (await backend.uploads.list(start=last)).uploads == (begun[last],)

    @contract("write")
    async def test_expiry_ends_uploads_begun_before(self, backend: Backend) -> None:
        unfinished, completed = await begin(backend), await begin(backend)
        await unfinished.put(1, sample(LARGE))
        part = await completed.put(1, b"done")
        await completed.complete(part)
        begun = (await backend.uploads.get(unfinished.upload_id)).begun
        assert await backend.uploads.expire(begun - timedelta(days=1)) == 0
        assert len((await backend.uploads.get(unfinished.upload_id)).parts) == 1
        assert await backend.uploads.expire(begun + timedelta(days=1)) == 2
        for upload in (unfinished, completed):
            with pytest.raises(UploadNotFound):
                await backend.uploads.complete(upload.upload_id, named([part]))
        assert (await backend.uploads.list()).uploads == ()
        assert await read(backend, "key") == b"done"

    @contract("write", "conditions")
    async def test_conditions_are_checked_at_the_beginning(self, backend: Backend) -> None:
        await backend.put("key", b"old")
        with pytest.raises(AlreadyExists):
            await backend.uploads.begin("key", PutOptions(conditions=ONLY_IF_ABSENT))
        with pytest.raises(PreconditionFailed):
            await backend.uploads.begin("absent", PutOptions(conditions=Conditions(if_match="*")))
        assert (await backend.uploads.list()).uploads == ()

    @contract("write", "conditions", "delete")
    async def test_conditions_are_checked_again_at_the_end(self, backend: Backend) -> None:
        upload = await begin(backend, "key", PutOptions(conditions=ONLY_IF_ABSENT))
        part = await upload.put(1, sample(LARGE))
        before = await backend.put("key", b"faster")
        with pytest.raises(AlreadyExists):
            await upload.complete(part)
        await unchanged(backend, "key", (before, b"faster"))
        # The upload is as it was, and may be completed when its condition holds again.
        assert (await backend.uploads.get(upload.upload_id)).parts == (part,)
        await backend.delete("key")
        await upload.complete(part)
        assert await read(backend, "key") == sample(LARGE)

    @contract("write", "conditions")
    async def test_of_many_uploads_creating_a_key_one_wins(self, backend: Backend) -> None:
        uploads = [await begin(backend, "key", PutOptions(conditions=ONLY_IF_ABSENT)) for _ in range(5)]
        parts = [await upload.put(1, sample(LARGE, seed)) for seed, upload in enumerate(uploads)]
        records, errors = await settle(
            backend.uploads.complete(upload.upload_id, named([part]))
            for upload, part in zip(uploads, parts, strict=True)
        )
        assert len(records) == 1
        assert {type(error) for error in errors} == {AlreadyExists}
        assert await backend.head("key") == records[0]

    @contract("write")
    async def test_the_whole_is_checked_against_size_and_digest(self, backend: Backend) -> None:
        data = sample(LARGE)
        digest = hashlib.sha256(data).digest()
        right = PutOptions(size=LARGE, expected={"sha-256": digest, "md5": hashlib.md5(data).digest()})  # noqa: S324  a checksum
        upload = await begin(backend, "key", right)
        parts = [await upload.put(1, data[:1000]), await upload.put(2, data[1000:])]
        await upload.complete(*parts)
        assert await read(backend, "key") == data

    @contract("write", "overwrite")
    async def test_a_whole_of_another_digest_or_size_changes_nothing(self, backend: Backend) -> None:
        before = await backend.put("key", b"old")
        for options, error in (
            (PutOptions(expected={"sha-256": bytes(32)}), DigestMismatch),
            (PutOptions(expected={"md5": bytes(16)}), DigestMismatch),
            (PutOptions(size=LARGE - 1), IncompleteBody),
            (PutOptions(size=LARGE + 1), IncompleteBody),
        ):
            upload = await begin(backend, "key", options)
            part = await upload.put(1, sample(LARGE))
            with pytest.raises(error):
                await upload.complete(part)
            await unchanged(backend, "key", (before, b"old"))
            assert (await backend.uploads.get(upload.upload_id)).parts == (part,)
