"""Idle connections: half of them silent, which the server closes after a while, half kept by a request now and then."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from objectstore.testing.soak.connection import Connection, Lost
from objectstore.testing.soak.world import World

_OPENING: Final = 32  # connections at once
_BETWEEN: Final = 0.05  # seconds between two of them: the kernel keeps only so many that were not accepted yet
_KEPT: Final = 0.5  # of IDLE_TIMEOUT: after so long one is asked something
_EARLY: Final = 0.9  # of IDLE_TIMEOUT: one that ends before did so too early
_LATE: Final = 60.0  # seconds after IDLE_TIMEOUT in which a server that is busy has to get round to it
_LOOK: Final = 0.1  # seconds between two looks at what is due


class Idle:
    """The idle connections of one process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: set[Connection] = set()
        self._silent: dict[Connection, None] = {}  # the oldest first
        self._kept: deque[Connection] = deque()  # the one whose turn is next first
        self._wanted: asyncio.Queue[bool] = asyncio.Queue()  # whether the one to open is to be silent
        self._enough = 0
        self._opened = asyncio.Event()  # there are enough

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    async def opened(self, wanted: int) -> None:
        """Wait until so many are open."""
        self._enough, self._opened = wanted, asyncio.Event()
        if self.count < wanted:
            await self._opened.wait()

    async def run(self) -> None:
        """Open them, and see to them until cancelled."""
        for number in range(self._world.share.idle):
            self._wanted.put_nowait(number % 2 == 0)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_OPENING):
                    group.create_task(self._opener())
                if self._world.share.idle_timeout:
                    group.create_task(self._see_to())
        finally:
            for connection in list(self._open):
                connection.on_end = None
                connection.close()

    async def _opener(self) -> None:
        while True:
            silent = await self._wanted.get()
            try:
                connection = await self._world.connect()
            except Lost as error:
                self._world.record.complain("lost connection", f"an idle one: {error}")
                await asyncio.sleep(1)
                self._wanted.put_nowait(silent)
                continue
            self._open.add(connection)
            if self.count >= self._enough:
                self._opened.set()
            if silent:
                self._silent[connection] = None
            else:
                self._kept.append(connection)
            connection.on_end = lambda one=connection, silent=silent: self._ended(one, silent)
            if connection.ended:
                connection.on_end()
            await asyncio.sleep(_BETWEEN)

    def _ended(self, connection: Connection, silent: bool) -> None:
        """The other side has closed it."""
        self._open.discard(connection)
        self._silent.pop(connection, None)
        self._wanted.put_nowait(silent)
        world, silence = self._world, connection.silence
        if world.excuses(connection.epoch):
            return
        idle = world.share.idle_timeout
        if not idle or silence < _EARLY * idle:
            kind = "silent" if silent else "kept"
            world.record.complain(
                "closed early", f"an idle connection ({kind}) after {silence:.1f} s without a request"
            )
        else:
            world.record.idle_ended += 1

    async def _see_to(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            self._ask_those_due()
            self._look_for_late()

    def _ask_those_due(self) -> None:
        after = _KEPT * self._world.share.idle_timeout
        for _ in range(len(self._kept)):
            connection = self._kept[0]
            if connection.ended:
                self._kept.popleft()
            elif connection.waiting:
                # Not answered since its last turn: that is told when it ends, or in the end.
                self._kept.rotate(-1)
            elif connection.silence > after:
                self._kept.rotate(-1)
                done = connection.begin("GET", "/health", [])
                done.add_done_callback(lambda done, one=connection: self._answered(done, one))  # type: ignore[misc]  # as above
            else:
                break

    def _answered(self, done: asyncio.Future[None], connection: Connection) -> None:
        # One that failed ended with its connection, of which `_ended` is told.
        if done.cancelled() or done.exception() is not None:
            return
        self._world.record.idle_asked += 1
        if connection.status != 200:
            self._world.record.complain("wrong status", f"GET /health on a kept connection: {connection.status}")

    def _look_for_late(self) -> None:
        latest = self._world.share.idle_timeout + _LATE
        for connection in list(self._silent):
            if connection.silence < latest:
                break
            del self._silent[connection]
            self._world.record.complain("not closed", f"a silent connection after {connection.silence:.0f} s")
