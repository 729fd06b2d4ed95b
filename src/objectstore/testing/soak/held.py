"""Uploads that are under way, for certain, at the moment at which the server is told to end.

Who waits for an answer cannot tell whether the request has been read yet. So these ask for `100 Continue`, which a
server says when it begins to read the body, and keep back half of that until the server has begun to leave.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from objectstore.client.transport.http1 import Answer, Malformed, format_head
from objectstore.testing.soak.bodies import Bodies, Version
from objectstore.testing.soak.connection import HOST
from objectstore.wire.headers import FieldList

_SIZES: Final = (20_000, 300_000)  # bytes, in turn: one that is taken whole, and one that goes to a file as it comes
_PATIENCE: Final = 60.0  # seconds for one of them to be under way, and for an answer
_COMPANY: Final = 10.0  # seconds that it waits for the others: less than REQUEST_TIMEOUT
_PAUSE: Final = 0.1  # seconds after a refusal
_PIECE: Final = 64 * 1024
_LONGEST: Final = 0.5  # seconds that are waited for one while others may have an answer


class Unheld(Exception):
    """No request could be brought under way."""


class HeldUploads:
    """`number` uploads. Their connections are closed by leaving the block."""

    def __init__(self, port: int, token: str, seed: int, number: int) -> None:
        bodies = Bodies(seed)
        self._waiting = [_Upload(port, token, bodies, one) for one in range(number)]
        self._held: list[_Upload] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for upload in (*self._waiting, *self._held):
            upload.close()

    def begin(self) -> int:
        """Bring as many under way as come to it soon, and one at least; how many. Raises Unheld."""
        began = time.monotonic()
        while self._waiting:
            past = time.monotonic() - began
            if past > (_COMPANY if self._held else _PATIENCE):
                break
            for upload in list(self._waiting):
                if upload.under_way():
                    self._waiting.remove(upload)
                    self._held.append(upload)
        for upload in self._waiting:
            upload.close()  # else the server, which may yet begin to read them, would wait for them at its end
        if not self._held:
            raise Unheld(f"no upload was under way after {_PATIENCE:g} s, so that the end of the server tells little")
        return len(self._held)

    def finish(self) -> Sequence[str]:
        """Send what was kept back; what is wrong with the answers."""
        return [wrong for upload in self._held if (wrong := upload.finish())]

    def look(self) -> Sequence[str]:
        """Whether the server that was started again has all of them; what is wrong."""
        return [wrong for upload in self._held if (wrong := upload.look())]


class _Upload:
    def __init__(self, port: int, token: str, bodies: Bodies, number: int) -> None:
        self._port = port
        self._key = f"soak/held/{number}"
        self._body = b"".join(bodies.pieces(Version(self._key, 1, _SIZES[number % len(_SIZES)])))
        self._half = len(self._body) // 2
        self._authorization = (b"authorization", f"Bearer {token}".encode())
        self._socket: socket.socket | None = None
        self._answer = Answer("PUT")

    def under_way(self) -> bool:
        """Whether the server has begun to read it. It is begun, or begun again, if need be."""
        try:
            opened = self._opened()
            opened.settimeout(_LONGEST)
            data = opened.recv(_PIECE)
            opened.settimeout(_PATIENCE)
            if data.startswith(b"HTTP/1.1 100"):
                self._answer.feed(data)
                opened.sendall(self._body[: self._half])
                return True
        except TimeoutError:
            return False
        except OSError:
            pass
        self.close()  # there are too many requests at once
        time.sleep(_PAUSE)
        return False

    def finish(self) -> str | None:
        what = f"PUT {self._key} of {len(self._body)} bytes"
        try:
            self._connection().sendall(self._body[self._half :])
            self._receive()
        except (OSError, Malformed) as error:
            return f"cut short: {what} was under way when the server was told to end: {error}"
        if self._answer.status != 200:
            return f"cut short: {what} was under way when the server was told to end: {self._answer.status}"
        return None

    def look(self) -> str | None:
        self.close()
        try:
            self._open("GET", [])
            found = self._receive()
        except (OSError, Malformed) as error:
            return f"no answer: GET {self._key}: {error}"
        if self._answer.status == 404:
            return f"lost: GET {self._key}, which was answered while the server ended"
        if (self._answer.status, found) != (200, self._body):
            return f"wrong body: GET {self._key}: {self._answer.status}, {len(found)} bytes"
        return None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            self._open("PUT", [(b"content-length", b"%d" % len(self._body)), (b"expect", b"100-continue")])
        return self._connection()

    def _open(self, method: str, fields: FieldList) -> None:
        self._socket = socket.create_connection((HOST, self._port), timeout=_PATIENCE)
        self._answer = Answer(method)
        head = format_head(method, f"/objects/{self._key}", HOST, [self._authorization, *fields])
        self._socket.sendall(head)

    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise OSError("the connection is closed")
        return self._socket

    def _receive(self) -> bytes:
        """The body of the answer. Raises OSError, Malformed."""
        found = []
        while not self._answer.done:
            data = self._connection().recv(_PIECE)
            if not data:
                self._answer.end()
                break
            found.append(self._answer.feed(data))
        return b"".join(found)
