"""How long an answer is waited for: as long as anything moves, what the kernel holds included.

The kernel takes megabytes of a body at once, and the server reads them in its own time. On a busy machine that takes
minutes, in which its client sees nothing; but what the server has not read yet becomes less.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from objectstore.testing.soak.connection import Connection

LOOKS: Final = 120.0  # seconds between two looks; between two of them something has to have moved
_TABLE: Final = Path("/proc/net/tcp")


@asynccontextmanager
async def patience(connection: Connection, port: int, looks: float = LOOKS) -> AsyncIterator[None]:
    """For the length of one request to the server at `port`. Raises TimeoutError: nothing moves any more."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as waiting:
        seen: tuple[object, ...] = ()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal seen, timer
            found = (*connection.moved, unread(port, connection.place))
            if found == seen:
                waiting.reschedule(loop.time())
            else:
                seen = found
                timer = loop.call_later(looks, look)

        timer = loop.call_later(looks, look)
        try:
            yield
        finally:
            timer.cancel()


def unread(port: int, peer: tuple[str, int]) -> int | None:
    """Bytes of the client at `peer` that the server at `port` has not read yet; None where the kernel does not tell."""
    address, its_port = peer
    other = f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{its_port:04X}"
    with contextlib.suppress(OSError):
        for line in _TABLE.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[2] == other and fields[1].endswith(f":{port:04X}"):
                return int(fields[4].partition(":")[2], 16)
    return None
