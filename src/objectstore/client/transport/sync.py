"""Straight to the server, on sockets that block."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from objectstore.client.transport.contract import Outgoing, Response
from objectstore.client.transport.forks import renew_in_children
from objectstore.client.transport.http1 import Answer, Malformed, announced, format_head
from objectstore.client.transport.way import IDLE, Way
from objectstore.core.streams import check_size
from objectstore.wire.headers import FieldList

_READ: Final = 256 * 1024  # bytes
_JOINED: Final = 64 * 1024  # bytes; sending copies less than another system call costs


class DirectTransport:
    """A pool of connections. The one that was used last is used next, so that those not needed grow old."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._pool = _Pool(way)
        renew_in_children(self)

    def send(self, method: str, target: str, fields: FieldList, body: Outgoing | None) -> Response:
        head = format_head(method, target, self._way.host, fields)
        pool = self._pool
        connection = pool.take()
        try:
            answer = Answer(method)
            if body is None or isinstance(body, bytes):
                connection.write(head + body if body else head)
            else:
                connection.send(head, body, announced(fields), answer)
            return _Response(pool, connection, answer, connection.receive_head(answer))
        except BaseException:
            pool.drop(connection)
            raise

    def close(self) -> None:
        self._pool.close()

    def leave_to_parent(self) -> None:
        # Closed here, the idle ones stay open there. Those in use belong to threads that do not exist here.
        self._pool.close_idle()
        self._pool = _Pool(self._way)


class _Connection:
    """A socket, and the first bytes of a body that came before all was sent."""

    __slots__ = ("_buffer", "_early", "_poll", "_socket", "_way", "idle_since")

    def __init__(self, way: Way) -> None:
        # One for all that comes: the memory that `recv` takes from the kernel and gives back costs more than a copy.
        self._buffer = memoryview(bytearray(_READ))
        self._way = way
        self._socket = _connect(way)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._early = b""
        self.idle_since = 0.0

    def is_quiet(self) -> bool:
        """Whether nothing has come while it was idle: the end, or bytes that nobody asked for."""
        return not self._poll.poll(0)

    def close(self) -> None:
        self._socket.close()

    def cut(self) -> None:
        """Close it under the hands of the thread that uses it, which is told that it is lost."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def write(self, data: bytes | memoryview) -> bool:
        """Whether the server takes it. One that does not may have answered already."""
        try:
            self._socket.sendall(data)
        except (TimeoutError, BlockingIOError) as error:
            raise self._way.late(sent=True) from error
        except OSError:
            return False
        return True

    def send(self, head: bytes, body: Iterable[bytes | memoryview], size: int | None, answer: Answer) -> None:
        """`size` bytes, or in chunks (RFC 9112 §7.1). It ends early when the server refuses to take them."""
        pending = head  # goes out with what comes next
        sent = 0
        for chunk in body:
            if not chunk:
                continue
            if self._refuses(answer):
                return
            sent += len(chunk)
            if size is None:
                pending += b"%x\r\n" % len(chunk)
            if len(chunk) > _JOINED:
                taken = self.write(pending) and self.write(chunk)
            else:
                taken = self.write(b"".join((pending, chunk)))
            if not taken:
                return
            pending = b"\r\n" if size is None else b""
        check_size(size, sent)
        if size is None:
            pending += b"0\r\n\r\n"
        if pending:
            self.write(pending)

    def receive_head(self, answer: Answer) -> bytes:
        """The beginning of the body, which came with the head."""
        early, self._early = self._early, b""
        while not answer.status:
            early += self.receive(answer)
        return early

    def receive(self, answer: Answer) -> bytes:
        """What comes next of the body; nothing, when none of it has come yet."""
        try:
            size = self._socket.recv_into(self._buffer)
            if size:
                return answer.feed(bytes(self._buffer[:size]))
            answer.end()
        except BlockingIOError as error:
            raise self._way.late(sent=True) from error
        except (OSError, Malformed) as error:
            raise self._way.lost(error) from error
        return b""

    def _refuses(self, answer: Answer) -> bool:
        """Whether the server has answered already, with an error."""
        if not self._poll.poll(0):
            return False
        # Under TLS that may be something else, for which nobody is to wait.
        patience = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            size = self._socket.recv_into(self._buffer)
            if size:
                self._early += answer.feed(bytes(self._buffer[:size]))
            else:
                answer.end()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except (OSError, Malformed) as error:
            raise self._way.lost(error) from error
        finally:
            self._socket.settimeout(patience)
        if answer.status < 300:
            return False
        answer.reusable = False
        return True


class _Pool:
    """Connections to one server: idle ones, and a slot for each that may be in use."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._slots = threading.Semaphore(way.max_connections)
        self._idle: deque[_Connection] = deque()  # its single steps are atomic, as are those of the set
        self._open: set[_Connection] = set()  # idle or in use
        self._closed = False

    def take(self) -> _Connection:
        """One to be given back, or dropped."""
        if not self._slots.acquire(timeout=self._way.timeout):
            raise self._way.no_connection_free()
        try:
            connection = self._youngest()
            if connection is None:
                connection = _Connection(self._way)
                self._open.add(connection)
        except BaseException:
            self._slots.release()
            raise
        return connection

    def give(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        self._slots.release()
        if self._closed:
            self.close_idle()

    def drop(self, connection: _Connection) -> None:
        self._end(connection)
        self._slots.release()

    def close(self) -> None:
        """All of them, those in use too."""
        self._closed = True
        self.close_idle()
        for connection in list(self._open):
            connection.cut()

    def close_idle(self) -> None:
        while (connection := self._pop(oldest=True)) is not None:
            self._end(connection)

    def _end(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.close()

    def _youngest(self) -> _Connection | None:
        fresh = time.monotonic() - IDLE
        while (connection := self._pop()) is not None:
            if connection.idle_since > fresh and connection.is_quiet():
                self._end_older_than(fresh)
                return connection
            self._end(connection)
        return None

    def _end_older_than(self, fresh: float) -> None:
        while (oldest := self._pop(oldest=True)) is not None:
            if oldest.idle_since > fresh:
                self._idle.appendleft(oldest)
                return
            self._end(oldest)

    def _pop(self, *, oldest: bool = False) -> _Connection | None:
        try:
            return self._idle.popleft() if oldest else self._idle.pop()
        except IndexError:
            return None


class _Response:
    def __init__(self, pool: _Pool, connection: _Connection, answer: Answer, begun: bytes) -> None:
        self.status = answer.status
        self.fields = answer.fields
        self.whole: bytes | None = None
        self._pool = pool
        self._connection: _Connection | None = connection
        self._answer = answer
        self._begun = begun
        if answer.done:
            self.whole = begun
            self._release()

    def __iter__(self) -> Iterator[bytes]:
        begun, self._begun = self._begun, b""
        if begun:
            yield begun
        while (connection := self._connection) is not None:
            try:
                chunk = connection.receive(self._answer)
            except BaseException:
                self.close()
                raise
            if self._answer.done:
                self._release()
            if chunk:
                yield chunk

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.drop(connection)

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._answer.reusable:
            self._pool.give(connection)
        else:
            self._pool.drop(connection)


def _connect(way: Way) -> socket.socket:
    try:
        connected = socket.create_connection((way.name, way.port), way.timeout)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if way.tls is not None:
                return way.tls.wrap_socket(connected, server_hostname=way.name)
            _let_the_kernel_time(connected, way.timeout)
        except BaseException:
            connected.close()
            raise
    except (OSError, UnicodeError) as error:
        raise way.unreached(error) from error
    return connected


def _let_the_kernel_time(connected: socket.socket, timeout: float) -> None:
    """Have each read and write end after `timeout` seconds with a BlockingIOError.

    Python asks the kernel whether a socket is ready before each of them when it minds the time itself: of all that a
    small request costs, that is a tenth.
    """
    seconds = struct.pack("ll", int(timeout), int(timeout % 1 * 1e6) or 1)
    with suppress(OSError, struct.error):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        connected.settimeout(None)
