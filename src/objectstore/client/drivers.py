"""What performs the steps of flows: one driver that blocks, one that awaits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar, assert_never, cast

from objectstore.client.site import Site
from objectstore.client.sources import AsyncSource, Parts, SyncSource
from objectstore.client.transport import AsyncResponse, AsyncTransport, Response, Transport
from objectstore.wire.flows import Close, Flow, NextPart, Open, Send, Step
from objectstore.wire.replies import MAX_ERROR_CHUNKS, Reply
from objectstore.wire.requests import Request
from objectstore.wire.retries import ConnectionFailed, Pause, Retries

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class Driver:
    """Runs flows over a transport, with a clock and chance of the caller's choosing."""

    def __init__(
        self,
        site: Site,
        transport: Transport,
        retries: Retries,
        *,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.site = site
        self.retries = retries
        self._transport = transport
        self._sleep = sleep
        self._random = random
        self._now = now
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._transport.close()

    def run(self, flow: Flow[T], parts: Parts | None = None) -> T:
        step = partial(next, flow)
        while True:
            try:
                needed = step()
            except StopIteration as done:
                return cast("T", done.value)
            try:
                step = partial(flow.send, self._perform(needed, parts))
            except Exception as error:  # noqa: BLE001  the flow decides; it raises what it does not know
                step = partial(flow.throw, error)

    def _perform(self, needed: Step, parts: Parts | None) -> object:
        match needed:
            case Send(request):
                return self._read(self._send(request))
            case Open(request):
                response = self._send(request)
                if response.status in {200, 206}:
                    return Reply(response.status, response.fields, b"", self._now(), response)
                return self._read(response)
            case Close(reply):
                cast("Response", reply.stream).close()
            case Pause():
                self._sleep(needed.seconds(self._random()))
            case NextPart(size):
                return cast("Parts", parts).take(size)
            case _:
                assert_never(needed)
        return None

    def _send(self, request: Request) -> Response:
        if self._closed:
            raise RuntimeError("this store is closed")
        body = request.body
        outgoing = body if body is None or isinstance(body, bytes) else cast("SyncSource", body).chunks()
        return self._transport.send(request.method, self.site.target(request), self.site.fields(request), outgoing)

    def _read(self, response: Response) -> Reply:
        if response.whole is not None:
            return Reply(response.status, response.fields, response.whole, self._now())
        failed = response.status >= 300
        chunks: list[bytes] = []
        try:
            for chunk in response:
                chunks.append(chunk)
                if failed and len(chunks) == MAX_ERROR_CHUNKS:
                    break
        except ConnectionFailed:
            # An error is one even when its words are cut short.
            if not failed:
                raise
        finally:
            response.close()
        return Reply(response.status, response.fields, b"".join(chunks), self._now())


class AsyncDriver:
    """As `Driver`."""

    def __init__(
        self,
        site: Site,
        transport: AsyncTransport,
        retries: Retries,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.site = site
        self.retries = retries
        self._transport = transport
        self._sleep = sleep
        self._random = random
        self._now = now
        self._closed = False

    async def aclose(self) -> None:
        self._closed = True
        await self._transport.aclose()

    async def run(self, flow: Flow[T], parts: Parts | None = None) -> T:
        step = partial(next, flow)
        while True:
            try:
                needed = step()
            except StopIteration as done:
                return cast("T", done.value)
            try:
                step = partial(flow.send, await self._perform(needed, parts))
            except Exception as error:  # noqa: BLE001  the flow decides; it raises what it does not know
                step = partial(flow.throw, error)

    async def _perform(self, needed: Step, parts: Parts | None) -> object:
        match needed:
            case Send(request):
                return await self._read(await self._send(request))
            case Open(request):
                response = await self._send(request)
                if response.status in {200, 206}:
                    return Reply(response.status, response.fields, b"", self._now(), response)
                return await self._read(response)
            case Close(reply):
                await cast("AsyncResponse", reply.stream).aclose()
            case Pause():
                await self._sleep(needed.seconds(self._random()))
            case NextPart(size):
                return await cast("Parts", parts).atake(size)
            case _:
                assert_never(needed)
        return None

    async def _send(self, request: Request) -> AsyncResponse:
        if self._closed:
            raise RuntimeError("this store is closed")
        body = request.body
        outgoing = body if body is None or isinstance(body, bytes) else cast("AsyncSource", body).achunks()
        target, fields = self.site.target(request), self.site.fields(request)
        return await self._transport.send(request.method, target, fields, outgoing)

    async def _read(self, response: AsyncResponse) -> Reply:
        if response.whole is not None:
            return Reply(response.status, response.fields, response.whole, self._now())
        failed = response.status >= 300
        chunks: list[bytes] = []
        try:
            async for chunk in response:
                chunks.append(chunk)
                if failed and len(chunks) == MAX_ERROR_CHUNKS:
                    break
        except ConnectionFailed:
            # An error is one even when its words are cut short.
            if not failed:
                raise
        finally:
            await response.aclose()
        return Reply(response.status, response.fields, b"".join(chunks), self._now())
