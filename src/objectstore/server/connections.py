"""Connections that are held without use: found by what the kernel knows of them, and cut.

Servers differ in what they time out, and none covers it all: a connection that stays silent, a TLS handshake that is
not finished, headers that drip in, a client that does not read what it asked for, above all when the kernel sends the
file. But the kernel counts what has gone over each connection, whichever server has it and whatever is spoken on it.

Only Linux tells; elsewhere it is left to the servers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
import sys
import termios
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from objectstore.server.senders import SLOWEST
from objectstore.sockets import drop_unsent

# Seconds. A process that is about to end first answers whatever comes, for no longer than this; then the server
# software closes what is idle. Granian would wait for clients of whose request it has read half a head.
LEAVING_IDLE: Final = 4.0

Cut: TypeAlias = Literal["idle", "slow_reader"]
Peer: TypeAlias = tuple[str, int]  # address and port

# Of `struct tcp_info` in linux/tcp.h, which only ever grows at its end.
_SIZE: Final = 148  # bytes, up to what is read of it
_QUEUED: Final = struct.Struct("=24xI")  # of one that listens
_ACKED: Final = struct.Struct("=120xQ")
_UNSENT: Final = struct.Struct("=144xI")
_UNREAD: Final = struct.Struct("i")  # what the ioctl gives
_ESTABLISHED: Final = 1
_FILES: Final = Path("/proc/self/fd")
_NEVER_CLOSED: Final[list[int]] = []


@dataclass(frozen=True, slots=True)
class Counts:
    """What the kernel says of one connection."""

    acked: int  # bytes that the other side has got so far
    unsent: int  # bytes that it has no room for
    unread: int = 0  # bytes that have come, and that nobody has taken yet


@dataclass(slots=True)
class History:
    """What was seen of one connection."""

    acked: int
    active: float  # when it was last of use
    slow_from: float | None = None  # since when there are bytes that the other side has no room for
    slow_acked: int = 0  # `acked` then


def judge(history: History, counts: Counts, now: float, *, busy: bool, idle: float, timeout: float) -> Cut | None:
    """Note what is seen of a connection `now`, and tell whether to cut it.

    It is of use while a request is under way on it (`busy`), when something was answered on it, and when a server that
    has much to do has not read yet what has come. Whoever takes next to nothing of what is there for `timeout` seconds
    is too slow. 0 seconds: never.
    """
    answered = counts.acked > history.acked
    history.acked = counts.acked
    if counts.unsent:
        history.active = now
        if history.slow_from is None:
            history.slow_from, history.slow_acked = now, counts.acked
        elif timeout and now - history.slow_from >= timeout:
            if counts.acked - history.slow_acked < SLOWEST * (now - history.slow_from):
                return "slow_reader"
            history.slow_from, history.slow_acked = now, counts.acked
        return None
    history.slow_from = None
    if busy or answered or counts.unread:
        history.active = now
    elif idle and now - history.active > idle:
        return "idle"
    return None


def peer_of(address: str, port: int) -> Peer:
    """The other end of a connection, however it is told: some leave away over which interface a local address is."""
    return address.partition("%")[0], port


def supported() -> bool:
    return sys.platform == "linux" and _FILES.is_dir()


class Connections:
    """The connections that this process has accepted. Blocks for some microseconds for each of them."""

    def __init__(self, *, idle: float, timeout: float) -> None:
        self._idle = idle
        self._timeout = timeout
        self._known: dict[tuple[object, ...], History] = {}
        self._ports: set[int] = set()  # where this process listened when it was last looked

    def look(
        self, now: float, busy: Collection[Peer], *, all_busy: bool, leaving_from: float | None = None
    ) -> list[Cut]:
        """Look at all of them and cut those that are held without use.

        `busy` are the other ends of those with a request under way; `all_busy`: any may have one. `leaving_from`: since
        when the process is about to end, and does not wait long for who says nothing.
        """
        idle = self._idle if leaving_from is None else min(self._idle or LEAVING_IDLE, LEAVING_IDLE)
        began = time.monotonic()
        cuts: list[Cut] = []
        seen: dict[tuple[object, ...], History] = {}
        ports: set[int] = set()
        for connection in _open_sockets():
            counts = _counts(connection)
            if counts is None:
                if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    ports.add(connection.getsockname()[1])
                continue
            with contextlib.suppress(OSError):  # it has just ended
                # Connections that this process has made, to a Redis perhaps, have ports of their own.
                if connection.getsockname()[1] not in self._ports:
                    continue
                peer = connection.getpeername()
                # A client may come again from the port that it has just left.
                name = (*peer, os.fstat(connection.fileno()).st_ino)
                # On a busy machine a look at thousands takes seconds, and what is seen at its end is of that moment.
                at = now + time.monotonic() - began
                history = self._known.get(name) or History(acked=counts.acked, active=at)
                if leaving_from is not None:
                    # What has begun to come at the last moment is not late.
                    history.active = max(history.active, leaving_from)
                in_use = all_busy or peer_of(peer[0], peer[1]) in busy
                cut = judge(history, counts, at, busy=in_use, idle=idle, timeout=self._timeout)
                if cut is None:
                    seen[name] = history
                else:
                    _end(connection, cut)
                    cuts.append(cut)
        if ports:  # at its end it listens no more, and has connections all the same
            self._ports = ports
        self._known = seen
        return cuts


def unaccepted() -> int:
    """How many connections wait until this process accepts them, at the socket at which most do."""
    most = 0
    for one in _open_sockets():
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raw = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
            most = max(most, _QUEUED.unpack_from(raw)[0]) if len(raw) == _SIZE else most
    return most


def _open_sockets() -> Iterator[socket.socket]:
    """Copies of the TCP sockets of this process, each closed when the next is asked for.

    What has a number may be another one a moment later; each is judged by what it is.
    """
    for path in _FILES.iterdir():
        if _is_socket(path):
            found = _copy(int(path.name))
            if found is not None:
                with found:
                    yield found


def _is_socket(path: Path) -> bool:
    try:
        return os.readlink(path).startswith("socket:")  # noqa: PTH115  once for each open file, every few seconds
    except OSError:
        return False  # closed meanwhile


def _copy(number: int) -> socket.socket | None:
    try:
        copy = os.dup(number)
    except OSError:
        return None
    if not stat.S_ISSOCK(os.fstat(copy).st_mode):
        # Just now it was one. To close a copy of a file ends all locks that this process has on it, and SQLite's locks
        # on the index are of that kind: another process would take it for abandoned, and remove its log.
        _NEVER_CLOSED.append(copy)
        return None
    try:
        found = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None
    if found.family in {socket.AF_INET, socket.AF_INET6} and found.type == socket.SOCK_STREAM:
        return found
    found.close()
    return None


def _counts(connection: socket.socket) -> Counts | None:
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    if len(raw) < _SIZE or raw[0] != _ESTABLISHED:
        return None
    (unread,) = _UNREAD.unpack(fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(_UNREAD.size)))
    return Counts(acked=_ACKED.unpack_from(raw)[0], unsent=_UNSENT.unpack_from(raw)[0], unread=unread)


def _end(connection: socket.socket, cut: Cut) -> None:
    """End it for the server, too, which has it open: it finds out like that the client went away."""
    with contextlib.suppress(OSError):
        if cut == "slow_reader":
            # What was not sent is thrown away, rather than kept by the kernel for who does not read it.
            drop_unsent(connection)
        connection.shutdown(socket.SHUT_RDWR)
