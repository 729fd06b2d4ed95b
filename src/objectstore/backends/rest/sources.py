"""Bodies on their way to another server: checked here before their last byte leaves, so that a wrong one stays out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from objectstore.client.sources import AsyncSource, InHand
from objectstore.core.digests import Digester, check_digests
from objectstore.core.streams import read_all, sized
from objectstore.values import Body, PutOptions


class Arriving:
    """Chunks as they come.

    What is announced is compared before the last chunk is given: a body without it is cut short, and the server
    stores nothing of it.
    """

    def __init__(self, body: Body, options: PutOptions) -> None:
        self._body = body
        self._options = options
        self._digester = Digester({*options.digests, *options.expected})
        self.size: Final = options.size
        self.sha256 = options.expected.get("sha-256")
        self.repeatable = True  # until the first chunk is asked for

    async def achunks(self) -> AsyncIterator[bytes]:
        self.repeatable = False
        held = b""
        async for chunk in sized(self._body, self._options.size):
            self._digester.update(chunk)
            if held:
                yield held
            held = chunk
        digests = self._digester.digests()
        check_digests(self._options.expected, digests)
        self.sha256 = digests["sha-256"]
        if held:
            yield held


async def source_of(body: Body, options: PutOptions) -> AsyncSource:
    """What is to be sent. Raises InvalidDigest; of a body in hand also IncompleteBody, DigestMismatch."""
    if isinstance(body, bytes) or options.size == 0:
        # An empty one has no last byte to hold back.
        checked = Arriving(body, options)
        return InHand(await read_all(checked.achunks()))
    return Arriving(body, options)
