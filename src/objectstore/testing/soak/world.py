"""What all clients of one process share: where the server is, whether it is there, and what they saw."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from objectstore.testing.soak.bodies import Bodies
from objectstore.testing.soak.connection import Connection, Lost, connect, sources
from objectstore.testing.soak.record import Record
from objectstore.testing.soak.workload import Sizes

_PER_SOURCE: Final = 4000  # connections from one address, so that ports last although those closed are kept a minute
_AWAY: Final = 0.2  # seconds before a server that is away is tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process is to do."""

    port: int
    seed: int
    idle: int  # connections
    first: int  # number of its first active client
    active: int
    sizes: Sizes
    limited: bool  # the server refuses what is too much at once
    idle_timeout: float  # seconds, of the server; 0: it closes none


@dataclass(slots=True)
class World:
    """The server as the clients of one process know it."""

    share: Share
    token: str
    record: Record = field(default_factory=Record)
    epoch: int = 0  # lives of the server that are over
    over: bool = False  # the clients are to come to their end
    bodies: Bodies = field(init=False)
    there: asyncio.Event = field(init=False)

    def __post_init__(self) -> None:
        self.bodies = Bodies(self.share.seed)
        self.there = asyncio.Event()
        self.there.set()
        wanted = 1 + (self.share.idle + self.share.active) // _PER_SOURCE
        self._sources = cycle(sources(wanted))

    _sources: cycle[str] = field(init=False)

    def leaving(self) -> None:
        """The server is about to be told to end: from now on connections may go."""
        self.epoch += 1
        self.there.clear()

    def returned(self) -> None:
        self.there.set()

    def excuses(self, epoch: int) -> bool:
        """Whether what began in that life of the server may go wrong, as its end has come."""
        return epoch < self.epoch

    async def connect(self) -> Connection:
        """A new connection; while the server is away, when it is back. Raises Lost: it should be there, and is not."""
        while True:
            await self.there.wait()
            epoch = self.epoch
            try:
                connection = await connect(self.share.port, next(self._sources), epoch)
            except OSError as error:
                if not self.excuses(epoch):
                    raise Lost(f"no connection: {error}") from error
                await asyncio.sleep(_AWAY)
            else:
                self.record.opened += 1
                return connection
