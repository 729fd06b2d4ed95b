"""Calls into a class from elsewhere: async methods are awaited, others run in a thread; its errors become ours."""

from __future__ import annotations

import asyncio
import errno
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from objectstore.errors import (
    ConfigurationError,
    InternalError,
    NotFound,
    ObjectStoreError,
    StorageFull,
    Unavailable,
    Unsupported,
)

METHODS: Final = ("get", "put", "exists", "delete", "keys")
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def awaits(kind: object) -> bool:
    """Whether the class has async methods, and so expects the same of stores that it is given."""
    return any(_is_async(getattr(kind, name, None)) for name in METHODS)


class Foreign:
    """An object of a class from elsewhere, made and entered on opening, left on closing.

    Methods that are not async run in one thread that is this object's own, one call after the other: such a class
    need not be safe for threads, and may hold what only the thread that made it may use.
    """

    def __init__(self, name: str, make: Callable[[], object], *, awaits: bool) -> None:
        self._name = name  # for errors
        self._make = make
        self._awaits = awaits
        self._thread: ThreadPoolExecutor | None = None
        self._made: Any = None
        self._object: Any = None

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        try:
            # One that awaits may look for the running loop as early as that.
            self._made = self._make() if self._awaits else await self._in_thread(self._make)
            self._object = await self._entered(self._made)
        except BaseException as error:
            await self._end_thread()
            if isinstance(error, ObjectStoreError) or not isinstance(error, Exception):
                raise
            raise ConfigurationError(f"{self._name} cannot be opened: {_told(error)}") from error
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._translated(""):
                if self._is_entered_async(self._made):
                    await self._made.__aexit__(exc_type, exc, traceback)
                elif hasattr(self._made, "__exit__"):
                    await self._in_thread(self._made.__exit__, exc_type, exc, traceback)
        finally:
            self._made = self._object = None
            await self._end_thread()

    async def put(self, key: str, data: bytes) -> None:
        with self._translated(""):
            await self._call("put", key, data)

    async def get(self, key: str) -> bytes:
        """Raises NotFound."""
        with self._translated(key):
            data = await self._call("get", key)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InternalError(f"{self._name}.get gave a {type(data).__name__} where bytes are stored")
        return bytes(data)

    async def exists(self, key: str) -> bool:
        with self._translated(""):
            return bool(await self._call("exists", key))

    async def delete(self, key: str) -> None:
        """Raises NotFound, if the class tells."""
        with self._translated(key):
            await self._call("delete", key)

    async def keys(self) -> list[str]:
        """All of them, in the order of the class."""
        with self._translated(""):
            found = await self._call("keys")
            if isinstance(found, AsyncIterable):
                return [key async for key in found]
            if isinstance(found, Iterable):
                listed: list[str] = await self._in_thread(list, found)
                return listed
        raise InternalError(f"{self._name}.keys gave a {type(found).__name__}, which cannot be iterated over")

    async def _entered(self, made: Any) -> Any:
        if self._is_entered_async(made):
            entered = await made.__aenter__()
        elif hasattr(made, "__enter__"):
            entered = await self._in_thread(made.__enter__)
        else:
            return made
        # Some return nothing.
        return entered if hasattr(entered, "get") else made

    def _is_entered_async(self, made: object) -> bool:
        # Some can be entered either way: then as they are called.
        return hasattr(made, "__aenter__") and (self._awaits or not hasattr(made, "__enter__"))

    async def _call(self, name: str, *arguments: object) -> Any:
        method = getattr(self._object, name)
        result = method(*arguments) if _is_async(method) else await self._in_thread(method, *arguments)
        return await result if inspect.isawaitable(result) else result

    async def _in_thread(self, function: Callable[..., Any], *arguments: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _run, function, *arguments)

    async def _end_thread(self) -> None:
        # What is still running may wait for the loop, so the loop does not wait for it.
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)
            self._thread = None

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        """Errors of the class as ours; `key` is what may be absent."""
        try:
            yield
        except (KeyError, FileNotFoundError) as error:
            if key:
                raise NotFound(key) from error
            if isinstance(error, ObjectStoreError):
                raise
            raise InternalError(f"{self._name} failed: {_told(error)}") from error
        except ObjectStoreError:
            raise
        except NotImplementedError as error:
            raise Unsupported(f"{self._name} cannot do that: {_told(error)}") from error
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull(f"{self._name}: {_told(error)}") from error
            raise Unavailable(f"{self._name}: {_told(error)}") from error
        except Exception as error:
            raise InternalError(f"{self._name} failed: {_told(error)}") from error


def _is_async(method: object) -> bool:
    return inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)


def _run(function: Callable[..., Any], *arguments: object) -> Any:
    try:
        return function(*arguments)
    except StopIteration as error:
        # No future takes one.
        raise RuntimeError("StopIteration") from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
