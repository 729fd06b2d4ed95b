"""The requests under way in this process: how many at once, and how long each may keep it waiting."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from typing import Final

from objectstore.server.connections import Connections, Peer, peer_of, supported
from objectstore.server.exchange import Receive, Scope
from objectstore.server.limits import Limits
from objectstore.server.publicpaths import HEALTH_PATHS
from objectstore.server.senders import Sender

_log: Final = logging.getLogger("objectstore.limits")
_NOBODY: Final[Peer] = ("", 0)
_WITH_BODY: Final = frozenset({"PUT", "POST"})
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds between two looks
_LEAVING_PAUSE: Final = 0.5  # the same, when the process is about to end


class Traffic:
    """Every request enters and leaves; `watch` cuts what takes too long."""

    __slots__ = ("_connections", "_leaving", "_leaving_from", "_limits", "_most", "_refused", "_senders", "_under_way")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = limits.concurrent or sys.maxsize
        self._under_way: dict[int, Scope] = {}
        self._senders: dict[int, Sender] = {}
        self._refused: set[int] = set()
        self._leaving = asyncio.Event()
        self._leaving_from: float | None = None
        self._connections = (
            Connections(idle=limits.idle_timeout, timeout=limits.request_timeout) if supported() else None
        )

    def enter(self, scope: Scope, receive: Receive) -> Receive:
        """The `receive` to use for the request, which `leave` has to follow."""
        name = id(scope)
        self._under_way[name] = scope
        timeout = self._limits.request_timeout
        if not timeout or scope["method"] not in _WITH_BODY:
            return receive
        sender = self._senders[name] = Sender(receive, timeout)
        return sender

    def full(self, scope: Scope) -> bool:
        """Whether a request that has entered is one too many. Who asks how the server does is always told."""
        if len(self._under_way) - len(self._refused) <= self._most or scope["path"] in HEALTH_PATHS:
            return False
        # It does not count, though it may go on sending for a while.
        self._refused.add(id(scope))
        self._limits.on_refusal("concurrency")
        return True

    def leave(self, scope: Scope) -> None:
        name = id(scope)
        del self._under_way[name]
        self._senders.pop(name, None)
        self._refused.discard(name)

    def leave_soon(self) -> None:
        """The process is about to end: who holds a connection without a request does not keep it from that for long."""
        self._leaving_from = time.monotonic()
        self._leaving.set()

    async def watch(self) -> None:
        """Cut what takes too long, for ever."""
        spans = [span for span in (self._limits.request_timeout, self._limits.idle_timeout) if span]
        pause = min(max(min(spans) / 4, _SHORTEST_PAUSE), _LONGEST_PAUSE) if spans else None
        while True:
            if self._leaving.is_set():
                await asyncio.sleep(_LEAVING_PAUSE)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._leaving.wait(), pause)
            self._look_at_senders()
            if self._connections is not None:
                await self._look_at_connections(self._connections)

    def _look_at_senders(self) -> None:
        now = time.monotonic()
        for sender in list(self._senders.values()):
            if sender.overdue(now):
                self._limits.on_refusal("slow_sender")
                sender.cut()

    async def _look_at_connections(self, connections: Connections) -> None:
        peers = set(map(_peer, self._under_way.values()))
        # Behind a server that puts the client of a proxy in its place, it cannot be told which connection is meant.
        all_busy = _NOBODY in peers
        try:
            cuts = await asyncio.to_thread(
                connections.look, time.monotonic(), peers, all_busy=all_busy, leaving_from=self._leaving_from
            )
        except OSError as error:
            # Without a file to spare the next look may do better, when some of those held now have ended.
            _log.warning("the connections could not be looked at: %s", error.strerror)
            return
        for cut in cuts:
            _log.debug("cut a connection: %s", cut)
            if cut == "slow_reader":
                self._limits.on_refusal(cut)


def _peer(scope: Scope) -> Peer:
    """The other end of the connection; `_NOBODY` when it is not known."""
    client = scope.get("client")
    port = int(client[1] or 0) if client else 0  # Granian has a text
    return peer_of(client[0], port) if client and port else _NOBODY
