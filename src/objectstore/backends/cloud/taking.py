"""Bodies as they are taken in: how much of one is held where, and what is known of it in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from objectstore.backends.cloud.spool import Spool
from objectstore.core.digests import Digester, check_digests
from objectstore.core.streams import blocks
from objectstore.values import PutOptions

IN_HAND: Final = 512 * 1024  # bytes of a body kept in memory; more go to a temporary file first
SPOOLED: Final = 16 * 1024 * 1024  # bytes of a body written by one request, its digest known before


class Taking:
    """A body as it is taken in: counted, and digested as far as its digests are of use."""

    def __init__(self, source: AsyncIterator[bytes], options: PutOptions) -> None:
        self._source = blocks(source, IN_HAND)
        self._expected = options.expected
        self._digester = Digester({*options.digests, *options.expected})
        self.size = 0
        self.ended = False

    async def begin(self, spool: Spool) -> bytes | Spool:
        """All of a small body; of a large one its beginning, in `spool`."""
        held: bytes | None = None
        async for block in self._source:
            self._count(block)
            if held is None:
                held = block
                continue
            if not spool.size:
                await spool.add(held)
            await spool.add(block)
            if spool.size >= SPOOLED:
                return spool
        self.ended = True
        check_digests(self._expected, self._digester.digests())
        return spool if spool.size else held or b""

    async def rest(self) -> AsyncIterator[bytes]:
        """What follows. Raises DigestMismatch at its end."""
        async for block in self._source:
            if self._expected:
                self._digester.update(block)
            self.size += len(block)
            yield block
        if self._expected:
            check_digests(self._expected, self._digester.digests())

    def digests(self) -> Mapping[str, bytes]:
        return self._digester.digests()

    def _count(self, block: bytes) -> None:
        self._digester.update(block)
        self.size += len(block)
