"""Gzip and Zstandard: what others wrote is read, what we write others read, and damage is told."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import zstandard

from objectstore.backends.contract import Backend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.reading import chunks
from objectstore.errors import Corrupted
from objectstore.testing.suite.harness import chunked, read, sample
from objectstore.values import Bounded, From, Last, ListQuery, PutOptions
from objectstore.wrappers.gzipped import GzipDecoder, Gzipped
from objectstore.wrappers.pieces import PIECE
from objectstore.wrappers.transforming import Decoder, Transforming
from objectstore.wrappers.zstd import Zstd, ZstdDecoder
from wrappers.inner_stores import Streaming

BODY: Final = sample(3000)
LARGE: Final = sample(1_500_000) + bytes(700_000)


@dataclass(frozen=True)
class Kind:
    wrap: Callable[[Backend], Transforming]
    decoder: Callable[[], Decoder]
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]
    command: Sequence[str]


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


KINDS: Final = {
    "gzip": Kind(Gzipped, GzipDecoder, gzip.compress, gzip.decompress, ("gunzip", "-c")),
    "zstd": Kind(Zstd, ZstdDecoder, _zstd, _unzstd, ("zstd", "-d", "-c")),
}
both = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def decoded(decoder: Decoder, data: bytes, step: int) -> list[bytes]:
    pieces = [piece for at in range(0, len(data), step) for piece in decoder.feed(data[at : at + step])]
    last = decoder.finish()
    return [*pieces, last] if last else pieces


@both
def test_files_of_other_programs_are_objects(kind: Kind, tmp_path: Path) -> None:
    objects = {"empty": b"", "a/small": b"text", "a/large": LARGE}
    for key, body in objects.items():
        path = tmp_path / key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kind.compress(body))

    async def scenario() -> None:
        async with kind.wrap(FilesystemBackend(tmp_path)) as store:
            page = await store.list(ListQuery(details=True))
            assert {info.key: info.size for info in page.objects} == {key: len(body) for key, body in objects.items()}
            for key, body in objects.items():
                info = await store.head(key)
                assert (info.size, info.digests["sha-256"]) == (len(body), hashlib.sha256(body).digest())
                assert await read(store, key) == body
            assert await read(store, "a/large", Bounded(1_400_000, 1_600_000)) == LARGE[1_400_000:1_600_000]

    asyncio.run(scenario())


@both
def test_what_is_written_is_a_compressed_file(kind: Kind, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with kind.wrap(FilesystemBackend(tmp_path)) as store:
            for size in (0, 1, 70_000):
                await store.put(f"o/{size}", sample(size))
            upload = await store.uploads.begin("o/parts", PutOptions())
            parts = [await store.uploads.put_part(upload.upload_id, n, sample(9000, n), PutOptions()) for n in (1, 2)]
            await store.uploads.complete(upload.upload_id, [(part.number, part.etag) for part in parts])

    asyncio.run(scenario())
    for size in (0, 1, 70_000):
        assert kind.decompress((tmp_path / f"o/{size}").read_bytes()) == sample(size)
    assert kind.decompress((tmp_path / "o/parts").read_bytes()) == sample(9000, 1) + sample(9000, 2)
    if shutil.which(kind.command[0]) is None:
        pytest.skip(f"{kind.command[0]} is not installed")
    with (tmp_path / "o/70000").open("rb") as stored:
        told = subprocess.run(kind.command, stdin=stored, capture_output=True, check=True)
    assert told.stdout == sample(70_000)


@both
@pytest.mark.parametrize("step", [1, 2, 7, 5000])
def test_several_members_are_one_body(kind: Kind, step: int) -> None:
    data = kind.compress(BODY) + kind.compress(b"") + kind.compress(b"end")
    assert b"".join(decoded(kind.decoder(), data, step)) == BODY + b"end"


@both
@pytest.mark.parametrize("step", [1, 3, 5000])
def test_data_that_ends_early_is_damage_wherever_it_ends(kind: Kind, step: int) -> None:
    data = kind.compress(b"some text, some text")
    for end in range(len(data)):
        with pytest.raises(Corrupted):
            decoded(kind.decoder(), data[:end], step)
        # The same behind a whole member, except where that ends.
        if end:
            with pytest.raises(Corrupted):
                decoded(kind.decoder(), data + data[:end], step)


@both
@pytest.mark.parametrize("step", [1, 5000])
def test_something_else_behind_the_data_is_damage(kind: Kind, step: int) -> None:
    for garbage in (b"x", b"\0x", b"garbage", bytes(7) + b"garbage"):
        with pytest.raises(Corrupted):
            decoded(kind.decoder(), kind.compress(BODY) + garbage, step)


@pytest.mark.parametrize("step", [1, 64, 5000])
def test_zeros_behind_gzip_are_padding(step: int) -> None:
    data = gzip.compress(BODY) + bytes(300)
    assert b"".join(decoded(GzipDecoder(), data, step)) == BODY
    assert b"".join(decoded(GzipDecoder(), data + gzip.compress(b"more"), step)) == BODY + b"more"


@both
def test_a_changed_byte_never_gives_another_body(kind: Kind) -> None:
    data = bytearray(kind.compress(BODY[:300]) if kind.command[0] == "gunzip" else _checked_zstd(BODY[:300]))
    noticed = 0
    for at in range(len(data)):
        data[at] ^= 0x20
        try:
            assert b"".join(decoded(kind.decoder(), bytes(data), 64)) == BODY[:300]
        except Corrupted:
            noticed += 1
        data[at] ^= 0x20
    assert noticed > len(data) * 0.9


def _checked_zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _zstd_variants() -> Iterable[bytes]:
    for level in (1, 19):
        for size in (True, False):
            for checksum in (True, False):
                packer = zstandard.ZstdCompressor(level=level, write_content_size=size, write_checksum=checksum)
                for body in (b"", b"x", LARGE[-900_000:], bytes(300_000), sample(200_000)):
                    yield packer.compress(body)
    skippable = (0x184D2A53).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"12345"
    yield skippable + _zstd(b"text")
    yield _zstd(b"text") + skippable
    yield zstandard.ZstdCompressor().compressobj().flush()


@pytest.mark.parametrize("step", [11, 100_000])
def test_zstd_frames_of_any_kind_are_read_block_by_block(step: int) -> None:
    for data in _zstd_variants():
        expected = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        pieces = decoded(ZstdDecoder(), data, step)
        assert b"".join(pieces) == expected
        assert max(map(len, pieces), default=0) <= 128 * 1024


def test_a_zstd_frame_that_needs_a_dictionary_is_damage() -> None:
    trained = zstandard.train_dictionary(2000, [sample(300, seed) for seed in range(200)])
    with pytest.raises(Corrupted):
        decoded(ZstdDecoder(), zstandard.ZstdCompressor(dict_data=trained).compress(BODY), 1000)


@both
def test_a_bomb_is_decoded_in_small_pieces(kind: Kind) -> None:
    size = 40 * 1024 * 1024
    bomb = kind.compress(bytes(size))
    assert len(bomb) < 50_000

    async def scenario() -> None:
        async with kind.wrap(MemoryBackend({"bomb": bomb})) as store:
            assert (await store.head("bomb")).size == size
            async with store.get("bomb") as reading:
                lengths = [len(piece) async for piece in chunks(reading)]
            assert sum(lengths) == size
            assert max(lengths) < 2 * PIECE

    asyncio.run(scenario())


@both
@pytest.mark.parametrize("streaming", [True, False])
def test_damage_is_told_before_the_last_bytes_are_given_out(kind: Kind, streaming: bool) -> None:
    whole = kind.compress(LARGE)
    behind = whole + b"garbage"

    async def scenario() -> None:
        inner = MemoryBackend({"cut": whole[:-1], "behind": behind, "plain": b"not compressed", "empty": b""})
        async with kind.wrap(Streaming(inner) if streaming else inner) as store:
            for key in ("cut", "behind", "plain", "empty"):
                for call in (store.head(key), read(store, key), read(store, key, From(1))):
                    with pytest.raises(Corrupted, match=key):
                        await call

    asyncio.run(scenario())


@both
def test_damage_of_what_we_wrote_never_ends_as_a_whole_body(kind: Kind) -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with kind.wrap(inner) as store:
            for body in (b"text" * 10, LARGE):
                await store.put("key", body)
                noted = await inner.head("key")
                stored = bytearray(await read(inner, "key"))
                stored[-2] ^= 1
                await inner.put("key", bytes(stored), PutOptions(attributes=noted.attributes))
                assert (await store.head("key")).size == len(body)
                given = 0
                with pytest.raises(Corrupted):  # noqa: PT012  how much was given out counts
                    async with store.get("key") as reading:
                        async for piece in chunks(reading):
                            given += len(piece)
                assert given < len(body)

    asyncio.run(scenario())


@both
def test_ranges_are_cut_from_what_is_decoded(kind: Kind) -> None:
    async def scenario() -> None:
        inner = Streaming(MemoryBackend())
        async with kind.wrap(inner) as store:
            await store.put("key", chunked(LARGE))
            assert await read(store, "key", Bounded(10, 20)) == LARGE[10:20]
            assert inner.given < len(LARGE) // 3, "the rest is not read"
            assert await read(store, "key", Last(5)) == LARGE[-5:]
            assert await read(store, "key", From(300_000)) == LARGE[300_000:]

    asyncio.run(scenario())


def test_zstd_frames_have_a_checksum() -> None:
    async def scenario() -> None:
        inner = MemoryBackend()
        async with Zstd(inner) as store:
            await store.put("key", BODY)
        assert zstandard.get_frame_parameters(await read(inner, "key")).has_checksum

    asyncio.run(scenario())


def test_levels_of_gzip_are_those_of_zlib() -> None:
    async def stored(level: int) -> bytes:
        inner = MemoryBackend()
        async with Gzipped(inner, level) as store:
            await store.put("key", LARGE)
            return await read(inner, "key")

    sizes = [len(asyncio.run(stored(level))) for level in (0, 1, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] == len(zlib.compress(LARGE, 9, 31))
