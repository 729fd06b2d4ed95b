"""Archives of other programs open, whatever they are made of, and what we write is an archive to them."""

from __future__ import annotations

import os
import shutil
import struct
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backends.zip.zip_setting import all_keys, read, with_backend
from objectstore.backends.zip import ZipBackend
from objectstore.errors import ConfigurationError, Corrupted, InvalidKey, MethodNotAllowed, NotFound, Unsupported
from objectstore.values import Attributes, Bounded, FileSpan, GetOptions, Last, ListQuery, PutOptions

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
OBJECTS = {"a/b.txt": b"text", "empty": b"", "large": os.urandom(700_000), "é/😀": b"1", "../up": b"2", "/root": b"3"}
ATTRIBUTED = PutOptions(attributes=Attributes(content_type="text/plain", metadata={"colour": "blå"}))


def archive_of(path: Path, objects: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in objects.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6)), data, method)
    return path


def contents(path: Path) -> dict[str, bytes]:
    """What another program reads, which checks each CRC."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("method", METHODS)
def test_existing_archives_open_and_are_listed(tmp_path: Path, method: int) -> None:
    async def use(backend: ZipBackend) -> None:
        page = await backend.list(ListQuery(details=True))
        assert page.keys == tuple(sorted(OBJECTS, key=str.encode))
        for info in page.objects:
            assert await read(backend, info.key) == (info, OBJECTS[info.key])
            assert info == await backend.head(info.key)
            assert info.modified == datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
        for start, stop in ((0, 1), (1, 400_001), (300_000, 300_010), (699_000, 700_000)):
            assert (await read(backend, "large", Bounded(start, stop)))[1] == OBJECTS["large"][start:stop]
        assert (await read(backend, "large", Last(5)))[1] == OBJECTS["large"][-5:]

    path = archive_of(tmp_path / "archive.zip", OBJECTS, method)
    before = path.read_bytes()
    with_backend(path, use)
    assert path.read_bytes() == before


@pytest.mark.parametrize("existing", [True, False])
def test_what_is_written_is_an_archive_for_others(tmp_path: Path, *, existing: bool) -> None:
    async def use(backend: ZipBackend) -> None:
        for key, data in OBJECTS.items():
            await backend.put(key, data, ATTRIBUTED)
        await backend.copy("large", "copy")

    async def look(backend: ZipBackend) -> None:
        assert set(await all_keys(backend)) == set(wanted)
        info, data = await read(backend, "large")
        assert (data, info.attributes) == (OBJECTS["large"], ATTRIBUTED.attributes)
        assert "sha-256" in info.digests
        if existing:
            assert (await read(backend, "theirs"))[1] == b"theirs" * 100

    path = tmp_path / "archive.zip"
    wanted = OBJECTS | {"copy": OBJECTS["large"]}
    if existing:
        wanted |= {"theirs": b"theirs" * 100}
        archive_of(path, {"theirs": b"theirs" * 100}, zipfile.ZIP_DEFLATED)
    with_backend(path, use)
    assert contents(path) == wanted
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("large").compress_type == zipfile.ZIP_STORED
    # Others may go on adding, and so may we.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("added", b"by them")
    wanted |= {"added": b"by them"}
    with_backend(path, look)


def test_what_stands_around_the_entries_is_kept(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        await backend.put("ours", b"1")
        assert (await read(backend, "theirs"))[1] == b"0"

    path = archive_of(tmp_path / "archive.zip", {"theirs": b"0"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"a comment"
    plain = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\nexit\n" + plain)
    with_backend(path, use)
    assert path.read_bytes().startswith(b"#!/bin/sh\nexit\n")
    assert contents(path) == {"theirs": b"0", "ours": b"1"}
    with zipfile.ZipFile(path) as archive:
        assert archive.comment == b"a comment"


def test_an_archive_of_more_entries_than_16_bits_count_is_added_to(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        for number in range(3):
            await backend.put(f"ours/{number}", b"1")

    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(65_534):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    with_backend(path, use)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 65_537
        assert archive.read("ours/2") == b"1"


def test_entries_and_places_of_more_than_32_bits_can_be_told(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        await backend.put("behind", b"1")
        assert (await read(backend, "large", Bounded(2**32 + 5, 2**32 + 10)))[1] == bytes(5)
        assert (await read(backend, "behind"))[1] == b"1"

    path = tmp_path / "archive.zip"
    size = 2**32 + 10
    with path.open("wb") as file:
        # A file with a hole; its CRC is not looked at here.
        header = zipfile.ZipInfo("large")
        header.CRC, header.file_size, header.compress_size = 0, size, size
        file.write(header.FileHeader(zip64=True))
        file.seek(size, os.SEEK_CUR)
        start = file.tell()
        extra = struct.pack("<2H2Q", 1, 16, size, size)
        limits = 0xFFFFFFFF, 0xFFFFFFFF
        record = struct.pack("<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 33, 0, *limits, 5, len(extra), 0, 0, 0, 0, 0)
        file.write(record + b"large" + extra)
        end = file.tell()
        file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, end - start, start))
        file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, *limits, 0))
    with_backend(path, use)
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("large").file_size == size
        assert archive.read("behind") == b"1"


def test_folders_are_no_objects_and_of_one_name_the_last_counts(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        assert await all_keys(backend) == ["a/b", "twice"]
        assert (await read(backend, "twice"))[1] == b"second"
        with pytest.raises(NotFound):
            await backend.head("a/")
        with pytest.raises(InvalidKey, match="is a folder"):
            await backend.put("c/", b"")

    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("a")
        archive.writestr("a/b", b"")
        archive.writestr("twice", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("twice", b"second")
    with_backend(path, use)


def test_names_that_are_no_utf_8_are_read_as_code_page_437(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        assert await all_keys(backend) == ["Ünïx"]
        assert (await read(backend, "Ünïx"))[1] == b"1"

    path = archive_of(tmp_path / "archive.zip", {"_n_x": b"1"})
    path.write_bytes(path.read_bytes().replace(b"_n_x", "Ünïx".encode("cp437")))
    with_backend(path, use)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        assert await all_keys(backend) == ["encrypted", "strange"]
        for key, reason in (("encrypted", "is encrypted"), ("strange", "method 97")):
            assert (await backend.head(key)).size == 4
            with pytest.raises(Unsupported, match=reason):
                await read(backend, key)

    path = archive_of(tmp_path / "archive.zip", {"encrypted": b"1234", "strange": b"1234"})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\1\2")
    data[at + 8] |= 1
    data[data.index(b"PK\1\2", at + 1) + 10] = 97
    path.write_bytes(data)
    with_backend(path, use)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [100, 700_000])
def test_damage_is_told_before_the_last_bytes(tmp_path: Path, method: int, size: int) -> None:
    async def use(backend: ZipBackend) -> None:
        with pytest.raises(Corrupted):
            await read(backend, "damaged")
        assert (await read(backend, "whole"))[1] == b"1"

    body = os.urandom(size)
    path = archive_of(tmp_path / "archive.zip", {"damaged": body, "whole": b"1"}, method)
    with zipfile.ZipFile(path) as archive:
        middle = archive.getinfo("damaged").compress_size // 2
    data = bytearray(path.read_bytes())
    data[30 + len("damaged") + middle] ^= 1
    path.write_bytes(data)
    with_backend(path, use)


def test_an_entry_that_is_not_where_it_should_be_is_damaged(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        with pytest.raises(Corrupted, match="not where"):
            await read(backend, "a")

    path = archive_of(tmp_path / "archive.zip", {"a": b"1"})
    path.write_bytes(b"XX" + path.read_bytes()[2:])
    with_backend(path, use)


def test_a_record_that_fits_another_entry_is_not_believed(tmp_path: Path) -> None:
    async def fill(backend: ZipBackend) -> None:
        await backend.put("key", b"ours", ATTRIBUTED)

    async def look(backend: ZipBackend) -> None:
        info, data = await read(backend, "key")
        assert (data, info.attributes, info.digests) == (b"them", Attributes(), {})

    path = tmp_path / "archive.zip"
    with_backend(path, fill)
    # As a program that replaces the bytes of an entry, and keeps what it does not know.
    old, new = (struct.pack("<L", zlib.crc32(data)) for data in (b"ours", b"them"))
    path.write_bytes(path.read_bytes().replace(b"ours", b"them").replace(old, new))
    with_backend(path, look)


def test_overwriting_and_deleting_are_refused_with_a_reason(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        for refused in (backend.put("key", b"2"), backend.copy("other", "key"), backend.delete("key")):
            with pytest.raises(MethodNotAllowed, match="entries are only ever added") as raised:
                await refused
            assert raised.value.allowed == ("GET", "HEAD")
        upload = await backend.uploads.begin("key", PutOptions())
        part = await backend.uploads.put_part(upload.upload_id, 1, b"3", PutOptions())
        with pytest.raises(MethodNotAllowed):
            await backend.uploads.complete(upload.upload_id, [(1, part.etag)])

    path = archive_of(tmp_path / "archive.zip", {"key": b"1", "other": b""})
    before = path.read_bytes()
    with_backend(path, use)
    assert path.read_bytes() == before


def test_a_range_of_a_large_stored_entry_is_a_span_of_the_file(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        async with backend.get("large", GetOptions(range=Bounded(1, 600_000))) as reading:
            assert isinstance(reading.content, FileSpan)

    with_backend(archive_of(tmp_path / "archive.zip", OBJECTS), use)


def test_a_new_archive_in_its_place_is_seen_and_open_readings_keep_theirs(tmp_path: Path) -> None:
    async def use(backend: ZipBackend) -> None:
        async with backend.get("key", GetOptions(range=Bounded(0, 100_000))) as reading:
            assert isinstance(reading.content, FileSpan)
            other.replace(path)
            assert await all_keys(backend) == ["other"]
            assert os.pread(reading.content.fd, 4, reading.content.start) == b"oldo"
        await backend.put("added", b"1")
        path.write_bytes(b"no archive")
        with pytest.raises(Corrupted, match="cannot be read any more"):
            await backend.head("other")

    path = archive_of(tmp_path / "archive.zip", {"key": b"old" * 100_000})
    other = archive_of(tmp_path / "other.zip", {"other": b"new"})
    with_backend(path, use)


@pytest.mark.parametrize("name", ["file", "folder", "missing/archive.zip"])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str) -> None:
    async def use(backend: ZipBackend) -> None:
        raise AssertionError(f"opened {backend}")

    (tmp_path / "file").write_bytes(b"plain text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match="ZipStore cannot use the file"):
        with_backend(tmp_path / name, use)
    assert (tmp_path / "file").read_bytes() == b"plain text"


@pytest.mark.skipif(shutil.which("unzip") is None, reason="needs unzip")
def test_unzip_finds_nothing_wrong(tmp_path: Path) -> None:
    import subprocess

    async def use(backend: ZipBackend) -> None:
        for key in ("a/b.txt", "empty", "large"):
            await backend.put(key, OBJECTS[key], ATTRIBUTED)

    with_backend(tmp_path / "archive.zip", use)
    done = subprocess.run(["unzip", "-tq", tmp_path / "archive.zip"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
