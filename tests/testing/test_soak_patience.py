"""What `objectstore soak` waits for: that anything moves, at the server's end of a connection as well."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

import pytest

from objectstore.testing.soak.connection import HOST, Connection, connect
from objectstore.testing.soak.patience import patience, unread

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what was not read")
SIZE = 200_000  # bytes: the kernel takes them


def test_what_the_server_has_not_read_is_told_of_each_client() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with (
            socket.create_connection((HOST, port), 20) as one,
            socket.create_connection((HOST, port), 20) as other,
            listener.accept()[0] as accepted,
        ):
            one.sendall(b"12345")
            other.sendall(b"123")
            assert accepted.recv(2, socket.MSG_WAITALL) == b"12"
            assert unread(port, one.getsockname()) == 3
            assert accepted.recv(3, socket.MSG_WAITALL) == b"345"
            assert unread(port, one.getsockname()) == 0
            assert unread(port, other.getsockname()) == 3
    assert unread(port, (HOST, 1)) is None


def test_a_server_that_reads_on_is_waited_for_and_one_that_stands_still_is_not() -> None:
    """It is looked at as often as the loop goes round, and the server takes a byte each time, until it takes none."""

    async def wait(connection: Connection, accepted: socket.socket, port: int) -> int:
        read = 0

        def read_on() -> None:
            nonlocal read
            if read < 100:
                read += len(accepted.recv(1))
                asyncio.get_running_loop().call_soon(read_on)

        with contextlib.suppress(TimeoutError):
            async with patience(connection, port, looks=0.0):
                asyncio.get_running_loop().call_soon(read_on)
                await connection.ask("PUT", "/", [], [bytes(SIZE)])
            raise AssertionError("there was no answer")
        return read

    async def run() -> int:
        with socket.create_server((HOST, 0)) as listener:
            port = listener.getsockname()[1]
            connection = await connect(port, HOST, 0)
            accepted, _ = await asyncio.to_thread(listener.accept)
            with accepted:
                accepted.settimeout(20)
                read = await wait(connection, accepted, port)
            connection.close()
            return read

    assert asyncio.run(run()) == 100
