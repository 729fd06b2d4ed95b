"""Bounds for the head of a request under uvicorn, which has none of its own: those that Granian has.

Its parser keeps the target, each field and each trailer of a request for as long as more of them come: whoever can
reach the port fills the memory of the server with one request, without any token. There is no setting against it.

Three more things of it are put right here, which matter to proxies in front and to who sends requests back to back:
trailers are no header fields; an error in a request is never the answer to the one before; and what follows a request
to speak another protocol, as in `Upgrade: h2c`, which nobody answers, is not waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from objectstore.server.amending import Method, amend
from objectstore.wire.records import dump

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_SIZE: Final = 64 * 1024  # bytes; of what arrives at once a little more may be held for a moment
MAX_FIELDS: Final = 100

_REASON: Final = f"a request has at most {MAX_FIELDS} header fields, and {MAX_HEAD_SIZE} bytes of them with its target"
_BODY: Final = dump({"error": {"code": "head_too_large", "message": _REASON}})
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"x-error-code: head_too_large\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class _HeadTooLarge(Exception):
    """Stops the parser."""


def amend_uvicorn() -> None:
    """Amend the class by which uvicorn, if this process runs it, speaks HTTP. Its other parsers have bounds."""
    amend("protocols.http.httptools_impl", "HttpToolsProtocol", _amended)


def _amended(uvicorn: type[HttpToolsProtocol]) -> Iterable[Method]:
    received, completed, got_body = uvicorn.data_received, uvicorn.on_headers_complete, uvicorn.on_body
    refused = uvicorn.send_400_response

    def data_received(self: HttpToolsProtocol, data: bytes) -> None:
        state = vars(self)
        state["fruitless"] = state.get("fruitless", 0) + len(data)
        received(self, data)
        # Nothing is set to 0 by bytes that lead neither to a request nor to a piece of a body.
        if state["fruitless"] > MAX_HEAD_SIZE and not self.transport.is_closing():
            refuse(self)

    def on_headers_complete(self: HttpToolsProtocol) -> None:
        state = vars(self)
        too_long = state["fruitless"] > MAX_HEAD_SIZE and _size(self) > MAX_HEAD_SIZE
        if too_long or len(self.headers) > MAX_FIELDS:
            state["too_large"] = True
            raise _HeadTooLarge
        state["fruitless"] = 0
        completed(self)
        if not self.parser.should_upgrade():
            self.headers = []  # for trailers: the request has its own list by now
        elif cycle := _under_way(self):  # there is none for a WebSocket
            cycle.keep_alive = False

    def on_body(self: HttpToolsProtocol, body: bytes) -> None:
        vars(self)["fruitless"] = 0
        got_body(self, body)

    def send_400_response(self: HttpToolsProtocol, msg: str) -> None:
        refuse(self, msg)

    def refuse(self: HttpToolsProtocol, msg: str = "") -> None:
        cycle = _under_way(self)
        if cycle is not None:
            if not cycle.more_body:
                cycle.keep_alive = False  # that one is to be answered, and nothing after it
                return
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
        if msg and "too_large" not in vars(self):
            refused(self, msg)
        else:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    return data_received, on_headers_complete, on_body, send_400_response


def _under_way(protocol: HttpToolsProtocol) -> RequestResponseCycle | None:
    """The last request, while it is not answered."""
    cycle: RequestResponseCycle | None = protocol.cycle
    return None if cycle is None or cycle.response_complete else cycle


def _size(protocol: HttpToolsProtocol) -> int:
    return len(protocol.url) + sum(len(name) + len(value) for name, value in protocol.headers)
