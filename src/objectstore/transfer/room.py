"""How much may be on its way at once."""

from __future__ import annotations

import asyncio
from typing import Final

BYTES: Final = 256 * 1024**2  # on their way at once, one larger object excepted
# Large objects flow through in chunks and count for no more than this, which some stores hold of each.
_MOST: Final = 32 * 1024**2


class Room:
    """Bounds the number of objects on their way, and their bytes. One task enters, many leave."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._taken = 0
        self._bytes = 0
        self._freed = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Wait until an object of `size` bytes may start."""
        size = min(size, _MOST)
        while self._taken >= self._jobs or (self._taken and self._bytes + size > BYTES):
            self._freed.clear()
            await self._freed.wait()
        self._taken += 1
        self._bytes += size

    def leave(self, size: int) -> None:
        self._taken -= 1
        self._bytes -= min(size, _MOST)
        self._freed.set()
