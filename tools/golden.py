"""Write what the present code keeps on disk, for the tests to open ever after: run before a release that changes it.

    python -m tools.golden NAME

makes `tests/backends/engine/golden/NAME`: `data`, a data directory as a killed server leaves it; `backup`, a backup of
it; and `contents.json`, which says what is in both. `tests/backends/engine/test_engine_golden.py` opens all of them,
and fails when the schema of the index or a version is one that none of them has.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from objectstore import __version__
from objectstore.auth import document
from objectstore.auth.linksecret import FILE_NAME, LinkSecret
from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile
from objectstore.backends import reading
from objectstore.backends.engine import backup, backupset, directory, schema, scrubstate, steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.scrub import Scrub
from objectstore.values import Attributes, CopyOptions, ListQuery, PutOptions
from objectstore.wire.records import record

GOLDEN: Final = Path(__file__).parent.parent / "tests" / "backends" / "engine" / "golden"
CONTENTS: Final = "contents.json"
_INLINE: Final = 1024  # bytes; little, so that small files will do
_LARGE: Final = bytes(range(250)) * 8
_PLAIN: Final = PutOptions()
_DIGESTS: Final[frozenset[str]] = frozenset({"sha-256", "md5", "crc32"})


def formats() -> dict[str, object]:
    """What of the present code decides whether another release understands what it writes."""
    with TemporaryDirectory() as folder:
        index = Path(folder, "index.sqlite3")
        schema.create(index)
        with closing(sqlite3.connect(index)) as connection:
            lines = [
                sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql NOTNULL ORDER BY name")
            ]
    return {
        "engine": directory.FORMAT_VERSION,
        "schema": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "backup": backupset.FORMAT_VERSION,
        "tokens": document.VERSION,
        "scrub": scrubstate.VERSION,
    }


async def described(backend: EngineBackend) -> dict[str, Any]:
    """All objects with the digests of their bytes as they are read, and all uploads that are not completed."""
    page = await backend.list(ListQuery(limit=1000))
    objects = {}
    for key in page.keys:
        async with backend.get(key) as opened:
            body = await reading.read_all(opened)
        objects[key] = {**record(opened.info), "body": hashlib.sha256(body).hexdigest()}
    uploads = {}
    for upload in (await backend.uploads.list()).uploads:
        parts = (await backend.uploads.get(upload.upload_id)).parts
        uploads[upload.key] = [[part.number, part.size, part.etag] for part in parts]
    return {"objects": objects, "uploads": uploads}


def main(name: str) -> None:
    """Write the directory of that name, which must not be there."""
    root = GOLDEN / name
    root.mkdir()
    data = root / "data"
    os.umask(0o077)
    contents = {"release": __version__, "formats": formats(), **asyncio.run(_fill(data))}
    contents["token"] = TokenFile(data / "tokens.json").add(
        "golden", scopes=SCOPES, now=datetime.now(UTC), ttl=None, prefixes=["folder/", ""]
    )
    LinkSecret(data / FILE_NAME).needed()
    with scrubstate.ScrubFolder(data).scrubbing():
        Scrub(data).run()
    backup.take(data, root / "backup", now=datetime.now(UTC), share=False)
    contents["backed_up"] = sorted(contents["objects"])
    _die(data)
    with TemporaryDirectory() as folder:
        # Looked at in a copy: to open it would settle what the killed process left.
        contents |= asyncio.run(_look(Path(shutil.copytree(data, Path(folder, "data")))))
    (data / "index.sqlite3-shm").unlink(missing_ok=True)  # made anew by whoever opens it
    (data / "changes").unlink()  # likewise
    (root / CONTENTS).write_text(json.dumps(contents, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


async def _fill(data: Path) -> dict[str, Any]:
    clock = _Clock()
    async with EngineBackend(data, inline_limit=_INLINE, clock=clock) as backend:
        plain = Attributes(content_type="text/plain", metadata={"of": "mine", "groesse": "größer"})
        await backend.put("small", b"a small body", PutOptions(attributes=plain, digests=_DIGESTS))
        await backend.put("empty", b"")
        await backend.put("large", b"an older body" * 100, PutOptions(etag="older"))
        await backend.put("large", _LARGE, PutOptions(etag="chosen"))
        await backend.put("folder/größe 😀", "größe".encode())
        await backend.copy("large", "folder/copy", CopyOptions())
        await backend.put("gone", _LARGE[1:])
        await backend.delete("gone")
        await backend.put("streamed", _streamed())
        whole = (await backend.uploads.begin("completed", _PLAIN)).upload_id
        first = await backend.uploads.put_part(whole, 1, _LARGE, _PLAIN)
        second = await backend.uploads.put_part(whole, 2, b"of parts", _PLAIN)
        await backend.uploads.complete(whole, [(1, first.etag), (2, second.etag)])
        unfinished = (
            await backend.uploads.begin("upload", PutOptions(attributes=Attributes(cache_control="no-store")))
        ).upload_id
        await backend.uploads.put_part(unfinished, 1, _LARGE, _PLAIN)
        await backend.uploads.put_part(unfinished, 3, b"the end", _PLAIN)
        await backend.usage(["folder/"])  # from now on it is counted
        return await described(backend)


async def _look(data: Path) -> dict[str, Any]:
    async with EngineBackend(data) as backend:
        return await described(backend)


def _die(data: Path) -> None:
    """A process that commits once more, which stays in the log, and dies while it writes a large body."""
    process = os.fork()
    if process == 0:
        asyncio.run(_write_and_die(data))
    os.waitpid(process, 0)


async def _write_and_die(data: Path) -> None:
    def step(name: str) -> None:
        if name == steps.AFTER_WRITE:
            os._exit(1)

    async with EngineBackend(data, inline_limit=_INLINE, clock=_Clock(), step=step) as backend:
        await backend.put("in the log", b"of the index")
        await backend.put("never", _LARGE)


async def _streamed() -> AsyncIterator[bytes]:
    yield _LARGE
    yield _LARGE[::-1]


class _Clock:
    """A second later each time, from 2026 on."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def of(root: Path) -> Mapping[str, Any]:
    """The `contents.json` of one of them."""
    contents: dict[str, Any] = json.loads((root / CONTENTS).read_text())
    return contents


if __name__ == "__main__":
    main(*sys.argv[1:])
