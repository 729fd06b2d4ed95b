"""A receiver of webhooks: a small HTTP server on loopback, in the loop of the test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

SECRET = "a secret of both"


@dataclass
class Delivery:
    """One request as it came."""

    target: str
    fields: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verified(self) -> bool:
        """Whether the signature is right, worked out as receivers do."""
        signed = f"{self.fields['webhook-id']}.{self.fields['webhook-timestamp']}.".encode() + self.body
        mac = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        return self.fields["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


class Receiver:
    """Answers with the statuses that it is given, then with 204; while it is `held`, with nothing."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.statuses: list[int] = []
        self.body = b""
        self.connections = 0
        self.released = asyncio.Event()
        self.released.set()
        self._came = asyncio.Condition()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?to=me"

    async def come(self, count: int) -> list[Delivery]:
        """The deliveries, once there are so many."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.deliveries) >= count)
        return self.deliveries

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (delivery := await _request(reader)) is not None:
                async with self._came:
                    self.deliveries.append(delivery)
                    self._came.notify_all()
                await self.released.wait()
                status = self.statuses.pop(0) if self.statuses else 200
                head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(self.body)}\r\n\r\n"
                writer.write(head.encode() + self.body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender has given up
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Delivery | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    assert method == "POST"
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Delivery(target, fields, await reader.readexactly(int(fields["content-length"])))


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port, which ends with the block."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    before = asyncio.all_tasks()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.close()
        # Those that serve a connection end with it.
        await asyncio.gather(*(asyncio.all_tasks() - before - {asyncio.current_task()}), return_exceptions=True)
