"""Events sent to an HTTP address, in the background: signed, tried again, given up with a line in the log.

Requests are those of Standard Webhooks (standardwebhooks.com), for which receivers find libraries: `webhook-id` is
the event's and stays the same when it is sent again, `webhook-timestamp` is the time of sending in seconds, and
`webhook-signature` is `v1,` and the Base64 of the HMAC-SHA-256 of `ID.TIMESTAMP.BODY`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from objectstore.client.transport import AsyncResponse, async_transport_to
from objectstore.errors import ConfigurationError, Unavailable
from objectstore.wire.retries import ConnectionFailed

_log: Final = logging.getLogger("objectstore.webhooks")
PAUSES: Final = (1.0, 5.0, 25.0, 125.0)  # seconds before each further try
CAPACITY: Final = 10_000  # events that wait; each takes about a KiB
LANES: Final = 4  # requests at the same time
TIMEOUT: Final = 10.0  # seconds for one try
_ANSWER: Final = 64 * 1024  # bytes of an answer that are read
GRACE: Final = 10.0  # seconds for what is left at the end
_ENCODED_SECRET: Final = "whsec_"  # noqa: S105  the mark of a secret in Base64, not one


@dataclass(frozen=True, slots=True)
class Message:
    """One event as it is sent."""

    id: str
    body: bytes


class Webhook:
    """The receiver: an http or https URL, and the secret that it shares with us.

    A secret that starts with `whsec_` is Base64, as Standard Webhooks has it; the bytes of any other are the key.

    Raises (on construction):
        ConfigurationError: the URL or the secret cannot be used.
    """

    def __init__(self, url: str, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        origin, self._target = split_url(url)
        self._key = signing_key(secret)
        self._clock = clock
        self.host = urlsplit(origin).netloc
        self._transport = async_transport_to(origin, timeout=TIMEOUT, max_connections=LANES)

    async def send(self, message: Message) -> None:
        """Returns when the receiver has answered with 2xx. Raises Unavailable."""
        timestamp = str(int(self._clock()))
        fields = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(message.body)),
            (b"user-agent", b"objectstore"),
            (b"webhook-id", message.id.encode()),
            (b"webhook-timestamp", timestamp.encode()),
            (b"webhook-signature", sign(self._key, message, timestamp).encode()),
        ]
        try:
            async with asyncio.timeout(TIMEOUT):
                response = await self._transport.send("POST", self._target, fields, message.body)
                await _pass_over(response)
        except (ConnectionFailed, TimeoutError) as error:
            raise Unavailable(str(error) or f"{self.host} did not answer within {TIMEOUT:g} s") from error
        if not 200 <= response.status < 300:
            raise Unavailable(f"{self.host} answered with status {response.status}")

    async def aclose(self) -> None:
        await self._transport.aclose()


async def _pass_over(response: AsyncResponse) -> None:
    """Read a body of usual size, so that the connection can be used again."""
    received = 0
    try:
        # The status is known: a body that breaks off changes nothing.
        with suppress(ConnectionFailed):
            async for chunk in response:
                received += len(chunk)
                if received > _ANSWER:
                    break
    finally:
        await response.aclose()


def split_url(url: str) -> tuple[str, str]:
    """Origin and target of a request to `url`. Raises ConfigurationError, which does not show it."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and url.isascii():
            query = f"?{parts.query}" if parts.query else ""
            return f"{parts.scheme}://{parts.netloc}", (parts.path or "/") + query
    raise ConfigurationError(
        "the URL of a webhook is http:// or https://, a host and a path, without user and password"
    )


def signing_key(secret: str) -> bytes:
    """The key that signs. Raises ConfigurationError, which does not show the secret."""
    if not secret:
        raise ConfigurationError("a webhook is signed: its secret is not empty")
    if not secret.startswith(_ENCODED_SECRET):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_ENCODED_SECRET), validate=True)
    except binascii.Error:
        raise ConfigurationError("what follows 'whsec_' in the secret of a webhook is Base64") from None


def sign(key: bytes, message: Message, timestamp: str) -> str:
    """The value of `webhook-signature`."""
    signed = f"{message.id}.{timestamp}.".encode() + message.body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Outbox:
    """Messages on their way. Opened and closed by `async with`; `add` never waits.

    Messages about one subject are sent one after the other, in the order in which they were added. One that fails
    is tried again after each of the pauses and then given up. Closing gives each that is left one more try, within
    the seconds of grace altogether.
    """

    def __init__(
        self, webhook: Webhook, *, pauses: Sequence[float] = PAUSES, capacity: int = CAPACITY, grace: float = GRACE
    ) -> None:
        self._webhook = webhook
        self._pauses = tuple(pauses)
        self._capacity = capacity
        self._grace = grace
        self._waiting = 0  # messages not yet sent or given up
        self._dropped = 0
        self._lanes: list[asyncio.Queue[Message | None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._closing = asyncio.Event()
        self._waiting = 0
        self._lanes = [asyncio.Queue() for _ in range(LANES)]
        self._tasks = [asyncio.create_task(self._run(lane)) for lane in self._lanes]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        for lane in self._lanes:
            lane.put_nowait(None)
        try:
            await asyncio.wait(self._tasks, timeout=self._grace)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._webhook.aclose()
            self._tell_dropped()
            if self._waiting:
                _log.error("webhook %s: %d events were not sent in time", self._webhook.host, self._waiting)

    def add(self, subject: str, message: Message) -> None:
        """Have the message sent; when too many wait already it is dropped, which the log tells."""
        if self._waiting >= self._capacity:
            self._dropped += 1
            if self._dropped == 1:
                _log.error("webhook %s: %d events wait; new ones are dropped", self._webhook.host, self._waiting)
            return
        self._tell_dropped()
        self._waiting += 1
        self._lanes[zlib.crc32(subject.encode()) % LANES].put_nowait(message)

    def _tell_dropped(self) -> None:
        if self._dropped:
            _log.error("webhook %s: %d events were dropped", self._webhook.host, self._dropped)
            self._dropped = 0

    async def _run(self, lane: asyncio.Queue[Message | None]) -> None:
        while (message := await lane.get()) is not None:
            try:
                await self._deliver(message)
            except Exception:  # noqa: BLE001  the outermost handler of this task
                # Not foreseen, and no reason to leave all the others lying.
                _log.exception("webhook %s: event %s is given up", self._webhook.host, message.id)
            self._waiting -= 1

    async def _deliver(self, message: Message) -> None:
        for pause in (*self._pauses, None):
            try:
                return await self._webhook.send(message)
            except Unavailable as error:
                if pause is None or self._closing.is_set():
                    _log.error("webhook %s: event %s is given up: %s", self._webhook.host, message.id, error)
                    return None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)
        return None
