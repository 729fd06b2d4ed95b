"""Connections to Redis: none that is of no use is given out, and what was not sent on one goes with it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Connection

from objectstore.sockets import drop_unsent


class Pool(BlockingConnectionPool):
    """Gives out no connection that was reset while it was idle; of one that was closed the library takes care."""

    def __init__(self, *, connection_class: type[Any] = Connection, **options: Any) -> None:
        abrupt = type(f"Abrupt{connection_class.__name__}", (_Abrupt, connection_class), {})
        super().__init__(connection_class=abrupt, **options)

    async def ensure_connection(self, connection: Any) -> None:
        writer = getattr(connection, "_writer", None)
        if writer is not None and writer.is_closing():
            await connection.disconnect()
        await super().ensure_connection(connection)


class _Abrupt:
    """Of any class of connections: what was not sent when it is given up is not sent any more.

    The library closes a connection on which something took too long, and what is written to it goes out behind its
    back for as long as the system tries: a write would come true when others have been made since.
    """

    async def disconnect(self, nowait: bool = False, **reason: Any) -> None:
        writer = getattr(self, "_writer", None)
        if nowait and writer is not None:
            with suppress(OSError):  # it has ended
                drop_unsent(writer.get_extra_info("socket"))
            writer.transport.abort()
        of_library: Any = super()
        await of_library.disconnect(nowait, **reason)
