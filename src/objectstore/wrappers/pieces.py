"""Bodies cut into pieces that are worth the way to a thread and back, and no longer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from objectstore.backends.reading import BLOCK_SIZE
from objectstore.core.streams import check_size
from objectstore.values import Body

PIECE: Final = BLOCK_SIZE  # bytes of a body that are in work at a time


async def pieces(body: Body, size: int | None = None) -> AsyncGenerator[bytes, None]:
    """The body in pieces of PIECE bytes, the last one excepted; a body that has not `size` bytes, if given, ends badly.

    One generator and not one of `core.streams` in another, so that closing it leaves none to be closed later.

    Raises:
        IncompleteBody: before the last piece.
    """
    if isinstance(body, bytes):
        check_size(size, len(body))
        for at in range(0, len(body), PIECE):
            yield body[at : at + PIECE]
        return
    received = 0
    held = bytearray()
    async for chunk in body:
        received += len(chunk)
        if size is not None and received > size:
            break
        held += chunk
        while len(held) >= PIECE:
            piece = bytes(held[:PIECE])
            del held[:PIECE]
            yield piece
    check_size(size, received)
    if held:
        yield bytes(held)
