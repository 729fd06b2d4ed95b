"""Answers in one piece under uvicorn.

Told of an answer in the two messages of ASGI, it writes the head and the body by a system call each, and puts every
field through two regular expressions: that costs more than all that is done here for a small object. An answer that
is at hand as a whole is put together here and written at once, by the same rules; whatever is out of the ordinary is
left to uvicorn's own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from objectstore.server.amending import is_known, module_of_uvicorn
from objectstore.wire.headers import FieldList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_COPIED: Final = 16 * 1024  # bytes of a body that are copied behind the head: for so few that costs less
_MOST_NAMES: Final = 1024  # those of metadata are the clients' own
_BODILESS: Final = frozenset({204, 304})
_UNUSUAL: Final = frozenset({b"connection", b"transfer-encoding", b"upgrade"})  # they change how the body goes
_TOKEN: Final = bytes(range(ord("a"), ord("z") + 1)) + b"0123456789!#$%&'*+-.^_`|~"  # RFC 9110 §5.6.2, in small letters
_VALUE: Final = bytes(code for code in range(256) if (code >= 0x20 and code != 0x7F) or code == 0x09)

_names: Final[dict[bytes, bytes]] = {}  # by the name of a field: its line up to the value
_lines: Final[list[bytes]] = []  # by status
_cycle: type[RequestResponseCycle] | None = None


def find_uvicorn() -> None:
    """Answer in one piece from now on, when it is uvicorn that this process runs, of a version that is known."""
    global _cycle  # noqa: PLW0603  of the process: which server it runs
    protocol = module_of_uvicorn("protocols.http.httptools_impl")
    if protocol is None or not is_known():  # with any other version answers go in messages
        return
    _lines[:] = [protocol.STATUS_LINE.get(status, b"").removesuffix(b"\r\n") for status in range(600)]
    _cycle = protocol.RequestResponseCycle


def answer(send: object, status: int, fields: FieldList, body: bytes) -> bool:
    """Answer the request that `send` belongs to. False: nothing was done, and it has to be sent in messages."""
    cycle: RequestResponseCycle | None = getattr(send, "__self__", None)
    if type(cycle) is not _cycle or cycle is None:
        return False
    if cycle.response_started or cycle.disconnected or not cycle.keep_alive or cycle.access_log:
        return False
    if cycle.flow.write_paused:
        return False
    if not (_bodiless(cycle, status, body) or (b"content-length", b"%d" % len(body)) in fields):
        return False
    head = _head(_lines[status], [*cycle.default_headers, *fields])
    if head is None:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    if len(body) <= _COPIED:
        cycle.transport.write(head + body)
    else:
        cycle.transport.writelines((head, body))
    cycle.message_event.set()
    cycle.on_response()
    return True


def _bodiless(cycle: RequestResponseCycle, status: int, body: bytes) -> bool:
    return not body and (status in _BODILESS or cycle.scope["method"] == "HEAD")


def _head(line: bytes, fields: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """The head of an answer; None with a field that is not for here."""
    try:
        lines = b"".join([_names[name] + value for name, value in fields])
    except KeyError:
        if not all(_learn(name) for name, _ in fields):
            return None
        lines = b"".join([_names[name] + value for name, value in fields])
    # Nothing but the ends of the lines may be a control character, or a value could begin a line of its own.
    if lines.translate(None, _VALUE) != b"\r\n" * len(fields):
        return None
    return b"%b%b\r\n\r\n" % (line, lines)


def _learn(name: bytes) -> bool:
    if not name or name in _UNUSUAL or name.translate(None, _TOKEN):
        return False
    if len(_names) >= _MOST_NAMES:
        _names.clear()
    _names[name] = b"\r\n%b: " % name
    return True
