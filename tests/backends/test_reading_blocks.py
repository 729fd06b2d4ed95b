"""How much of a file is read at once."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from pathlib import Path

from objectstore.backends.reading import chunks
from objectstore.values import FileSpan, ObjectInfo, Reading

SIZE = 600 * 1024
KIB = 1024


def test_of_many_files_less_is_read_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(SIZE))
    now = datetime.now(UTC)
    info = ObjectInfo(key="a", size=SIZE, etag="e", created=now, modified=now)

    async def use() -> None:
        async with AsyncExitStack() as opened:
            bodies = []
            for _ in range(17):
                fd = os.open(file, os.O_RDONLY)
                opened.callback(os.close, fd)
                body = chunks(Reading(info, 0, SIZE, FileSpan(fd, 0, SIZE)))
                bodies.append(await opened.enter_async_context(aclosing(body)))
            assert [len(await anext(body)) for body in bodies] == [256 * KIB] * 16 + [128 * KIB]
            await bodies[0].aclose()
            assert [len(chunk) async for chunk in bodies[16]] == [256 * KIB, 216 * KIB]

    asyncio.run(use())
