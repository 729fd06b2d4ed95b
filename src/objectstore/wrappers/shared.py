"""One store that several others wrap: opened by the first of them, closed by the last."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from objectstore.backends.contract import Backend
from objectstore.values import Capabilities
from objectstore.wrappers.forwarding import Forwarding


class Shared(Forwarding):
    """Counts who has it open, so that `inner` is entered once and left once; safe to enter concurrently.

    Whoever comes while it is being opened waits for that. When opening fails, everyone who waits tries anew and is
    told for himself; nothing stays open.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._users = 0
        self._opened = False
        self._turn = asyncio.Lock()  # held while opening or closing

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    async def __aenter__(self) -> Self:
        self._users += 1
        try:
            async with self._turn:
                if not self._opened:
                    await self._inner.__aenter__()
                    self._opened = True
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Counted before the turn is waited for: one who is cancelled while waiting has left all the same.
        self._users -= 1
        if self._users > 0:
            return
        async with self._turn:
            if self._users == 0 and self._opened:
                self._opened = False
                await self._inner.__aexit__(exc_type, exc, traceback)
