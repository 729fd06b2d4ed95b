"""Connections under uvicorn: all that wait are taken together, and no more than there are files for.

The loop that it runs on takes one connection of a listener a round. A round of a busy server takes half a second, and
thousands of clients that come back after a restart would wait for minutes, longer than the kernel does. And it goes on
until there is no file left: then no body can be opened, and those connections that do nothing not even be looked at,
so that they would be held for ever. There is no setting against either.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from objectstore.server.amending import Method, amend

if TYPE_CHECKING:
    from uvicorn.server import Server

_log: Final = logging.getLogger("objectstore.limits")
_MOST: Final = 16 * 1024  # connections of a worker; one that does nothing costs some kilobytes
_OTHER_FILES: Final = 512  # that a worker may have open at once
_TOGETHER: Final = 256  # connections taken in a round of the loop
_SETTLING: Final = 1.0  # seconds
_PAUSE: Final = 0.05  # seconds until it is looked again whether there is room


def room() -> int:
    """How many connections this process may hold: what waits beyond that, waits in the kernel."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST, max(files - _OTHER_FILES, files // 2))


class Acceptor:
    """Takes the connections of one listener of uvicorn, in its place."""

    def __init__(self, server: Server, listener: socket.socket, most: int) -> None:
        self._server = server
        self._listener = listener
        self._most = most
        self._loop = asyncio.get_running_loop()
        self.coming: set[asyncio.Task[None]] = set()  # connections whose protocol does not have them yet
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = None
        self._loop.add_reader(self._listener, self._take_all)

    def close(self) -> None:
        """Take no more. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()

    def _take_all(self) -> None:
        for _ in range(_TOGETHER):
            if len(self._server.server_state.connections) + len(self.coming) >= self._most:
                self._rest()
                return
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:  # neither files nor memory are without end
                _log.warning("no connection could be taken: %s", error.strerror)
                self._rest()
                return
            accepted.setblocking(False)
            task = self._loop.create_task(self._give(accepted))
            self.coming.add(task)
            task.add_done_callback(self.coming.discard)

    def _rest(self) -> None:
        self._loop.remove_reader(self._listener)
        self._timer = self._loop.call_later(_PAUSE, self.start)

    async def _give(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted, ssl=self._server.config.ssl)
        except (OSError, asyncio.CancelledError):  # it has just ended, or its TLS handshake failed or is given up
            accepted.close()

    def _protocol(self) -> asyncio.Protocol:
        server = self._server
        protocol: Any = server.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        return made


def amend_uvicorn() -> None:
    """Have uvicorn, if this process runs it, take connections so, from the moment on that it serves."""
    amend("server", "Server", _amended)


def _amended(uvicorn: type[Server]) -> Iterable[Method]:
    serve = uvicorn.main_loop

    async def main_loop(self: Server) -> None:
        most = room()
        acceptors = vars(self)["acceptors"] = [
            Acceptor(self, socket.socket(fileno=one.dup().detach()), most)
            for server in self.servers
            for one in server.sockets
        ]
        for server in self.servers:
            server.close()
        for acceptor in acceptors:
            acceptor.start()
        await serve(self)

    return (main_loop,)


async def settle(server: Server) -> None:
    """Wait until the server has all that were taken: it would not end those that come later."""
    coming = [task for acceptor in vars(server).get("acceptors", ()) for task in acceptor.coming]
    if coming:
        _, late = await asyncio.wait(coming, timeout=_SETTLING)
        for task in late:
            task.cancel()  # in the middle of its TLS handshake


def stop(server: Server) -> None:
    """Take no new connections."""
    for acceptor in vars(server).get("acceptors", ()):
        acceptor.close()
    for listener in server.servers:
        with suppress(OSError):
            listener.close()
