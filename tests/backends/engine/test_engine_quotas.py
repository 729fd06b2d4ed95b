"""What is under a prefix is counted exactly, and no quota is ever exceeded, however many write at once."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from backends.engine.scenes import (
    HUGE,
    LARGE,
    SMALL,
    assert_sound,
    blob_files,
    in_child,
    index_rows,
    named_blobs,
    stream,
)
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.errors import InvalidPart, NotFound, PreconditionFailed, QuotaExceeded, StorageFull, UploadNotFound
from objectstore.values import (
    ONLY_IF_ABSENT,
    CompleteOptions,
    CopyOptions,
    ListQuery,
    PutOptions,
    Quota,
    Usage,
)

T = TypeVar("T")
PREFIXES = ("", "a", "a/", "a/b/", "é", "nothing")
KEYS = ("a", "a/x", "a/b", "a/b/1", "a/b/2", "ab", "é1", "z")
PLAIN = PutOptions()


def do(root: Path, act: Callable[[EngineBackend], Awaitable[T]]) -> T:
    async def run() -> T:
        async with EngineBackend(root) as backend:
            return await act(backend)

    return asyncio.run(run())


def usage(prefix: str, objects: int, size: int, parts_size: int = 0) -> Usage:
    return Usage(prefix=prefix, objects=objects, size=size, parts_size=parts_size)


async def counted(backend: EngineBackend, prefix: str) -> Usage:
    (found,) = await backend.usage([prefix])
    return found


async def _by_hand(backend: EngineBackend, prefix: str) -> Usage:
    page = await backend.list(ListQuery(prefix=prefix, limit=1000, details=True))
    waiting = 0
    for upload in (await backend.uploads.list(prefix=prefix)).uploads:
        waiting += sum(part.size for part in (await backend.uploads.get(upload.upload_id)).parts)
    return usage(prefix, len(page.keys), sum(info.size for info in page.objects), waiting)


async def _change(backend: EngineBackend, choice: random.Random) -> None:
    """Some change, or an attempt at one."""
    key, other = choice.choice(KEYS), choice.choice(KEYS)
    body = choice.choice([b"", SMALL, LARGE])
    uploads = (await backend.uploads.list()).uploads
    try:
        match choice.randrange(9):
            case 0 | 1:
                await backend.put(key, body)
            case 2:
                await backend.put(key, body, PutOptions(conditions=ONLY_IF_ABSENT))
            case 3:
                await backend.delete(key)
            case 4:
                await backend.delete_many([key, other, key])
            case 5:
                await backend.copy(key, other)
            case 6:
                upload = await backend.uploads.begin(key, PLAIN)
                await backend.uploads.put_part(upload.upload_id, 1, body, PLAIN)
            case 7 if uploads:
                upload = await backend.uploads.get(choice.choice(uploads).upload_id)
                await backend.uploads.put_part(upload.upload_id, choice.randint(1, 2), stream(body), PLAIN)
                upload = await backend.uploads.get(upload.upload_id)
                await backend.uploads.complete(upload.upload_id, [(one.number, one.etag) for one in upload.parts[:1]])
            case 8 if uploads:
                if choice.random() < 0.1:
                    await backend.uploads.expire(datetime.now(UTC) + timedelta(days=1))
                else:
                    await backend.uploads.abort(choice.choice(uploads).upload_id)
            case _:
                pass
    except (NotFound, PreconditionFailed, UploadNotFound, InvalidPart):
        pass


@pytest.mark.parametrize("seed", range(4))
def test_the_counters_are_what_is_there(seed: int, tmp_path: Path) -> None:
    choice = random.Random(seed)  # noqa: S311  not for secrets

    async def run(backend: EngineBackend) -> None:
        for turn in range(12):
            # Several at a time, so that some share a transaction; prefixes come to be counted in between.
            known = PREFIXES[: 1 + turn // 2]
            await asyncio.gather(*(_change(backend, choice) for _ in range(5)), backend.usage(known))
            assert list(await backend.usage(known)) == [await _by_hand(backend, prefix) for prefix in known]

    do(tmp_path, run)
    assert_sound(tmp_path)
    assert len(index_rows(tmp_path, "SELECT * FROM usage")) == len(PREFIXES)


def test_nothing_is_counted_without_a_quota(tmp_path: Path) -> None:
    async def run(backend: EngineBackend) -> None:
        await backend.put("a", SMALL)
        await backend.copy("a", "b")
        await backend.delete("a")

    do(tmp_path, run)
    assert index_rows(tmp_path, "SELECT * FROM usage") == index_rows(tmp_path, "SELECT * FROM usage_sequence") == []


BODIES = {"small": b"x" * 60, "large": LARGE, "huge": HUGE}


@pytest.mark.parametrize("size", BODIES)
@pytest.mark.parametrize("how", ["bytes", "stream", "announced stream"])
def test_what_exceeds_a_quota_leaves_nothing(size: str, how: str, tmp_path: Path) -> None:
    body = BODIES[size]
    quota = Quota(prefix="a/", size=2 * len(body) - 1)

    async def put(backend: EngineBackend, key: str) -> None:
        announced = len(body) if how == "announced stream" else None
        options = PutOptions(quota=quota, size=announced)
        await backend.put(key, body if how == "bytes" else stream(body), options)

    async def run(backend: EngineBackend) -> None:
        await backend.put("other", body)
        await put(backend, "a/1")
        await put(backend, "a/1")  # the same again is no more
        with pytest.raises(QuotaExceeded) as caught:
            await put(backend, "a/2")
        error = caught.value
        assert (error.prefix, error.resource, error.limit, error.used) == ("a/", "bytes", 2 * len(body) - 1, len(body))
        assert isinstance(error, StorageFull)
        with pytest.raises(QuotaExceeded):
            await backend.copy("other", "a/2", CopyOptions(quota=quota))
        assert await counted(backend, "a/") == usage("a/", 1, len(body))
        await backend.copy("a/1", "elsewhere")
        await backend.delete("a/1")
        await backend.copy("other", "a/2", CopyOptions(quota=quota))
        assert await counted(backend, "a/") == usage("a/", 1, len(body))

    do(tmp_path, run)
    assert blob_files(tmp_path) == named_blobs(tmp_path) | set(_garbage(tmp_path))
    assert_sound(tmp_path)


def _garbage(root: Path) -> list[str]:
    return [str(blob) for (blob,) in index_rows(root, "SELECT blob FROM garbage")]


def test_a_body_that_is_too_long_is_cut_off_early(tmp_path: Path) -> None:
    sent = 0

    async def run(backend: EngineBackend) -> None:
        nonlocal sent
        await backend.usage([""])

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield bytes(64 * 1024)

        with pytest.raises(QuotaExceeded):
            await backend.put("key", body(), PutOptions(quota=Quota(prefix="", size=1024 * 1024)))

    do(tmp_path, run)
    assert sent == 17
    assert blob_files(tmp_path) == set()


def test_a_number_of_objects_is_a_quota_too(tmp_path: Path) -> None:
    quota = Quota(prefix="", objects=2)

    async def run(backend: EngineBackend) -> None:
        options = PutOptions(quota=quota)
        await backend.put("1", b"", options)
        await backend.put("2", SMALL, options)
        await backend.put("2", LARGE, options)
        for act in (
            backend.put("3", b"", options),
            backend.put("3", LARGE, options),
            backend.copy("1", "3", CopyOptions(quota=quota)),
            backend.uploads.begin("3", options),
        ):
            with pytest.raises(QuotaExceeded, match="2 objects in this store"):
                await act
        upload = await backend.uploads.begin("3", PLAIN)
        part = await backend.uploads.put_part(upload.upload_id, 1, SMALL, options)
        named = [(1, part.etag)]
        with pytest.raises(QuotaExceeded):
            await backend.uploads.complete(upload.upload_id, named, CompleteOptions(quota=quota))
        await backend.delete("1")
        await backend.uploads.complete(upload.upload_id, named, CompleteOptions(quota=quota))
        assert await counted(backend, "") == usage("", 2, len(LARGE) + len(SMALL))

    do(tmp_path, run)


def test_parts_count_until_their_upload_ends(tmp_path: Path) -> None:
    quota = Quota(prefix="a/", size=1000)
    options = PutOptions(quota=quota)

    async def run(backend: EngineBackend) -> None:
        uploads = backend.uploads
        with pytest.raises(QuotaExceeded):
            await uploads.begin("a/1", PutOptions(quota=quota, size=1001))
        upload_id = (await uploads.begin("a/1", options)).upload_id
        other_id = (await uploads.begin("a/2", options)).upload_id
        one = await uploads.put_part(upload_id, 1, bytes(400), options)
        two = await uploads.put_part(upload_id, 2, stream(bytes(300)), options)
        assert await counted(backend, "a/") == usage("a/", 0, 0, 700)
        with pytest.raises(QuotaExceeded):
            await uploads.put_part(other_id, 1, bytes(301), options)
        with pytest.raises(QuotaExceeded):
            await backend.put("a/3", bytes(301), options)
        two = await uploads.put_part(upload_id, 2, bytes(600), options)  # instead of the 300
        info = await uploads.complete(upload_id, [(1, one.etag), (2, two.etag)], CompleteOptions(quota=quota))
        assert await counted(backend, "a/") == usage("a/", 1, 1000, 0)
        # Again, which changes nothing.
        assert await uploads.complete(upload_id, [(1, one.etag)], CompleteOptions(quota=quota)) == info
        await backend.delete("a/1")
        await uploads.put_part(other_id, 1, bytes(1000), options)
        await uploads.abort(other_id)
        assert await counted(backend, "a/") == usage("a/", 0, 0, 0)

    do(tmp_path, run)


def test_who_is_over_a_lowered_quota_may_still_shrink(tmp_path: Path) -> None:
    async def run(backend: EngineBackend) -> None:
        await backend.put("key", bytes(1000))
        quota = Quota(prefix="", size=10, objects=0)
        await backend.put("key", bytes(1000), PutOptions(quota=quota))
        await backend.put("key", bytes(900), PutOptions(quota=quota))
        with pytest.raises(QuotaExceeded):
            await backend.put("key", bytes(901), PutOptions(quota=quota))

    do(tmp_path, run)


def test_many_writers_in_several_processes_do_not_exceed_a_quota(tmp_path: Path) -> None:
    quota = Quota(prefix="a/", size=40 * len(LARGE) // 2, objects=15)

    async def write(name: str) -> int:
        async with EngineBackend(tmp_path) as backend:

            async def one(number: int) -> bool:
                body = LARGE if number % 3 else b"x" * (len(LARGE) // 10)
                try:
                    await backend.put(f"a/{name}/{number}", body, PutOptions(quota=quota))
                except QuotaExceeded:
                    return False
                return True

            return sum(await asyncio.gather(*(one(number) for number in range(30))))

    async def all_of_them() -> int:
        def run(name: str) -> int:
            code, said = in_child(lambda say: _say(say, asyncio.run(write(name))))
            assert code == 0
            return int(said)

        return sum(await asyncio.gather(*(asyncio.to_thread(run, name) for name in "bcd")))

    do(tmp_path, lambda backend: backend.usage([]))
    written = asyncio.run(all_of_them())
    found = do(tmp_path, lambda backend: counted(backend, "a/"))
    assert found == do(tmp_path, lambda backend: _by_hand(backend, "a/"))
    assert found.objects == written == 15
    assert found.size <= (quota.size or 0)
    assert_sound(tmp_path)


def _say(say: int, number: int) -> None:
    os.write(say, str(number).encode())


def _execute(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / "index.sqlite3")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_what_a_release_without_quotas_wrote_is_counted_anew(tmp_path: Path) -> None:
    async def fill(backend: EngineBackend) -> None:
        for key in ("a/1", "a/2"):
            await backend.put(key, SMALL)
        await backend.usage(["a/"])

    do(tmp_path, fill)
    behind_its_back = ("DELETE FROM objects WHERE key = 'a/1'", "UPDATE sequence SET last = last + 1")
    _execute(tmp_path, *behind_its_back)
    assert [finding.kind for finding in check(tmp_path)] == ["orphan-body"]
    assert do(tmp_path, lambda backend: counted(backend, "a/")) == usage("a/", 1, len(SMALL))
    _execute(tmp_path, "UPDATE sequence SET last = last + 1", "UPDATE usage SET size = 999")

    async def put(backend: EngineBackend) -> Usage:
        await backend.put("a/3", SMALL, PutOptions(quota=Quota(prefix="a/", size=2 * len(SMALL))))
        return await counted(backend, "a/")

    assert do(tmp_path, put) == usage("a/", 2, 2 * len(SMALL))


def test_wrong_counters_are_found_and_mended(tmp_path: Path) -> None:
    async def fill(backend: EngineBackend) -> None:
        await backend.put("a/1", SMALL)
        await backend.usage(["", "a/"])

    do(tmp_path, fill)
    assert list(check(tmp_path)) == []
    _execute(tmp_path, "UPDATE usage SET objects = 7 WHERE prefix = 'a/'")
    (finding,) = check(tmp_path)
    assert (finding.kind, finding.name, finding.lost) == ("wrong-usage", "a/", False)
    assert [one.repaired for one in check(tmp_path, repair=True)] == [True]
    assert list(check(tmp_path)) == []
    assert do(tmp_path, lambda backend: counted(backend, "a/")) == usage("a/", 1, len(SMALL))
    assert list(check(tmp_path)) == []


def test_an_older_data_directory_learns_to_count(tmp_path: Path) -> None:
    root = Path(shutil.copytree(Path(__file__).parent / "golden" / "1" / "data", tmp_path / "data"))
    assert list(check(root, deep=True)) == []
    found = do(root, lambda backend: counted(backend, "folder/"))
    assert found == do(root, lambda backend: _by_hand(backend, "folder/"))
    assert found.objects == 2
