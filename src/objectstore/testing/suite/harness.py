"""What the tests of the conformance suite stand on: a backend to override, an event loop, a few ways to say things."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Concatenate, Final, Literal, ParamSpec, TypeAlias, TypeVar

import pytest

from objectstore.backends import reading
from objectstore.backends.contract import Backend
from objectstore.errors import InvalidKey, MethodNotAllowed, NotFound, Unsupported
from objectstore.values import (
    UNCONDITIONAL,
    ByteRange,
    Conditions,
    GetOptions,
    ListQuery,
    ObjectInfo,
)

Capability: TypeAlias = Literal[
    "persistent", "shared", "write", "overwrite", "delete", "listing", "ranges", "conditions", "attributes", "digests"
]

KIB: Final = 1024
MIB: Final = 1024 * KIB
REFUSED: Final = (Unsupported, MethodNotAllowed)
NO_OBJECTS: Final[Mapping[str, bytes]] = MappingProxyType({})

# A body that a backend may keep in its index, and one that it will not.
SMALL: Final = 11
LARGE: Final = 700 * KIB + 3
MANY: Final = 20  # requests at the same time


class Suite:
    """Base of the tests: says where the backend comes from. One test, one folder, one event loop."""

    def backend(self, folder: Path) -> AbstractAsyncContextManager[Backend]:
        """A backend on the data of `folder`, not yet opened: empty for a new folder, as it was left for a known one.

        A backend that keeps its data elsewhere takes the folder's name for the name of a bucket or database.
        """
        raise NotImplementedError("override backend(self, folder) to return the backend under test")

    def stocked(self, folder: Path, objects: Mapping[str, bytes]) -> AbstractAsyncContextManager[Backend]:
        """A backend that holds `objects`, those left out whose keys it cannot hold.

        To be overridden for one that cannot be written.
        """
        return _Stocked(self.backend(folder), objects)


class _Stocked(AbstractAsyncContextManager[Backend]):
    def __init__(self, inner: AbstractAsyncContextManager[Backend], objects: Mapping[str, bytes]) -> None:
        self._inner = inner
        self._objects = objects
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Backend:
        backend = await self._stack.enter_async_context(self._inner)
        if not backend.capabilities.write:
            await self._stack.aclose()
            pytest.skip("the backend cannot be written, and `stocked` is not overridden")
        for key, data in self._objects.items():
            with suppress(InvalidKey):
                await backend.put(key, data)
        return backend

    async def __aexit__(self, *told: object) -> None:
        await self._stack.aclose()


S = TypeVar("S", bound=Suite)
P = ParamSpec("P")
Test: TypeAlias = Callable[Concatenate[S, Path, P], None]


def contract(
    *needs: Capability, without: Capability | None = None, objects: Mapping[str, bytes] = NO_OBJECTS
) -> Callable[[Callable[Concatenate[S, Backend, P], Awaitable[None]]], Test[S, P]]:
    """Makes a plain test of an async one that takes an open backend, holding `objects`.

    It is skipped for a backend that lacks one of `needs`, or that has what it is to be `without`.
    """

    def decorate(function: Callable[Concatenate[S, Backend, P], Awaitable[None]]) -> Test[S, P]:
        def test(self: S, tmp_path: Path, *args: P.args, **kwargs: P.kwargs) -> None:
            async def run() -> None:
                async with self.stocked(tmp_path, objects) if objects else self.backend(tmp_path) as backend:
                    require(backend, *needs, without=without)
                    await function(self, backend, *args, **kwargs)

            asyncio.run(_tidy(run()))

        return _dressed(test, function)

    return decorate


def on_folder(function: Callable[Concatenate[S, Path, P], Awaitable[None]]) -> Test[S, P]:
    """Makes a plain test of an async one that opens its backends itself."""

    def test(self: S, tmp_path: Path, *args: P.args, **kwargs: P.kwargs) -> None:
        async def run() -> None:
            await function(self, tmp_path, *args, **kwargs)

        asyncio.run(_tidy(run()))

    return _dressed(test, function)


async def _tidy(running: Coroutine[None, None, None]) -> None:
    """Run a test and then look for what it left: errors that nobody took, and tasks that outlive their backend."""
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, told: complaints.append(f"{told.get('message')}: {told.get('exception')!r}"))
    await running
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, "a backend that is closed has no tasks"
    assert complaints == []


def _dressed(test: Callable[..., None], function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    # Not functools.wraps: pytest would look through it and ask for a fixture by the name of `backend`.
    test.__name__, test.__qualname__ = function.__name__, function.__qualname__
    test.__doc__, test.__module__ = function.__doc__, function.__module__
    own, _, *others = inspect.signature(function).parameters.values()
    folder = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    test.__signature__ = inspect.Signature([own, folder, *others])  # type: ignore[attr-defined]  # what pytest reads
    return test


def require(backend: Backend, *needs: Capability, without: Capability | None = None) -> None:
    """Skip the test unless the backend has what it needs."""
    for need in needs:
        if not getattr(backend.capabilities, need):
            pytest.skip(f"{backend.capabilities.name} does not declare {need!r}")
    if without is not None and getattr(backend.capabilities, without):
        pytest.skip(f"{backend.capabilities.name} declares {without!r}")


def sample(size: int, seed: int = 0) -> bytes:
    """`size` bytes in which no two blocks are alike, the same ones for the same seed."""
    block = b"".join((number * 2654435761 + seed).to_bytes(8, "big") for number in range(KIB))
    whole = bytearray()
    while len(whole) < size:
        whole += (len(whole) + seed).to_bytes(8, "big") + block
    return bytes(whole[:size])


async def chunked(data: bytes, size: int = 64 * KIB) -> AsyncIterator[bytes]:
    """The bytes as a body in chunks of `size`."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


class BodyFailed(Exception):
    """Raised by bodies that fail."""


async def failing(data: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    """A body that breaks off after `data`."""
    async for chunk in chunked(data):
        yield chunk
    raise error or BodyFailed("the body broke off")


class Stalling:
    """A body that gives `data` and then nothing more, until it is cancelled; `stalled` is set when it waits."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.stalled = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in chunked(self._data):
            yield chunk
        self.stalled.set()
        await asyncio.Event().wait()


async def read(
    backend: Backend, key: str, wanted: ByteRange | None = None, conditions: Conditions = UNCONDITIONAL
) -> bytes:
    """The bytes of an object, or of a range of it."""
    async with backend.get(key, GetOptions(range=wanted, conditions=conditions)) as opened:
        data = await reading.read_all(opened)
        assert opened.stop - opened.start == len(data), "a reading says how many bytes it holds"
        return data


async def found(backend: Backend, key: str) -> tuple[ObjectInfo, bytes] | None:
    """The object as one version, or None."""
    try:
        async with backend.get(key) as opened:
            return opened.info, await reading.read_all(opened)
    except NotFound:
        return None


async def held(backend: Backend, names: Iterable[str]) -> list[str]:
    """Those of the keys that the backend holds an object under."""
    there = []
    for name in names:
        with suppress(NotFound, InvalidKey):
            await backend.head(name)
            there.append(name)
    return there


async def put_all(backend: Backend, objects: Mapping[str, bytes]) -> None:
    """Store many objects, several at a time."""
    waiting = list(objects.items())
    while waiting:
        now, waiting = waiting[:MANY], waiting[MANY:]
        await asyncio.gather(*(backend.put(key, data) for key, data in now))


async def keys(backend: Backend, prefix: str = "", *, limit: int = 1000) -> list[str]:
    """All keys, page by page; nothing of a backend that cannot list."""
    return [key async for page in walk(backend, ListQuery(prefix=prefix, limit=limit)) for key in page]


async def walk(backend: Backend, query: ListQuery) -> AsyncIterator[list[str]]:
    """Keys and groups of each page in their order, until the listing ends."""
    start: str | None = query.start
    while start is not None:
        page = await backend.list(
            ListQuery(prefix=query.prefix, delimiter=query.delimiter, start=start, limit=query.limit)
        )
        assert len(page.keys) + len(page.prefixes) <= query.limit, "keys and groups together are within the limit"
        for names in (page.keys, page.prefixes):
            assert list(names) == sorted(set(names), key=str.encode), "each once, in the order of UTF-8 bytes"
        assert page.next_start is None or page.next_start > start, "a listing moves on"
        yield sorted([*page.keys, *page.prefixes], key=str.encode)
        start = page.next_start


async def unchanged(backend: Backend, key: str, before: tuple[ObjectInfo, bytes] | None) -> None:
    """Assert that the object is what it was, and that the listing agrees."""
    assert await found(backend, key) == before
    if backend.capabilities.listing:
        assert (key in await keys(backend)) == (before is not None)


async def settle(outcomes: Iterable[Awaitable[ObjectInfo]]) -> tuple[list[ObjectInfo], list[BaseException]]:
    """What came of requests made at the same time: records, and errors."""
    results = await asyncio.gather(*outcomes, return_exceptions=True)
    records = [one for one in results if isinstance(one, ObjectInfo)]
    errors = [one for one in results if isinstance(one, BaseException)]
    return records, errors
