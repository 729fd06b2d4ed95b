"""A backend that fails on cue: before a call, after it, or in the middle of a body or a reading.

    flaky = Faulty(backend, [Fault("put", call=2), Fault("get", at=Chunk(3), error=Corrupted("bad block"))])

Calls of each method are counted from 1, over the life of the wrapper; `calls` tells how many there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, TypeVar

from objectstore.backends import reading
from objectstore.backends.contract import Backend, Metered, Uploads
from objectstore.core.streams import chunks
from objectstore.errors import ObjectStoreError, Unavailable, Unsupported
from objectstore.values import (
    COMPLETE,
    UNCONDITIONAL,
    Body,
    Capabilities,
    CompleteOptions,
    Conditions,
    CopyOptions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
    Reading,
    Streamed,
    Upload,
    UploadPage,
    Usage,
)

T = TypeVar("T")

Method: TypeAlias = Literal[
    "put",
    "get",
    "head",
    "delete",
    "delete_many",
    "copy",
    "list",
    "check",
    "uploads.begin",
    "uploads.put_part",
    "uploads.get",
    "uploads.complete",
    "uploads.abort",
    "uploads.list",
    "uploads.expire",
]

_BLOCK: Final = 64 * 1024  # bytes in a chunk of a reading that is to be cut
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()


@dataclass(frozen=True, slots=True)
class Before:
    """The call fails and nothing is done."""


@dataclass(frozen=True, slots=True)
class After:
    """The call is carried out, and its outcome is lost on the way back."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A body (`put`, `uploads.put_part`) or reading (`get`) fails where its chunk of this number, from 1, should come.

    It fails at its end when it has fewer. Readings come in chunks of 64 KiB.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure: of one call of a method, at that place, with that error.

    Without an error, a body or reading that is cut just ends there, as if it were whole.
    """

    method: Method
    call: int = 1
    at: Before | After | Chunk = field(default_factory=Before)
    error: Exception | None = field(default_factory=lambda: Unavailable("this fault was asked for"))

    def __post_init__(self) -> None:
        if isinstance(self.at, Chunk):
            if self.method not in {"put", "get", "uploads.put_part"}:
                raise ValueError(f"{self.method} has no chunks to cut")
        elif self.error is None:
            raise ValueError("a call fails with an error")


class _Script:
    """Which call is the next, and whether it is to fail."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._faults = {(fault.method, fault.call): fault for fault in faults}
        self.calls: Counter[Method] = Counter()

    def next(self, method: Method) -> Fault | None:
        self.calls[method] += 1
        fault = self._faults.get((method, self.calls[method]))
        if fault is not None and isinstance(fault.at, Before) and fault.error is not None:
            raise fault.error
        return fault

    async def call(self, method: Method, call: Callable[[], Awaitable[T]]) -> T:
        fault = self.next(method)
        result = await call()
        return _returned(fault, result)

    async def send(self, method: Method, body: Body, call: Callable[[Body], Awaitable[T]]) -> T:
        fault = self.next(method)
        if fault is not None and isinstance(fault.at, Chunk):
            body = _cut(chunks(body), fault.at.number, fault.error)
        result = await call(body)
        return _returned(fault, result)


def _returned(fault: Fault | None, result: T) -> T:
    if fault is not None and isinstance(fault.at, After) and fault.error is not None:
        raise fault.error
    return result


async def _cut(source: AsyncIterator[bytes], number: int, error: Exception | None) -> AsyncIterator[bytes]:
    come = 0
    async for chunk in source:
        come += 1
        if come == number:
            break
        yield chunk
    if error is not None:
        raise error


async def _pieces(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in source:
        for at in range(0, len(chunk), _BLOCK):
            yield chunk[at : at + _BLOCK]


def _cut_reading(fault: Fault | None, opened: Reading) -> Reading:
    if fault is None or not isinstance(fault.at, Chunk):
        return opened
    source = _cut(_pieces(reading.chunks(opened)), fault.at.number, fault.error)
    return replace(opened, content=Streamed(source))


class Faulty:
    """A backend around `inner` that fails as `faults` say, and else does what the inner one does."""

    def __init__(self, inner: Backend, faults: Iterable[Fault] = ()) -> None:
        self._inner = inner
        self._script = _Script(faults)

    @property
    def calls(self) -> Counter[Method]:
        """How often each method was called, failures included."""
        return self._script.calls

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def uploads(self) -> Uploads:
        return _FaultyUploads(self._inner.uploads, self._script)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(exc_type, exc, traceback)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        return await self._script.send("put", body, lambda cut: self._inner.put(key, cut, options))

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        fault = self._script.next("get")
        async with self._inner.get(key, options) as opened:
            yield _returned(fault, _cut_reading(fault, opened))

    async def head(self, key: str) -> ObjectInfo:
        return await self._script.call("head", lambda: self._inner.head(key))

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await self._script.call("delete", lambda: self._inner.delete(key, conditions))

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        return await self._script.call("delete_many", lambda: self._inner.delete_many(keys))

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        return await self._script.call("copy", lambda: self._inner.copy(source, target, options))

    async def usage(self, prefixes: Sequence[str]) -> Sequence[Usage]:
        """Of the inner backend, which keeps quotas as the `capabilities` say; no fault comes in between."""
        if not isinstance(self._inner, Metered):
            raise Unsupported("this store does not count what is kept under a prefix")
        return await self._inner.usage(prefixes)

    async def list(self, query: ListQuery) -> ListPage:
        return await self._script.call("list", lambda: self._inner.list(query))

    async def check(self) -> None:
        await self._script.call("check", self._inner.check)


class _FaultyUploads:
    def __init__(self, inner: Uploads, script: _Script) -> None:
        self._inner = inner
        self._script = script

    async def begin(self, key: str, options: PutOptions) -> Upload:
        return await self._script.call("uploads.begin", lambda: self._inner.begin(key, options))

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        return await self._script.send(
            "uploads.put_part", body, lambda cut: self._inner.put_part(upload_id, number, cut, options)
        )

    async def get(self, upload_id: str) -> Upload:
        return await self._script.call("uploads.get", lambda: self._inner.get(upload_id))

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        return await self._script.call("uploads.complete", lambda: self._inner.complete(upload_id, parts, options))

    async def abort(self, upload_id: str) -> None:
        await self._script.call("uploads.abort", lambda: self._inner.abort(upload_id))

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        return await self._script.call(
            "uploads.list", lambda: self._inner.list(prefix=prefix, start=start, limit=limit)
        )

    async def expire(self, before: datetime) -> int:
        return await self._script.call("uploads.expire", lambda: self._inner.expire(before))
