"""Objects are plain files, plain files are objects, and neither is taken for what it no longer is."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.filesystem.filesystem_setting import ATTRIBUTED, HIDDEN, all_keys, files_under, read, with_backend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.errors import ConfigurationError, InvalidMetadata, NotFound
from objectstore.values import NO_ATTRIBUTES, Attributes, CopyOptions, FileSpan, Inline, ListQuery, PutOptions

kept_either_way = pytest.mark.parametrize("carry", [True, False], ids=["carried", "sidecar"])


@kept_either_way
def test_an_object_is_a_plain_file_with_nothing_but_its_bytes(tmp_path: Path, *, carry: bool) -> None:
    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a/b.txt", b"hello", ATTRIBUTED)

    with_backend(tmp_path, use, carry_records=carry)
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"hello"
    assert [path.name for path in tmp_path.iterdir() if path.name != HIDDEN] == ["a"]


@kept_either_way
def test_everything_said_of_an_object_is_there_after_reopening(tmp_path: Path, *, carry: bool) -> None:
    async def write(backend: FilesystemBackend) -> object:
        return await backend.put("a", b"hello", ATTRIBUTED)

    async def look(backend: FilesystemBackend) -> object:
        return (await backend.head("a"), *(await backend.list(ListQuery(details=True))).objects)

    put = with_backend(tmp_path, write, carry_records=carry)
    # Where a record is kept is not asked when it is looked for.
    assert with_backend(tmp_path, look, carry_records=not carry) == (put, put)


def test_attributes_too_large_for_the_file_go_into_a_sidecar(tmp_path: Path) -> None:
    large = PutOptions(attributes=Attributes(metadata={"large": "x" * 8000}))

    async def use(backend: FilesystemBackend) -> None:
        put = await backend.put("a", b"1", large)
        assert await backend.head("a") == put
        again = await backend.put("a", b"2", ATTRIBUTED)
        assert await backend.head("a") == again

    with_backend(tmp_path, use)


def test_a_file_of_another_program_is_an_object(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "theirs").write_bytes(b"theirs")
    os.utime(tmp_path / "x" / "theirs", ns=(0, 1_000_000_000_123_456_789))

    async def use(backend: FilesystemBackend) -> None:
        (tmp_path / "later").write_bytes(b"while we run")
        assert await all_keys(backend) == ["later", "x/theirs"]
        info, data = await read(backend, "x/theirs")
        assert data == b"theirs"
        assert (info.size, info.attributes, dict(info.digests)) == (6, NO_ATTRIBUTES, {})
        assert info.modified == info.created == datetime(2001, 9, 9, 1, 46, 40, 123456, tzinfo=UTC)
        assert (await read(backend, "later"))[1] == b"while we run"
        assert await backend.head("x/theirs") == info

    with_backend(tmp_path, use)


def test_a_time_beyond_the_calendar_does_not_hide_a_file(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    os.utime(tmp_path / "old", ns=(0, -(2**33) * 10**9))
    (tmp_path / "new").write_bytes(b"")
    os.utime(tmp_path / "new", ns=(0, 15 * 10**18 // 1000 * 1000 // 2))

    async def use(backend: FilesystemBackend) -> None:
        assert len((await backend.list(ListQuery(details=True))).objects) == 2

    with_backend(tmp_path, use)


@kept_either_way
@pytest.mark.parametrize("change", ["replaced", "edited", "appended to"])
def test_what_another_program_changed_keeps_no_attributes_and_gets_another_etag(
    tmp_path: Path, change: str, *, carry: bool
) -> None:
    file = tmp_path / "a"

    async def use(backend: FilesystemBackend) -> None:
        ours = await backend.put("a", b"ours!", ATTRIBUTED)
        if change == "replaced":
            (tmp_path / "other").write_bytes(b"their")
            (tmp_path / "other").rename(file)
        elif change == "edited":
            with file.open("r+b") as opened:
                opened.write(b"their")
        else:
            with file.open("ab") as opened:
                opened.write(b"their")
        info, data = await read(backend, "a")
        assert data == file.read_bytes()
        assert b"their" in data
        assert info.etag != ours.etag
        assert (info.attributes, dict(info.digests)) == (NO_ATTRIBUTES, {})
        again = await backend.put("a", b"ours again", ATTRIBUTED)
        assert await backend.head("a") == again

    with_backend(tmp_path, use, carry_records=carry)


@kept_either_way
def test_what_another_program_removed_is_gone_and_leaves_nothing_to_its_successor(
    tmp_path: Path, *, carry: bool
) -> None:
    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a", b"ours", ATTRIBUTED)
        (tmp_path / "a").unlink()
        with pytest.raises(NotFound):
            await backend.head("a")
        (tmp_path / "a").write_bytes(b"them")
        assert (await backend.head("a")).attributes == NO_ATTRIBUTES

    with_backend(tmp_path, use, carry_records=carry)


@kept_either_way
def test_a_store_that_is_copied_to_another_place_loses_nothing(tmp_path: Path, *, carry: bool) -> None:
    async def write(backend: FilesystemBackend) -> object:
        return await backend.put("a/b", b"hello", ATTRIBUTED)

    async def look(backend: FilesystemBackend) -> object:
        return await backend.head("a/b")

    put = with_backend(tmp_path / "one", write, carry_records=carry)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert with_backend(tmp_path / "two", look, carry_records=carry) == put


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python gives no access to extended attributes here")
@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"size":5,"mtime_ns":MTIME,"inode":1,"etag":"e","created":0,"digests":{},"attributes":{"content_type":"\\r\\n"}}',
        b'{"size":5,"mtime_ns":MTIME,"inode":1,"etag":"\\r\\nSet-Cookie: a=b","created":0,"digests":{}}',
        b'{"size":5,"mtime_ns":MTIME,"inode":1,"etag":"e","created":1e300,"digests":{}}',
    ],
)
def test_a_record_that_we_would_not_have_written_is_not_believed(tmp_path: Path, told: bytes) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello")
    os.utime(file, ns=(1, 1_700_000_000_000_000_001))
    mtime = str(file.stat().st_mtime_ns).encode()
    try:
        os.setxattr(file, "user.objectstore", told.replace(b"MTIME", mtime))
    except OSError:
        pytest.skip("the file system of the tests has no extended attributes")

    async def use(backend: FilesystemBackend) -> None:
        info = await backend.head("a")
        assert (len(info.etag), info.attributes) == (32, NO_ATTRIBUTES)

    with_backend(tmp_path, use)


def test_attributes_that_would_not_be_believed_later_are_refused_now(tmp_path: Path) -> None:
    forged = Attributes(content_type="text/html\r\nSet-Cookie: a=b")

    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a", b"1")
        for refused in (
            backend.put("b", b"1", PutOptions(attributes=forged)),
            backend.copy("a", "b", CopyOptions(attributes=forged)),
        ):
            with pytest.raises(InvalidMetadata):
                await refused
        assert await all_keys(backend) == ["a"]

    with_backend(tmp_path, use)


@kept_either_way
def test_a_copy_is_independent_of_its_source_and_as_well_described(tmp_path: Path, *, carry: bool) -> None:
    data = os.urandom(300_000)

    async def use(backend: FilesystemBackend) -> None:
        ours = await backend.put("ours", data, ATTRIBUTED)
        copied = await backend.copy("ours", "deep/er/copy")
        assert (copied.digests, copied.attributes) == (ours.digests, ours.attributes)
        await backend.put("ours", b"overwritten")
        assert await read(backend, "deep/er/copy") == (copied, data)

    with_backend(tmp_path, use, carry_records=carry)


def test_a_copy_of_a_file_of_another_program_gets_digests(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "theirs").write_bytes(data)

    async def use(backend: FilesystemBackend) -> None:
        given = Attributes(content_type="image/png")
        copied = await backend.copy("theirs", "ours", CopyOptions(attributes=given))
        assert copied.attributes == given
        assert copied.digests["sha-256"] == hashlib.sha256(data).digest()
        assert (await read(backend, "ours"))[1] == data

    with_backend(tmp_path, use)


def test_small_objects_come_in_hand_and_large_ones_as_a_file_that_outlives_its_name(tmp_path: Path) -> None:
    data = os.urandom(200_000)

    async def use(backend: FilesystemBackend) -> None:
        await backend.put("small", data[:1000])
        await backend.put("large", data)
        async with backend.get("small") as reading:
            assert reading.content == Inline(data[:1000])
        async with backend.get("large") as reading:
            await backend.delete("large")
            assert isinstance(reading.content, FileSpan)
            assert os.pread(reading.content.fd, len(data), 0) == data

    with_backend(tmp_path, use)


@kept_either_way
def test_removing_an_object_removes_what_was_kept_beside_it_and_the_folders_it_leaves_empty(
    tmp_path: Path, *, carry: bool
) -> None:
    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a/b/c/d", b"1", ATTRIBUTED)
        await backend.put("a/other", b"2")
        await backend.delete("a/b/c/d")
        assert files_under(tmp_path / "a") == ["other"]
        assert not (tmp_path / "a" / "b").exists()
        await backend.delete("a/other")

    with_backend(tmp_path, use, carry_records=carry)
    assert files_under(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == [HIDDEN]


def test_many_are_removed_at_once_and_each_says_what_became_of_it(tmp_path: Path) -> None:
    keys = [f"{number % 7}/{number}" for number in range(150)]

    async def use(backend: FilesystemBackend) -> None:
        for key in keys[::2]:
            await backend.put(key, b"")
        results = await backend.delete_many([*keys, "a//b"])
        assert [result is None for result in results[:150]] == [True, False] * 75
        assert all(isinstance(result, NotFound) for result in results[1:150:2])
        assert await all_keys(backend) == []

    with_backend(tmp_path, use)


def test_the_root_decides_who_may_read(tmp_path: Path) -> None:
    async def use(backend: FilesystemBackend) -> None:
        await backend.put("a/b", b"")

    umask = os.umask(0o022)
    try:
        (tmp_path / "shared").mkdir(mode=0o755)
        for root in (tmp_path / "private", tmp_path / "shared"):
            with_backend(root, use)
    finally:
        os.umask(umask)

    def modes(root: Path, *names: str) -> list[str]:
        return [oct(stat.S_IMODE((root / name).stat().st_mode)) for name in names]

    assert modes(tmp_path / "private", "", "a", "a/b", HIDDEN) == ["0o700", "0o700", "0o600", "0o700"]
    assert modes(tmp_path / "shared", "", "a", "a/b", HIDDEN) == ["0o755", "0o755", "0o644", "0o700"]


@kept_either_way
def test_times_are_those_of_the_clock_even_when_it_stands_still(tmp_path: Path, *, carry: bool) -> None:
    noon = datetime(2020, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)

    async def run() -> None:
        async with FilesystemBackend(tmp_path, clock=lambda: noon, carry_records=carry) as backend:
            for data in (b"one", b"two"):
                put = await backend.put("a", data, ATTRIBUTED)
                assert (put.created, put.modified) == (noon, noon)
                assert await read(backend, "a") == (put, data)

    asyncio.run(run())


def test_a_root_that_is_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    async def use(backend: FilesystemBackend) -> None:
        raise AssertionError(backend)

    with pytest.raises(ConfigurationError, match=r"file'.*has to be a folder"):
        with_backend(tmp_path / "file", use)


@pytest.mark.parametrize("twin", ["CASE", "form-e\u0301"])
def test_a_file_system_that_takes_two_names_for_one_is_refused(tmp_path: Path, twin: str) -> None:
    # The twin of the probe's name is there, as it would be where both mean the same file.
    (tmp_path / HIDDEN).mkdir()
    (tmp_path / HIDDEN / twin).write_bytes(b"")

    async def use(backend: FilesystemBackend) -> None:
        raise AssertionError(backend)

    with pytest.raises(ConfigurationError, match="minds case and spelling"):
        with_backend(tmp_path, use)
