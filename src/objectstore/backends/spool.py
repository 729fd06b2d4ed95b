"""Bodies that are collected before they are stored: in memory while small, else in a file that has no name."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from objectstore.core.digests import Digester
from objectstore.core.streams import blocks
from objectstore.values import Body

BLOCK_SIZE: Final = 256 * 1024  # bytes
_IN_MEMORY: Final = 1024 * 1024  # bytes of one body
_AT_ONCE: Final = 64 * 1024  # bytes that are hashed in less time than a change of threads takes


class Spool:
    """Bytes appended, then read back as often as wanted. The file is in `folder` and goes with this process.

    For one thread at a time; raises OSError. The owner calls `close`.
    """

    def __init__(self, folder: Path, algorithms: Iterable[str] = ()) -> None:
        self.digester = Digester(algorithms)
        self.size = 0  # bytes so far
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))  # noqa: SIM115  closed by the owner

    def write(self, data: bytes) -> None:
        """Append, and count into the digests."""
        self.digester.update(data)
        self._file.write(data)
        self.size += len(data)

    def blocks(self) -> Iterator[bytes]:
        """All that was written, from the beginning."""
        self._file.seek(0)
        while data := self._file.read(BLOCK_SIZE):
            yield data

    def close(self) -> None:
        self._file.close()

    async def collect(self, body: Body, run: Callable[[Callable[[bytes], None], bytes], Awaitable[None]]) -> None:
        """Append the body; what may wait for the disk, or takes a while, is done by `run` in a thread."""
        async for block in blocks(body, BLOCK_SIZE):
            if len(block) <= _AT_ONCE and self.size + len(block) <= _IN_MEMORY:
                self.write(block)
            else:
                await run(self.write, block)
