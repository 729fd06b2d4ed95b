"""Bodies as they flow: counted, bounded, regrouped. Nothing here holds more than one block."""

from __future__ import annotations

from collections.abc import AsyncIterator

from objectstore.errors import IncompleteBody, TooLarge
from objectstore.values import Body


async def chunks(body: Body) -> AsyncIterator[bytes]:
    """The chunks of a body; bytes in hand are one. Empty chunks are left out."""
    if isinstance(body, bytes):
        if body:
            yield body
        return
    async for chunk in body:
        if chunk:
            yield chunk


async def read_all(body: Body) -> bytes:
    """The whole body in memory: for bodies known to be small."""
    if isinstance(body, bytes):
        return body
    return b"".join([chunk async for chunk in body])


def check_size(size: int | None, received: int) -> None:
    """Raises IncompleteBody when a body of `received` bytes was to have `size`, if that is given."""
    if size is not None and received != size:
        raise IncompleteBody(size, received)


async def sized(body: Body, size: int | None) -> AsyncIterator[bytes]:
    """The chunks of a body that has to have `size` bytes, if that is given. Raises IncompleteBody."""
    received = 0
    async for chunk in chunks(body):
        received += len(chunk)
        if size is not None and received > size:
            break
        yield chunk
    check_size(size, received)


async def bounded(body: Body, limit: int) -> AsyncIterator[bytes]:
    """The chunks of a body that may have `limit` bytes at most. Raises TooLarge on the first byte above."""
    received = 0
    async for chunk in chunks(body):
        received += len(chunk)
        if received > limit:
            raise TooLarge(limit)
        yield chunk


async def blocks(body: Body, size: int) -> AsyncIterator[bytes]:
    """The body in blocks of at least `size` bytes, the last one excepted; a larger chunk stays whole."""
    held: list[bytes] = []
    length = 0
    async for chunk in chunks(body):
        held.append(chunk)
        length += len(chunk)
        if length >= size:
            yield held[0] if len(held) == 1 else b"".join(held)
            held, length = [], 0
    if held:
        yield b"".join(held)
