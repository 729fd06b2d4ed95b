"""Signed requests to a bucket: what the library that moves the bodies has no calls for."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from objectstore.backends.cloud import answers
from objectstore.backends.cloud.credentials import Identify
from objectstore.backends.cloud.failures import RETRY_AFTER, code_in, of_status
from objectstore.backends.cloud.settings import BucketSettings
from objectstore.backends.cloud.spool import Spool
from objectstore.client.transport import AsyncResponse, async_transport_to
from objectstore.core.sigv4 import EMPTY_PAYLOAD, canonical_query, signed_headers
from objectstore.errors import Unavailable
from objectstore.wire.retries import ConnectionFailed

Query: TypeAlias = tuple[tuple[str, str], ...]

_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_DELAY: Final = 0.1  # seconds before the second try, doubled for each one after
_DONE: Final = 204
_OK: Final = frozenset({200, _DONE, 206})


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, before it is signed."""

    method: str
    key: str | None = None  # None: about the bucket
    query: Query = ()
    headers: Mapping[str, str] | None = None  # lower-case names
    body: bytes | Spool = b""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    fields: Mapping[str, str]  # lower-case names
    body: bytes


class Service:
    """Asks again, a few times, what failed on the way or was refused for lack of room; gives up in time."""

    def __init__(self, name: str, settings: BucketSettings, identify: Identify) -> None:
        self._name = name
        self._settings = settings
        self._identify = identify
        self._host = urlsplit(settings.origin).netloc
        patience = settings.patience
        self._transport = async_transport_to(
            settings.origin, timeout=patience.read, max_connections=patience.connections
        )

    async def close(self) -> None:
        await self._transport.aclose()

    async def ask(self, ask: Ask) -> Answer:
        """The answer, read to its end. Raises as `failures.of_status` says, and Unavailable."""
        # A piece of a body takes as long as the network needs; every single read and write of it is timed.
        limit = nullcontext() if isinstance(ask.body, Spool) else asyncio.timeout(self._settings.patience.deadline)
        try:
            async with limit:
                return await self._patiently(ask)
        except TimeoutError as error:
            raise Unavailable(f"{self._name} did not answer in time", retry_after=RETRY_AFTER) from error

    async def ask_xml(self, ask: Ask, root: str) -> Element:
        """As `ask`, for an answer in XML. An error may come with status 200: one that happened after the head."""
        answer = await self.ask(ask)
        try:
            return answers.parse(answer.body, root)
        except answers.Garbled as error:
            raise self.garbled(error, answer, ask) from error

    def garbled(self, error: answers.Garbled, answer: Answer, ask: Ask) -> Exception:
        code = code_in(answer.body.decode(errors="replace"))
        if code is not None:
            status = 412 if code in {"PreconditionFailed", "ConditionalRequestConflict"} else 500
            return of_status(self._name, status, code, ask.key or "")
        return Unavailable(f"{self._name} gave an answer that makes no sense: {error}", retry_after=RETRY_AFTER)

    async def change(self, ask: Ask, acknowledgement: str) -> Answer:
        """As `ask`, for an answer that is only one of the service when it has that header."""
        answer = await self.ask(ask)
        if not answer.fields.get(acknowledgement) and answer.status != _DONE:
            raise Unavailable(f"{self._name} does not acknowledge a change", retry_after=RETRY_AFTER)
        return answer

    @asynccontextmanager
    async def stream(self, ask: Ask) -> AsyncIterator[AsyncResponse]:
        """The answer before its body is read; it is given up when it is left early."""
        try:
            async with asyncio.timeout(self._settings.patience.deadline):
                response = await self._send(ask)
        except (TimeoutError, ConnectionFailed) as error:
            raise self._unreachable(error) from error
        try:
            if response.status not in _OK:
                await self._raise(ask, await _read(response))
            yield response
        except ConnectionFailed as error:
            raise self._unreachable(error) from error
        finally:
            await response.aclose()

    async def _patiently(self, ask: Ask) -> Answer:
        for retry in range(self._settings.patience.retries + 1):
            last = retry == self._settings.patience.retries
            try:
                response = await self._send(ask)
                try:
                    answer = await _read(response)
                finally:
                    await response.aclose()
            except ConnectionFailed as error:
                if last:
                    raise self._unreachable(error) from error
            else:
                if answer.status in _OK:
                    return answer
                if last or answer.status not in _AGAIN:
                    await self._raise(ask, answer)
            # With full jitter: those that were refused together do not come back together.
            await asyncio.sleep(random.uniform(0, _DELAY * 2**retry))  # noqa: S311  not a secret
        raise AssertionError("the last try returns or raises")

    async def _send(self, ask: Ask) -> AsyncResponse:
        settings = self._settings
        path = settings.path if ask.key is None else settings.path_of(ask.key)
        sent = {"host": self._host, **(ask.headers or {})}
        if isinstance(ask.body, Spool):
            payload, size = ask.body.sha256, ask.body.size
        else:
            payload = hashlib.sha256(ask.body).hexdigest() if ask.body else EMPTY_PAYLOAD
            size = len(ask.body)
        signed = signed_headers(
            ask.method,
            path,
            ask.query,
            sent,
            payload_hash=payload,
            credentials=(await self._identify()).credentials,
            region=settings.region,
            now=datetime.now(UTC),
        )
        del signed["host"]
        fields = [(name.encode(), value.encode()) for name, value in signed.items()]
        if size or ask.method in {"PUT", "POST"}:
            fields.append((b"content-length", str(size).encode()))
        target = f"{path}?{canonical_query(ask.query)}" if ask.query else path
        return await self._transport.send(ask.method, target, fields, ask.body)

    async def _raise(self, ask: Ask, answer: Answer) -> None:
        wait = answer.fields.get("retry-after", "")
        code = code_in(answer.body.decode(errors="replace"))
        raise of_status(self._name, answer.status, code, ask.key or "", float(wait) if wait.isdecimal() else None)

    def _unreachable(self, error: Exception) -> Unavailable:
        reason = "did not answer in time" if isinstance(error, TimeoutError) else f"cannot be reached: {error}"
        return Unavailable(f"{self._name} {reason}", retry_after=RETRY_AFTER)


async def _read(response: AsyncResponse) -> Answer:
    body = bytearray()
    async for chunk in response:
        body += chunk
        if len(body) > answers.MAX_ANSWER:
            raise ConnectionFailed("the answer has no end", sent=True)
    return Answer(response.status, text_fields(response), bytes(body))


def text_fields(response: AsyncResponse) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in response.fields.items()}
