"""Wrappers that look at bodies on their way in, and store them as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from objectstore.backends.contract import Backend
from objectstore.values import Body, Capabilities, ObjectInfo, PutOptions
from objectstore.wrappers.forwarding import PUT
from objectstore.wrappers.pieces import pieces
from objectstore.wrappers.reserving import Reserving, check_unreserved
from objectstore.wrappers.threads import work


class Check(Protocol):
    """Looks at one body, piece by piece; may be called from any thread. Raises BadRequest."""

    def feed(self, data: bytes, /) -> None: ...

    def finish(self) -> None: ...


class Validating(Reserving):
    """Takes the bodies that pass a `check` of their own, and forwards everything else.

    A body is checked while it passes; that it fails at its end leaves what was there, as any body that fails does.
    """

    def __init__(self, inner: Backend, check: Callable[[], Check], *, name: str, note: str) -> None:
        super().__init__(inner, name=name)
        self._check = check
        self._note = note

    @property
    def capabilities(self) -> Capabilities:
        told = super().capabilities
        return replace(told, notes=(*told.notes, self._note))

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        check_unreserved(key)
        async with aclosing(self._checked(body, options.size)) as checked:
            if not isinstance(body, bytes):
                return await self._inner.put(key, checked, options)
            async for _ in checked:
                pass
            return await self._inner.put(key, body, options)

    async def _checked(self, body: Body, size: int | None) -> AsyncGenerator[bytes, None]:
        check = self._check()
        # With its size, so that a body that was cut is told to be cut and not to be of the wrong kind.
        async with aclosing(pieces(body, size)) as arriving:
            async for piece in arriving:
                await work(len(piece), check.feed, piece)
                yield piece
        check.finish()
