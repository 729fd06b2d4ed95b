"""Stores to copy between, and someone who writes down what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from objectstore.backends import reading
from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import NotFound, Unsupported
from objectstore.testing.suite.harness import found
from objectstore.transfer import Event, Failed, Options, Warned
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)
from objectstore.wire.retries import Retries
from objectstore.wrappers.forwarding import GET, PUT, Forwarding

T = TypeVar("T")

AT_ONCE = Retries(delay=0)


def options(**given: Any) -> Options:
    """Options of a copy that does not wait before it tries again."""
    return Options(**{"retries": AT_ONCE, **given})


def run(scenario: Coroutine[Any, Any, T]) -> T:
    """What the scenario returns; no task is left when it ends."""

    async def tidy() -> T:
        result = await scenario
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return asyncio.run(tidy())


async def contents(backend: Backend, prefix: str = "") -> dict[str, bytes]:
    """Every object below the prefix."""
    objects: dict[str, bytes] = {}
    start: str | None = ""
    while start is not None:
        page = await backend.list(ListQuery(prefix=prefix, start=start, limit=1000))
        for key in page.keys:
            objects[key] = (await found(backend, key) or (None, b""))[1]
        start = page.next_start
    return objects


class Record:
    """Remembers everything that it is told."""

    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        self.bytes = 0
        self.events: list[Event] = []
        self._on_event = on_event

    def moved(self, size: int) -> None:
        self.bytes += size

    def happened(self, event: Event) -> None:
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def failures(self) -> dict[str, Exception]:
        return {event.key: event.error for event in self.events if isinstance(event, Failed)}

    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warned)]


def _now() -> datetime:
    return datetime.now(UTC)


class Plain(Forwarding):
    """A store that knows nothing but bytes and times: streams, without digests, attributes or conditions."""

    def __init__(self, objects: Mapping[str, bytes] | None = None, *, clock: Callable[[], datetime] = _now) -> None:
        super().__init__(MemoryBackend(objects, clock=clock), name="PlainStore")

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, digests=False, attributes=False, conditions=False)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        if options.attributes != NO_ATTRIBUTES or options.conditions is not UNCONDITIONAL:
            raise Unsupported("plain")
        return _bare(await super().put(key, body, options))

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with super().get(key, options) as opened:
            yield replace(opened, info=_bare(opened.info), content=Streamed(reading.chunks(opened)))

    async def head(self, key: str) -> ObjectInfo:
        return _bare(await super().head(key))

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        if conditions is not UNCONDITIONAL:
            raise Unsupported("plain")
        await super().delete(key)

    async def list(self, query: ListQuery) -> ListPage:
        page = await super().list(query)
        return replace(page, objects=tuple(map(_bare, page.objects)))


class Unlisted(Forwarding):
    """A store that cannot be listed, and if it is `blind` not be looked into either."""

    def __init__(self, inner: Backend, *, blind: bool = False) -> None:
        super().__init__(inner, name="UnlistedStore")
        self._blind = blind

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, listing=False)

    async def head(self, key: str) -> ObjectInfo:
        if self._blind:
            raise Unsupported("blind")
        return await super().head(key)

    async def list(self, query: ListQuery) -> ListPage:  # noqa: ARG002  the contract's
        raise Unsupported("unlisted")


class Vanishing(Forwarding):
    """Has lost an object by the time that it is read."""

    def __init__(self, inner: Backend, key: str) -> None:
        super().__init__(inner)
        self._key = key

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        if key == self._key:
            raise NotFound(key)
        async with super().get(key, options) as opened:
            yield opened


def _bare(info: ObjectInfo) -> ObjectInfo:
    return replace(info, digests={}, attributes=NO_ATTRIBUTES)
