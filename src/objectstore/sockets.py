"""What several layers ask of a connection of the system's."""

from __future__ import annotations

import socket
import struct
from typing import Final

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # struct linger: on, for no second


def drop_unsent(connection: socket.socket) -> None:
    """When it is closed, have what was not sent thrown away, and the other side told by a reset.

    Else the system goes on sending behind our back for as long as it tries. Raises OSError: it has ended.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
