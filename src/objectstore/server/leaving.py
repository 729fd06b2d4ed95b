"""The end of a process that serves: every request that has come gets its answer, those not read yet as well.

Server software that is told to end closes the connections on which it knows of no request. One may lie in the kernel,
though, not read yet, or on a connection that was not accepted yet, and its client would wait for nothing. Under load
these are many. So before that, each answer says that it is the last one on its connection, and what comes is served
until nothing comes any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from objectstore.server import accepting
from objectstore.server.amending import Method, amend
from objectstore.server.connections import supported, unaccepted
from objectstore.server.exchange import Exchange

if TYPE_CHECKING:
    import socket

    from uvicorn.server import Server

_PATIENCE: Final = 3.0  # seconds for clients that go on and on
_PAUSE: Final = 0.05  # seconds between two looks
_QUIET: Final = 3  # looks in a row at which nothing had come; between two of them the loop reads all there is
_CLOSE: Final = ((b"connection", b"close"),)

_serving: list[Leaving] = []


class Leaving:
    """Whether an application is about to end, which each of its requests asks."""

    __slots__ = ("_came", "_on_begin", "begun")

    def __init__(self, on_begin: Callable[[], None] | None = None) -> None:
        self.begun = False
        self._on_begin = on_begin or nothing
        self._came = 0  # requests since

    def take_in(self, exchange: Exchange) -> None:
        """A request that came after it had begun."""
        self._came += 1
        if exchange.scope.get("http_version", "1.1").startswith("1"):  # later ones say it in another way
            exchange.added = _CLOSE

    async def run(self, stop: Callable[[], None]) -> None:
        """Returns when nothing comes any more. `stop`: take no new connections."""
        self.begun = True
        self._on_begin()
        deadline = time.monotonic() + _PATIENCE
        quiet, stopped, seen = 0, False, -1
        while quiet < _QUIET and time.monotonic() < deadline:
            await asyncio.sleep(_PAUSE)
            if not stopped and not await asyncio.to_thread(_unaccepted):
                stop()
                stopped = True
            quiet = quiet + 1 if stopped and self._came == seen else 0
            seen = self._came


def serving(leaving: Leaving) -> None:
    """From now on `leave` is of this one, too."""
    _serving.append(leaving)
    amend_uvicorn()
    accepting.amend_uvicorn()


def gone(leaving: Leaving) -> None:
    _serving.remove(leaving)


def nothing() -> None:
    """The server software cannot be told to take no new connections and go on with the others."""


async def leave(stop: Callable[[], None] = nothing) -> None:
    """Have all that this process serves come to its end, before its connections are closed."""
    await asyncio.gather(*(one.run(stop) for one in _serving))


def amend_uvicorn() -> None:
    """Have uvicorn, if this process runs it, do this before it ends: it has no way to be told so."""
    amend("server", "Server", _amended)


def _amended(uvicorn: type[Server]) -> Iterable[Method]:
    end = uvicorn.shutdown

    async def shutdown(self: Server, sockets: list[socket.socket] | None = None) -> None:
        def stop() -> None:
            accepting.stop(self)
            for one in sockets or ():
                one.close()

        await leave(stop)
        stop()
        await accepting.settle(self)
        await end(self, sockets)

    return (shutdown,)


def _unaccepted() -> int:
    try:
        return unaccepted() if supported() else 0
    except OSError:  # no file to spare for the look
        return 0
