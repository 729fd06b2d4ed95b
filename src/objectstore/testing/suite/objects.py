"""Objects go in and come back: bodies, records, attributes, digests."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest

from objectstore.backends.contract import Backend
from objectstore.errors import (
    DigestMismatch,
    IncompleteBody,
    InvalidDigest,
    NotFound,
    ObjectStoreError,
)
from objectstore.testing.suite.harness import (
    KIB,
    LARGE,
    MIB,
    REFUSED,
    SMALL,
    Suite,
    chunked,
    contract,
    found,
    keys,
    put_all,
    read,
    sample,
    unchanged,
)
from objectstore.values import Attributes, CopyOptions, FileSpan, Inline, ListQuery, ObjectInfo, PutOptions, Streamed

SIZES: Final = (
    0,
    1,
    4 * KIB,
    *(64 * KIB + step for step in (-1, 0, 1)),
    *(256 * KIB + step for step in (-1, 0, 1)),
    *(MIB + step for step in (-1, 0, 1)),
    5 * MIB,
)
WRONG_SIZES: Final = [
    (0, 1),
    (0, LARGE),
    (SMALL, 0),
    (SMALL, SMALL - 1),
    (SMALL, SMALL + 1),
    (SMALL, LARGE),
    (LARGE, 0),
    (LARGE, SMALL),
    (LARGE, LARGE - 1),
    (LARGE, LARGE + 1),
]
FULL: Final = Attributes(
    content_type="text/plain; charset=utf-8",
    content_encoding="gzip",
    content_disposition="attachment; filename*=UTF-8''%e2%82%ac.txt",
    content_language="de, en",
    cache_control="max-age=60, private",
    metadata={"author": "Zoë 😀", "empty": "", "quote": "\"'\\ %41", "with-dash.and_more": "1"},
)


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield bytes(KIB)


async def _with_empty_chunks(data: bytes) -> AsyncIterator[bytes]:
    yield b""
    async for chunk in chunked(data, 3):
        yield chunk
        yield b""


class ObjectTests(Suite):
    @pytest.mark.parametrize("size", SIZES)
    @contract("write")
    async def test_bytes_come_back_as_they_went_in(self, backend: Backend, size: int) -> None:
        data = sample(size)
        info = await backend.put("key", data)
        assert (info.key, info.size) == ("key", size)
        assert await read(backend, "key") == data

    @pytest.mark.parametrize("size", SIZES)
    @contract("write", "overwrite")
    async def test_chunks_come_back_as_one_object(self, backend: Backend, size: int) -> None:
        data = sample(size)
        for announced in (None, size):
            info = await backend.put("key", chunked(data, 60 * KIB), PutOptions(size=announced))
            assert info.size == size
            assert await read(backend, "key") == data

    @contract("write")
    async def test_empty_chunks_are_nothing(self, backend: Backend) -> None:
        await backend.put("key", _with_empty_chunks(b"0123456789"), PutOptions(size=10))
        assert await read(backend, "key") == b"0123456789"

    @contract("write")
    async def test_a_large_chunk_is_stored_whole(self, backend: Backend) -> None:
        data = sample(3 * MIB + 1)
        await backend.put("key", chunked(data, 2 * MIB))
        assert await read(backend, "key") == data

    @pytest.mark.parametrize("first", [0, SMALL, LARGE])
    @pytest.mark.parametrize("second", [0, SMALL, LARGE])
    @contract("write", "overwrite")
    async def test_put_replaces_the_whole_object(self, backend: Backend, first: int, second: int) -> None:
        await backend.put("key", sample(first, 1), PutOptions(attributes=Attributes()))
        await backend.put("key", sample(second, 2))
        assert await read(backend, "key") == sample(second, 2)
        assert (await backend.head("key")).size == second

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write")
    async def test_one_record_is_told_everywhere(self, backend: Backend, size: int) -> None:
        info = await backend.put("key", sample(size))
        assert await backend.head("key") == info
        async with backend.get("key") as reading:
            assert reading.info == info
            assert (reading.start, reading.stop) == (0, size)
        if backend.capabilities.listing:
            assert (await backend.list(ListQuery(details=True))).objects == (info,)

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @contract("write")
    async def test_content_is_one_of_three_kinds(self, backend: Backend, size: int) -> None:
        await backend.put("key", sample(size))
        async with backend.get("key") as reading:
            assert isinstance(reading.content, Inline | FileSpan | Streamed)

    @contract("write")
    async def test_times_are_aware_and_utc(self, backend: Backend) -> None:
        info = await backend.put("key", b"1")
        assert info.created.utcoffset() == timedelta(0)
        assert info.modified.utcoffset() == timedelta(0)

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @contract("write", "overwrite", "attributes")
    async def test_overwriting_keeps_created_and_moves_modified(self, backend: Backend, size: int) -> None:
        first = await backend.put("key", sample(size, 1))
        second = await backend.put("key", sample(size, 2))
        assert second.created == first.created
        assert second.modified >= first.modified
        assert await backend.head("key") == second

    @contract("write", "delete", "attributes")
    async def test_deleting_ends_created(self, backend: Backend) -> None:
        first = await backend.put("key", b"1")
        await backend.delete("key")
        second = await backend.put("key", b"1")
        assert second.created == second.modified
        assert second.created >= first.created

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write", "overwrite")
    async def test_every_write_gives_another_etag(self, backend: Backend, size: int) -> None:
        etags = [(await backend.put("key", sample(size))).etag for _ in range(5)]
        etags.append((await backend.copy("key", "key")).etag)
        etags.append((await backend.copy("key", "other")).etag)
        assert len(set(etags)) == len(etags)
        assert '"' not in "".join(etags)

    @contract("write", "delete")
    async def test_an_etag_does_not_return_after_a_delete(self, backend: Backend) -> None:
        first = await backend.put("key", b"1")
        await backend.delete("key")
        assert (await backend.put("key", b"1")).etag != first.etag

    @contract("write", "attributes")
    async def test_a_chosen_etag_is_kept(self, backend: Backend) -> None:
        info = await backend.put("key", b"1", PutOptions(etag="chosen-2"))
        assert info.etag == "chosen-2"
        assert (await backend.head("key")).etag == "chosen-2"

    @contract("write")
    async def test_an_absent_key_is_not_found(self, backend: Backend) -> None:
        await backend.put("key", b"1")
        for key in ("ke", "key2", "Key", "yek"):
            with pytest.raises(NotFound) as raised:
                await backend.head(key)
            assert raised.value.key == key
            with pytest.raises(NotFound):
                await read(backend, key)

    @contract("write", "delete")
    async def test_a_deleted_object_is_gone(self, backend: Backend) -> None:
        await backend.put("key", b"1")
        await backend.put("other", b"2")
        await backend.delete("key")
        await unchanged(backend, "key", None)
        assert await read(backend, "other") == b"2"
        with pytest.raises(NotFound):
            await backend.delete("key")

    @contract("write", "delete")
    async def test_delete_many_tells_of_each_key_in_its_place(self, backend: Backend) -> None:
        for key in ("a", "b", "c"):
            await backend.put(key, b"1")
        results = await backend.delete_many(["c", "absent", "a", "c"])
        assert [type(one) for one in results] == [type(None), NotFound, type(None), NotFound]
        assert [key for key in ("a", "b", "c") if await found(backend, key)] == ["b"]

    @contract("write", "delete")
    async def test_delete_many_of_nothing_is_nothing(self, backend: Backend) -> None:
        assert list(await backend.delete_many([])) == []

    @contract("write", "delete")
    async def test_delete_many_takes_a_thousand_keys(self, backend: Backend) -> None:
        names = [f"n/{number:03}" for number in range(1000)]
        await put_all(backend, dict.fromkeys(names[::10], b""))
        results = await backend.delete_many(names)
        assert [one is None for one in results] == [number % 10 == 0 for number in range(1000)]

    @contract("write")
    async def test_check_finds_a_working_store_in_order(self, backend: Backend) -> None:
        await backend.check()
        if backend.capabilities.listing:
            assert await keys(backend) == []


class AttributeTests(Suite):
    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @pytest.mark.parametrize(
        "attributes", [FULL, Attributes(), Attributes(content_type="a/b")], ids=["full", "none", "type"]
    )
    @contract("write", "attributes")
    async def test_attributes_come_back(self, backend: Backend, size: int, attributes: Attributes) -> None:
        info = await backend.put("key", sample(size), PutOptions(attributes=attributes))
        assert info.attributes == attributes
        assert (await backend.head("key")).attributes == attributes

    @contract("write", "attributes")
    async def test_attributes_are_as_large_as_8_kib(self, backend: Backend) -> None:
        large = Attributes(metadata={f"name-{number}": "ü" * 400 for number in range(10)})
        await backend.put("key", b"1", PutOptions(attributes=large))
        assert (await backend.head("key")).attributes == large

    @contract("write", "overwrite", "attributes")
    async def test_overwriting_replaces_attributes(self, backend: Backend) -> None:
        await backend.put("key", b"1", PutOptions(attributes=FULL))
        await backend.put("key", b"2", PutOptions(attributes=Attributes(metadata={"only": "this"})))
        assert (await backend.head("key")).attributes == Attributes(metadata={"only": "this"})
        await backend.put("key", b"3")
        assert (await backend.head("key")).attributes == Attributes()

    @contract("write", "delete", "attributes")
    async def test_attributes_go_with_their_object(self, backend: Backend) -> None:
        await backend.put("key", b"1", PutOptions(attributes=FULL))
        await backend.delete("key")
        await backend.put("key", b"1")
        assert (await backend.head("key")).attributes == Attributes()

    @contract("write", without="attributes")
    async def test_attributes_that_cannot_be_kept_are_refused(self, backend: Backend) -> None:
        with pytest.raises(REFUSED):
            await backend.put("key", b"1", PutOptions(attributes=FULL))
        with pytest.raises(REFUSED):
            await backend.uploads.begin("key", PutOptions(attributes=FULL))
        await unchanged(backend, "key", None)
        await backend.put("key", b"1")
        with pytest.raises(REFUSED):
            await backend.copy("key", "other", CopyOptions(attributes=FULL))
        await unchanged(backend, "other", None)


def _digests(data: bytes) -> dict[str, bytes]:
    return {
        "sha-256": hashlib.sha256(data).digest(),
        "sha-512": hashlib.sha512(data).digest(),
        "sha-1": hashlib.sha1(data, usedforsecurity=False).digest(),
        "md5": hashlib.md5(data, usedforsecurity=False).digest(),
        "crc32": zlib.crc32(data).to_bytes(4, "big"),
    }


class DigestTests(Suite):
    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @pytest.mark.parametrize("whole", [True, False])
    @contract("write", "digests")
    async def test_sha_256_is_always_known(self, backend: Backend, size: int, whole: bool) -> None:
        data = sample(size)
        info = await backend.put("key", data if whole else chunked(data))
        assert info.digests["sha-256"] == hashlib.sha256(data).digest()
        assert (await backend.head("key")).digests == info.digests

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write", "digests")
    async def test_digests_asked_for_are_kept(self, backend: Backend, size: int) -> None:
        data = sample(size)
        wanted = _digests(data)
        info = await backend.put("key", chunked(data), PutOptions(digests=frozenset(wanted)))
        assert info.digests == wanted
        assert (await backend.head("key")).digests == wanted

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write")
    async def test_a_body_with_its_announced_digest_is_stored(self, backend: Backend, size: int) -> None:
        data = sample(size)
        for algorithm, digest in _digests(data).items():
            await backend.put(algorithm, chunked(data), PutOptions(expected={algorithm: digest}))
            assert await read(backend, algorithm) == data

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @pytest.mark.parametrize("whole", [True, False])
    @contract("write", "overwrite")
    async def test_a_body_without_its_announced_digest_changes_nothing(
        self, backend: Backend, size: int, whole: bool
    ) -> None:
        data = sample(size)
        right = _digests(data)
        await backend.put("old", b"old")
        before = await found(backend, "old")
        for algorithm, digest in right.items():
            wrong = PutOptions(expected=right | {algorithm: digest[:-1] + bytes([digest[-1] ^ 1])})
            for key in ("old", "new"):
                with pytest.raises(DigestMismatch) as raised:
                    await backend.put(key, data if whole else chunked(data), wrong)
                assert raised.value.algorithm == algorithm
        await unchanged(backend, "new", None)
        await unchanged(backend, "old", before)

    @contract("write")
    async def test_an_unknown_algorithm_is_refused(self, backend: Backend) -> None:
        for options in (PutOptions(digests=frozenset({"crc7"})), PutOptions(expected={"crc7": b"1"})):
            with pytest.raises(InvalidDigest):
                await backend.put("key", b"1", options)
        await unchanged(backend, "key", None)

    @pytest.mark.parametrize(("size", "announced"), WRONG_SIZES)
    @pytest.mark.parametrize("whole", [True, False])
    @contract("write", "overwrite")
    async def test_a_body_of_another_size_than_announced_changes_nothing(
        self, backend: Backend, size: int, announced: int, whole: bool
    ) -> None:
        data = sample(size)
        before = None
        for key in ("new", "old"):
            with pytest.raises(IncompleteBody) as raised:
                await backend.put(key, data if whole else chunked(data), PutOptions(size=announced))
            assert raised.value.expected == announced
            await unchanged(backend, key, before)
            await backend.put("old", b"old")
            before = await found(backend, "old")

    @contract("write")
    async def test_a_body_that_does_not_end_is_given_up_at_its_announced_size(self, backend: Backend) -> None:
        with pytest.raises(IncompleteBody):
            await backend.put("key", _endless(), PutOptions(size=MIB))
        await unchanged(backend, "key", None)


def _same_but_key(one: ObjectInfo, other: ObjectInfo) -> bool:
    return (one.size, one.digests, one.attributes) == (other.size, other.digests, other.attributes)


class CopyTests(Suite):
    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write")
    async def test_a_copy_has_bytes_digests_and_attributes_of_its_source(self, backend: Backend, size: int) -> None:
        kept = FULL if backend.capabilities.attributes else Attributes()
        source = await backend.put("source", sample(size), PutOptions(attributes=kept))
        target = await backend.copy("source", "target")
        assert target.key == "target"
        assert _same_but_key(target, source)
        assert await found(backend, "target") == (target, sample(size))
        await unchanged(backend, "source", (source, sample(size)))

    @contract("write", "overwrite")
    async def test_a_copy_replaces_its_target(self, backend: Backend) -> None:
        await backend.put("source", sample(SMALL, 1))
        old = await backend.put("target", sample(LARGE, 2))
        new = await backend.copy("source", "target")
        assert await read(backend, "target") == sample(SMALL, 1)
        if backend.capabilities.attributes:
            assert new.created == old.created

    @contract("write", "attributes")
    async def test_a_copy_takes_the_attributes_given(self, backend: Backend) -> None:
        source = await backend.put("source", b"1", PutOptions(attributes=FULL))
        other = Attributes(content_type="image/png", metadata={"a": "b"})
        assert (await backend.copy("source", "target", CopyOptions(attributes=other))).attributes == other
        assert (await backend.copy("source", "bare", CopyOptions(attributes=Attributes()))).attributes == Attributes()
        assert await backend.head("source") == source

    @pytest.mark.parametrize("size", [0, SMALL, LARGE])
    @contract("write", "overwrite")
    async def test_an_object_is_copied_onto_itself(self, backend: Backend, size: int) -> None:
        before = await backend.put("key", sample(size))
        after = await backend.copy("key", "key")
        assert await found(backend, "key") == (after, sample(size))
        assert after.etag != before.etag
        if backend.capabilities.attributes:
            changed = await backend.copy("key", "key", CopyOptions(attributes=FULL))
            assert changed.attributes == FULL
            assert changed.created == before.created
            assert await found(backend, "key") == (changed, sample(size))

    @contract("write")
    async def test_an_absent_source_is_not_found_and_changes_nothing(self, backend: Backend) -> None:
        target = await backend.put("target", b"1")
        for name in ("target", "new"):
            with pytest.raises(NotFound) as raised:
                await backend.copy("absent", name)
            assert raised.value.key == "absent"
        await unchanged(backend, "target", (target, b"1"))
        await unchanged(backend, "new", None)

    @pytest.mark.parametrize("size", [SMALL, LARGE])
    @contract("write", "overwrite", "delete")
    async def test_copies_live_without_each_other(self, backend: Backend, size: int) -> None:
        await backend.put("a", sample(size))
        await backend.copy("a", "b")
        await backend.copy("b", "c")
        await backend.delete("a")
        await backend.put("b", b"other")
        assert await read(backend, "c") == sample(size)
        await backend.delete("b")
        assert await read(backend, "c") == sample(size)


class RefusalTests(Suite):
    @contract(without="write")
    async def test_an_undeclared_write_is_refused(self, backend: Backend) -> None:
        with pytest.raises(REFUSED):
            await backend.put("key", b"1")
        with pytest.raises(REFUSED):
            await backend.copy("key", "other")
        with pytest.raises(REFUSED):
            await backend.uploads.begin("key", PutOptions())
        with pytest.raises(ObjectStoreError):
            await backend.head("key")

    @contract("write", without="overwrite")
    async def test_an_undeclared_overwrite_is_refused(self, backend: Backend) -> None:
        before = await backend.put("key", b"1")
        await backend.put("other", b"2")
        with pytest.raises(REFUSED):
            await backend.put("key", b"3")
        with pytest.raises(REFUSED):
            await backend.copy("other", "key")
        await unchanged(backend, "key", (before, b"1"))

    @contract(without="delete")
    async def test_an_undeclared_delete_is_refused(self, backend: Backend) -> None:
        if backend.capabilities.write:
            await backend.put("key", b"1")
        with pytest.raises(REFUSED):
            await backend.delete("key")
        assert all(isinstance(one, REFUSED) for one in await backend.delete_many(["key", "other"]))
        if backend.capabilities.write:
            assert await read(backend, "key") == b"1"

    @contract(without="listing")
    async def test_an_undeclared_listing_is_refused(self, backend: Backend) -> None:
        with pytest.raises(REFUSED):
            await backend.list(ListQuery())
