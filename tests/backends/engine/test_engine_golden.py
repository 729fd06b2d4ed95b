"""A data directory of each released format is still read, and goes on."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.engine.scenes import Contents, contents, read
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.check import check
from objectstore.values import Attributes

GOLDEN = Path(__file__).parent / "golden"
LARGE = bytes(range(250)) * 8
SMALL = b"a small body"


@pytest.fixture(params=sorted(path.name for path in GOLDEN.iterdir()))
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / "data"))


async def _look(backend: EngineBackend) -> None:
    found: Contents = await contents(backend)
    assert found.objects == {
        "completed": b"of parts",
        "empty": b"",
        "folder/copy": LARGE,
        "folder/größe 😀": "größe".encode(),
        "large": LARGE,
        "small": SMALL,
    }
    small = await backend.head("small")
    assert small.attributes == Attributes(content_type="text/plain", metadata={"of": "mine"})
    assert set(small.digests) == {"sha-256", "md5", "crc32"}
    assert small.created == small.modified == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=2)
    assert (await backend.head("large")).etag == "chosen"


async def _go_on(backend: EngineBackend) -> None:
    (upload,) = (await backend.uploads.list()).uploads
    parts = (await backend.uploads.get(upload.upload_id)).parts
    info = await backend.uploads.complete(upload.upload_id, [(part.number, part.etag) for part in parts])
    assert info.attributes == Attributes(cache_control="no-store")
    assert await read(backend, "upload") == LARGE + SMALL
    await backend.put("large", SMALL)
    await backend.delete("folder/copy")
    await backend.collect_garbage()


def test_it_is_read_and_goes_on(root: Path) -> None:
    async def run() -> None:
        async with EngineBackend(root, grace=timedelta(0)) as backend:
            await _look(backend)
            await _go_on(backend)

    assert list(check(root, deep=True)) == []
    asyncio.run(run())
    assert list(check(root, deep=True)) == []
