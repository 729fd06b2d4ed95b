"""Bodies that have to be known whole before they go on: in memory while they are small, else in a temporary file."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self

from objectstore.backends.reading import BLOCK_SIZE
from objectstore.errors import StorageFull, Unavailable
from objectstore.wrappers.threads import work

IN_MEMORY: Final = 1024 * 1024  # bytes


class Spool:
    """Written once, then read as often as wanted, by one at a time; gone when it is closed.

    The file has no name and no permissions for others; it lies where `TMPDIR` says.

    Raises:
        StorageFull: there is no room for temporary files.
    """

    def __init__(self) -> None:
        self.size = 0  # bytes so far
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _translated():
            self._file.close()

    def write(self, data: bytes) -> None:
        """Append; may be called from any thread."""
        with _translated():
            self._file.write(data)
        self.size += len(data)

    def held(self) -> bytes | None:
        """All of it, if it is in memory."""
        return self._read(0, self.size) if self.size <= IN_MEMORY else None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All of it, from the start."""
        for at in range(0, self.size, BLOCK_SIZE):
            length = min(BLOCK_SIZE, self.size - at)
            yield await work(length, self._read, at, length)

    def _read(self, at: int, length: int) -> bytes:
        with _translated():
            self._file.seek(at)
            return self._file.read(length)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull("there is no room for temporary files; set TMPDIR to a folder that has more") from error
        raise Unavailable(f"a temporary file cannot be used: {error}") from error
