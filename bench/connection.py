"""A connection that asks and waits, with as little of its own as there can be: it stands in the measured time."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from bench.measurement import LoadError

_AT_ONCE: Final = 1 << 20  # bytes


class Connection:
    """One kept connection to 127.0.0.1. Knows answers with a Content-Length or in chunks, and no others."""

    def __init__(self, port: int, headers: Mapping[str, str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fields = {"Host": f"127.0.0.1:{port}", **headers}
        self._fields = "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and the body of the answer. Raises LoadError when the connection ends."""
        sent = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._socket.sendall(f"{method} {target} HTTP/1.1\r\n{self._fields}{sent}\r\n".encode() + body)
        received = self._receive()
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, start = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in lines:
            return status, self._chunks(start)
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        pieces = [start]
        missing = length - len(start)
        while missing > 0:
            pieces.append(self._receive())
            missing -= len(pieces[-1])
        return status, b"".join(pieces)

    def _chunks(self, received: bytes) -> bytes:
        body = bytearray()
        while True:
            while b"\r\n" not in received:
                received += self._receive()
            size, _, received = received.partition(b"\r\n")
            whole = int(size, 16) + 2
            while len(received) < whole:
                received += self._receive()
            body += received[: whole - 2]
            received = received[whole:]
            if whole == 2:
                return bytes(body)

    def _receive(self) -> bytes:
        data = self._socket.recv(_AT_ONCE)
        if not data:
            raise LoadError("the server closed the connection")
        return data
