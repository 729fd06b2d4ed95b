"""What a transport is: it sends one request to its server, and gives the answer and its body as it comes.

It knows neither keys nor retries. What goes wrong on the way is a `ConnectionFailed`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Protocol, TypeAlias

from objectstore.wire.headers import FieldList, Fields

Outgoing: TypeAlias = bytes | Iterable[bytes | memoryview]
AsyncOutgoing: TypeAlias = bytes | AsyncIterable[bytes | memoryview]


class Response(Protocol):
    """An answer. When it was small enough to come with its head, nothing of it is left to read or to close."""

    status: int
    fields: Fields
    whole: bytes | None  # the body, when all of it is there

    def __iter__(self) -> Iterator[bytes]:
        """The body, once. Raises ConnectionFailed: it ended before its announced end."""
        ...

    def close(self) -> None:
        """Give the connection back; it is cut when the body was not read to its end."""
        ...


class AsyncResponse(Protocol):
    """As `Response`."""

    status: int
    fields: Fields
    whole: bytes | None

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class Transport(Protocol):
    """Safe to use from several threads, and in the child after a fork."""

    def send(self, method: str, target: str, fields: FieldList, body: Outgoing | None) -> Response:
        """The answer to a request. Raises ConnectionFailed, or what iterating over the body raises.

        The fields tell how the length of the body is told. A server that answers with an error before it has all
        of it is sent no more.
        """
        ...

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """As `Transport`; usable from one event loop after another."""

    async def send(self, method: str, target: str, fields: FieldList, body: AsyncOutgoing | None) -> AsyncResponse: ...

    async def aclose(self) -> None: ...
