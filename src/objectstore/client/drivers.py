"""What performs the steps of flows: one driver that blocks, one that awaits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import aclosing, closing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar, assert_never, cast

from objectstore.client.brief import Briefly
from objectstore.client.gathering import Outcome, by_tasks, by_threads, in_thread
from objectstore.client.site import Site
from objectstore.client.sources import CHUNK, AsyncSource, InHand, Parts, SyncSource
from objectstore.client.steps import AnyStep, Brief, Gather, Local, Pour, Work
from objectstore.client.stopping import Stop, Stopped
from objectstore.client.transport import AsyncOutgoing, AsyncResponse, AsyncTransport, Response, Transport
from objectstore.wire.flows import Close, NextPart, Open, Send
from objectstore.wire.replies import MAX_ERROR_CHUNKS, Reply
from objectstore.wire.requests import Request
from objectstore.wire.retries import ConnectionFailed, Pause, Retries

T = TypeVar("T")
# What is handed to a thread at once of a body that is poured out.
_POURED: Final = 1024 * 1024  # bytes
_MOST_HELD: Final = 256  # chunks
_LONGEST_HELD: Final = 0.2  # seconds, for those who watch the progress


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

    def run(self, work: Work[T], parts: Parts | None = None) -> T:
        """What comes of the work; `parts` is what it reads piece by piece."""
        return self._run(work, parts, None)

    def each(self, works: Iterable[Work[T]], limit: int, *, ordered: bool = False) -> Generator[Outcome[T]]:
        """What came of each work, as they come or in their order. Closed early, it stops those under way."""
        return self._each(works, limit, Stop(), ordered=ordered)

    def _run(self, work: Work[T], parts: Parts | None, stop: Stop | None) -> T:
        step = partial(next, work)
        opened: Reply | None = None
        while True:
            try:
                needed = step()
            except StopIteration as done:
                return cast("T", done.value)
            try:
                answer = self._perform(needed, parts, stop)
                step = partial(work.send, answer)
                if isinstance(needed, Open):
                    opened = cast("Reply", answer)
            except Exception as error:
                if isinstance(error, Stopped):
                    self._give_up(work, opened)
                    raise
                step = partial(work.throw, error)
            except BaseException:
                self._give_up(work, opened)
                raise

    def _give_up(self, work: Work[T], opened: Reply | None) -> None:
        # What it holds open is closed now, not whenever the collector comes.
        work.close()
        if opened is not None and opened.stream is not None:
            cast("Response", opened.stream).close()

    def _perform(self, needed: AnyStep, parts: Parts | None, stop: Stop | None) -> object:
        if stop is not None:
            stop.check()
        match needed:
            case Send(request):
                return self._read(self._send(request, stop))
            case Open(request, take_whole):
                response = self._send(request, stop)
                if response.status in {200, 206} and not (take_whole and response.whole is not None):
                    return Reply(response.status, response.fields, b"", self._now(), response)
                return self._read(response)
            case Close(reply):
                cast("Response", reply.stream).close()
            case Pause():
                self._wait(needed.seconds(self._random()), stop)
            case NextPart(size):
                return cast("Parts", parts).take(size)
            case Local(call) | Brief(call):
                return call()
            case Pour(reply, sink):
                self._pour(cast("Response", reply.stream), sink, stop)
            case Gather(works, limit):
                self._gather(works, limit, stop or Stop())
            case _:
                assert_never(needed)
        return None

    def _wait(self, seconds: float, stop: Stop | None) -> None:
        # A clock of the caller's is kept to; the usual one is to end as soon as nobody waits for it.
        if stop is None or self._sleep is not time.sleep:
            self._sleep(seconds)
        else:
            stop.sleep(seconds)

    def _pour(self, response: Response, sink: Callable[[Sequence[bytes]], None], stop: Stop | None) -> None:
        with closing(response):
            for chunk in response if stop is None else stop.watched(response):
                sink((chunk,))

    def _gather(self, works: Iterable[Work[Any]], limit: int, stop: Stop) -> None:
        with closing(self._each(works, limit, stop)) as outcomes:
            for one in outcomes:
                one.get()

    def _each(
        self, works: Iterable[Work[T]], limit: int, stop: Stop, *, ordered: bool = False
    ) -> Generator[Outcome[T]]:
        return by_threads(lambda work, own: self._run(work, None, own), works, limit, stop, ordered=ordered)

    def _send(self, request: Request, stop: Stop | None = None) -> Response:
        if self._closed:
            raise RuntimeError("this store is closed")
        body = request.body
        outgoing = body if body is None or isinstance(body, bytes) else cast("SyncSource", body).chunks()
        if stop is not None and outgoing is not None and not isinstance(outgoing, bytes):
            outgoing = stop.watched(outgoing)
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
        self._briefly = Briefly()

    async def aclose(self) -> None:
        self._closed = True
        await self._transport.aclose()

    async def run(self, work: Work[T], parts: Parts | None = None) -> T:
        step = partial(next, work)
        opened: Reply | None = None
        while True:
            try:
                needed = step()
            except StopIteration as done:
                return cast("T", done.value)
            try:
                answer = await self._perform(needed, parts)
                step = partial(work.send, answer)
                if isinstance(needed, Open):
                    opened = cast("Reply", answer)
            except Exception as error:  # noqa: BLE001  the work decides; it raises what it does not know
                step = partial(work.throw, error)
            except BaseException:
                work.close()
                if opened is not None and opened.stream is not None:
                    await cast("AsyncResponse", opened.stream).aclose()
                raise

    def each(self, works: Iterable[Work[T]], limit: int, *, ordered: bool = False) -> AsyncGenerator[Outcome[T], None]:
        """As `Driver.each`."""
        return by_tasks(self.run, works, limit, ordered=ordered)

    async def _perform(self, needed: AnyStep, parts: Parts | None) -> object:
        match needed:
            case Send(request):
                return await self._read(await self._send(request))
            case Open(request, take_whole):
                response = await self._send(request)
                if response.status in {200, 206} and not (take_whole and response.whole is not None):
                    return Reply(response.status, response.fields, b"", self._now(), response)
                return await self._read(response)
            case Close(reply):
                await cast("AsyncResponse", reply.stream).aclose()
            case Pause():
                await self._sleep(needed.seconds(self._random()))
            case NextPart(size):
                return await cast("Parts", parts).atake(size)
            case Brief(call):
                return await self._briefly.make(call)
            case Local(call):
                return await in_thread(call)
            case Pour(reply, sink):
                await self._pour(cast("AsyncResponse", reply.stream), sink)
            case Gather(works, limit):
                await self._gather(works, limit)
            case _:
                assert_never(needed)
        return None

    async def _pour(self, response: AsyncResponse, sink: Callable[[Sequence[bytes]], None]) -> None:
        # Handing a chunk to a thread costs as much as writing it: some go together, unless they come slowly.
        held: list[bytes] = []
        size, since = 0, time.monotonic()
        async with aclosing(response):
            try:
                async for chunk in response:
                    held.append(chunk)
                    size += len(chunk)
                    if size >= _POURED or len(held) == _MOST_HELD or time.monotonic() > since + _LONGEST_HELD:
                        poured, held, size = held, [], 0
                        await in_thread(partial(sink, poured))
                        since = time.monotonic()
            except ConnectionFailed:
                # What has come is not asked for again.
                if held:
                    await in_thread(partial(sink, held))
                raise
            if held:
                await in_thread(partial(sink, held))

    async def _gather(self, works: Iterable[Work[Any]], limit: int) -> None:
        async with aclosing(self.each(works, limit)) as outcomes:
            async for one in outcomes:
                one.get()

    async def _send(self, request: Request) -> AsyncResponse:
        if self._closed:
            raise RuntimeError("this store is closed")
        body = request.body
        outgoing: AsyncOutgoing | None
        if isinstance(body, InHand) and body.size <= CHUNK:
            outgoing = body.whole()
        else:
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
