"""Reading the parts of uploads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final

from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.rows import PartRow
from objectstore.backends.engine.upload_operations import gone
from objectstore.errors import Corrupted

_BLOCK: Final = 1024 * 1024  # bytes read at a time


class PartReader:
    """Reads parts where they are kept, one block after the other."""

    def __init__(self, directory: Directory, index: Index, executor: Executor) -> None:
        self._directory = directory
        self._index = index
        self._executor = executor

    async def read(self, parts: Iterable[PartRow]) -> AsyncGenerator[bytes, None]:
        """All bytes of the parts. Raises InvalidPart: one is there no more; Corrupted: one has another size."""
        for part in parts:
            if part.inline:
                data = self._index.body(part.seq)
                if data is None:
                    raise gone(part)
                if len(data) != part.size:
                    raise Corrupted(
                        f"the body of part {part.number} in the index has {len(data)} bytes, not {part.size}"
                    )
                yield data
            elif part.blob is not None:
                async with aclosing(self._blocks(part, part.blob)) as blocks:
                    async for block in blocks:
                        yield block

    async def _blocks(self, part: PartRow, blob: str) -> AsyncGenerator[bytes, None]:
        run = asyncio.get_running_loop().run_in_executor
        try:
            fd = await run(self._executor, os.open, self._directory.blob(blob), os.O_RDONLY)
        except FileNotFoundError:
            raise gone(part) from None
        except OSError as error:
            raise translate(error) from error
        try:
            at = 0
            while block := await run(self._executor, os.pread, fd, _BLOCK, at):
                yield block
                at += len(block)
        except OSError as error:
            raise translate(error) from error
        finally:
            os.close(fd)
        if at != part.size:
            raise Corrupted(f"the file of part {part.number} has {at} bytes, not {part.size}")
