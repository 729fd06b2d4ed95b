"""One request and its response, as the data plane sees them: thin over ASGI, parsed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from objectstore.auth.scopes import Credential
from objectstore.core.streams import bounded
from objectstore.errors import BadRequest, ObjectStoreError, RequestTimeout, TooLarge, Unsupported
from objectstore.server.answers import answer
from objectstore.server.observation.requestid import REQUEST_ID, is_sane, new_request_id
from objectstore.values import Body
from objectstore.wire.errors import format_error, rule_of
from objectstore.wire.headers import FieldList, Fields, fields_of

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Asgi: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


_ERROR_CODE: Final = b"x-error-code"
_LENGTH_DIGITS: Final = 19
_IN_HAND: Final = 64 * 1024  # bytes: shorter bodies are taken whole, which costs less than passing on each piece
_DRAIN_SIZE: Final = 1024 * 1024 * 1024  # bytes
_DRAIN_TIME: Final = 20.0  # seconds; less than a server has by default to end in (SHUTDOWN_TIMEOUT)
_DRAIN_RATE: Final = 4096  # bytes for which it is given another second


BROKEN_BODY: Final = BadRequest("the body broke off, or its chunks are not what they say")


class ClientGone(Exception):
    """The client went away before its request was complete, or before the response was."""


def raw_path_of(scope: Scope) -> bytes:
    """The path as it was sent, percent-encoded, below the application's mount point."""
    raw: bytes | None = scope.get("raw_path")
    path = raw if raw is not None else quote(scope["path"]).encode()
    root: str = scope.get("root_path", "")
    return path.removeprefix(root.encode()) if root else path


class Exchange:
    """A request being answered, and what is known of both when it is over."""

    __slots__ = (
        "_receive",
        "_send",
        "_unread",
        "added",
        "admitted",
        "credential",
        "error",
        "fields",
        "method",
        "raw_path",
        "received",
        "request_id",
        "route",
        "scope",
        "sent",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, raw_path: bytes) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.raw_path = raw_path
        self.fields: Fields = {}
        self._unread = True  # the body, or some of it
        self.added: Sequence[tuple[bytes, bytes]] = ()  # fields that go with whatever is answered
        self.request_id = new_request_id()
        self.route = ""  # the template of the path, when one matches
        self.credential: Credential | None = None  # once it is known whose request it is
        self.admitted = False  # and once it may be carried out
        self.status = 0  # once it has been sent
        self.error = ""  # the code of the error that was told
        self.received = self.sent = 0  # bytes of the bodies

    @property
    def started(self) -> bool:
        """Whether the status has been sent."""
        return self.status != 0

    def parse_fields(self) -> None:
        """Read the header fields. Raises BadRequest."""
        self.fields = fields_of(self.scope["headers"])
        given = self.fields.get(REQUEST_ID)
        if given is not None and is_sane(given):
            self.request_id = given

    @property
    def query(self) -> bytes:
        query: bytes = self.scope["query_string"]
        return query

    @property
    def peer(self) -> str | None:
        """The address at the other end of the connection; None when it has none, as a Unix socket."""
        client = self.scope.get("client")
        return client[0] if client else None

    @property
    def sends_files(self) -> bool:
        """Whether the server can send a file by its name (ASGI extension `http.response.pathsend`)."""
        return "http.response.pathsend" in (self.scope.get("extensions") or ())

    @property
    def content_length(self) -> int | None:
        """Bytes of the body as announced; None when it comes in chunks of unknown number.

        Raises:
            BadRequest: the length is none.
            Unsupported: it is in another coding than chunks (RFC 9112 §6.1).
        """
        value = self.fields.get(b"content-length")
        if value is None:
            coding = self.fields.get(b"transfer-encoding")
            if coding is not None and coding.strip().lower() != b"chunked":
                # Servers undo the chunks alone: what is compressed inside would be stored as if it were the body.
                raise Unsupported("the only transfer coding here is chunked; Content-Encoding is kept as it comes")
            return 0 if coding is None else None
        if not value.isdigit() or len(value) > _LENGTH_DIGITS:
            raise BadRequest("the Content-Length is not a number of bytes")
        return int(value)

    async def body(self, limit: int) -> Body:
        """The body of at most `limit` bytes: a small one in hand when its length is announced, else as it comes.

        Raises (also while it is read):
            TooLarge, ClientGone.
        """
        announced = self.content_length
        if announced is not None and announced > limit:
            raise TooLarge(limit)
        if announced is None:
            return bounded(self._chunks(), limit)
        # The announced length was compared already, and the server holds the client to it.
        return await self._whole(announced) if announced <= _IN_HAND else self._chunks()

    async def _whole(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while self._unread and size > 0:
            pieces.append(await self._piece())
            size -= len(pieces[-1])
        # Some servers tell of the end in a message of its own, which nobody has to wait for.
        self._unread = False
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while self._unread:
            yield await self._piece()

    async def _piece(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        return piece

    async def receive(self) -> Message:
        """The next message of the client, for whoever reads the body."""
        message = await self._receive()
        self._unread = message["type"] == "http.request" and message.get("more_body", False)
        self.received += len(message.get("body", b""))
        return message

    async def drain(self) -> None:
        """Read the rest of a body that nobody wants.

        Many clients listen only after having sent all; a server that closes the connection before that takes the
        answer away from them. Bounded, since nobody is to keep a server busy with what it does not want; but not
        by time alone: a client that has sent all may have sent its next request, too, which is read after that,
        however long a busy server takes for it.
        """
        read, until = 0, asyncio.get_running_loop().time() + _DRAIN_TIME
        with suppress(TimeoutError, RequestTimeout):
            async with asyncio.timeout_at(until) as waiting:
                while self._unread and read < _DRAIN_SIZE:
                    size = len((await self.receive()).get("body", b""))
                    read += size
                    until += size / _DRAIN_RATE
                    waiting.reschedule(until)

    async def client_gone(self) -> None:
        """Returns when the client goes away; to be awaited only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    # These hand the server's own awaitable on: a coroutine around it would cost as much again.

    def start(self, status: int, fields: FieldList) -> Awaitable[None]:
        """Send the status and the fields; the list is the answer's own from then on."""
        told = self._tell(status, fields)
        return self._send({"type": "http.response.start", "status": status, "headers": told})

    def send(self, data: bytes, *, more: bool = False) -> Awaitable[None]:
        self.sent += len(data)
        return self._send({"type": "http.response.body", "body": data, "more_body": more})

    def send_file(self, path: str, size: int) -> Awaitable[None]:
        """Let the server send a whole file, of `size` bytes, as the whole body."""
        self.sent += size
        return self._send({"type": "http.response.pathsend", "path": path})

    async def relay(self, message: Message) -> None:
        """Send what the framework answers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            fields = message["headers"] = [*message["headers"], (REQUEST_ID, self.request_id), *self.added]
            if self.status >= 400:
                self.error = next((value.decode() for name, value in fields if name == _ERROR_CODE), "")
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def respond(self, status: int, fields: FieldList, body: bytes = b"") -> None:
        """A whole response; a HEAD gets it without the body."""
        told = self._tell(status, fields)
        if self.method == "HEAD":
            body = b""
        self.sent += len(body)
        if not answer(self._send, status, told, body):
            await self._send({"type": "http.response.start", "status": status, "headers": told})
            await self._send({"type": "http.response.body", "body": body})

    def _tell(self, status: int, fields: FieldList) -> FieldList:
        """What goes out as the fields of the answer that is begun."""
        self.status = status
        fields.append((REQUEST_ID, self.request_id))
        if self.added:
            fields.extend(self.added)
        return fields

    async def refuse_broken_body(self) -> None:
        """Tell of a body that broke off, should anybody still listen. For the log the client went away.

        Granian has the one message for a client that went away and for one whose chunks are none.
        """
        _, fields, body = format_error(BROKEN_BODY)
        told = [*fields, (REQUEST_ID, self.request_id), (b"connection", b"close")]
        await self._send({"type": "http.response.start", "status": 400, "headers": told})
        await self._send({"type": "http.response.body", "body": body})

    async def refuse(self, error: ObjectStoreError) -> None:
        """Tell of an error."""
        self.error = rule_of(error).code
        await self.respond(*format_error(error))
