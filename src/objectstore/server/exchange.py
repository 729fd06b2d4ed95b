"""One request and its response, as the data plane sees them: thin over ASGI, parsed once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from objectstore.core.streams import bounded
from objectstore.errors import BadRequest, ObjectStoreError, TooLarge
from objectstore.values import Body
from objectstore.wire.errors import format_error
from objectstore.wire.headers import FieldList, Fields, fields_of

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class ClientGone(Exception):
    """The client went away before its request was complete, or before the response was."""


def raw_path_of(scope: Scope) -> bytes:
    """The path as it was sent, percent-encoded, below the application's mount point."""
    raw: bytes | None = scope.get("raw_path")
    path = raw if raw is not None else quote(scope["path"]).encode()
    root: str = scope.get("root_path", "")
    return path.removeprefix(root.encode()) if root else path


class Exchange:
    """A request being answered. `started` tells whether the status has been sent."""

    __slots__ = ("_receive", "_scope", "_send", "fields", "method", "raw_path", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send, raw_path: bytes) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.raw_path = raw_path
        self.fields: Fields = {}
        self.started = False

    def parse_fields(self) -> None:
        """Read the header fields. Raises BadRequest."""
        self.fields = fields_of(self._scope["headers"])

    @property
    def query(self) -> bytes:
        query: bytes = self._scope["query_string"]
        return query

    @property
    def sends_files(self) -> bool:
        """Whether the server can send a file by its name (ASGI extension `http.response.pathsend`)."""
        return "http.response.pathsend" in (self._scope.get("extensions") or ())

    @property
    def content_length(self) -> int | None:
        """Bytes of the body as announced; None when it comes in chunks of unknown number. Raises BadRequest."""
        value = self.fields.get(b"content-length")
        if value is None:
            return None if b"transfer-encoding" in self.fields else 0
        if not value.isdigit() or len(value) > _LENGTH_DIGITS:
            raise BadRequest("the Content-Length is not a number of bytes")
        return int(value)

    async def body(self, limit: int) -> Body:
        """The body of at most `limit` bytes: in hand when it came as one piece, else as it comes.

        Raises (also while it is read):
            TooLarge, ClientGone.
        """
        announced = self.content_length
        if announced is not None and announced > limit:
            raise TooLarge(limit)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        first: bytes = message.get("body", b"")
        if message.get("more_body", False):
            rest = self._chunks(first)
            # An announced length was compared already, and the server holds the client to it.
            return rest if announced is not None else bounded(rest, limit)
        if len(first) > limit:
            raise TooLarge(limit)
        return first

    async def _chunks(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            yield message.get("body", b"")

    async def client_gone(self) -> None:
        """Returns when the client goes away; to be awaited only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, fields: FieldList) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    async def send(self, data: bytes, *, more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def send_file(self, path: str) -> None:
        """Let the server send a whole file as the whole body."""
        await self._send({"type": "http.response.pathsend", "path": path})

    async def respond(self, status: int, fields: FieldList, body: bytes = b"") -> None:
        """A whole response; a HEAD gets it without the body."""
        await self.start(status, fields)
        await self.send(b"" if self.method == "HEAD" else body)

    async def refuse(self, error: ObjectStoreError) -> None:
        """Tell of an error."""
        await self.respond(*format_error(error))


_LENGTH_DIGITS: Final = 19
