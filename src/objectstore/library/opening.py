"""From a storage.yaml, a mapping, a URL or a data folder to an open store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeAlias

from objectstore.backends.contract import Backend
from objectstore.config.address import resolve
from objectstore.config.build import build
from objectstore.config.document import node_of
from objectstore.config.schema import load, parse
from objectstore.errors import ConfigurationError
from objectstore.library.aio import AsyncStore
from objectstore.library.sync import Store

Place: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
_DESCRIPTIONS: Final = {".yaml", ".yml"}


def open_store(place: Place = "storage.yaml", store: str | None = None) -> Opening:
    """A store in this process, with the methods of the clients; to be opened by `async with` or by `with`.

        async with open_store("storage.yaml") as store:
            await store.put("key", b"data")

        with open_store("./data") as store:
            store.put("key", b"data")

    Args:
        place: the path of a storage.yaml; a mapping that says what one would say; a folder for the embedded engine,
            made when it is missing; a URL such as `s3://bucket/prefix` or `file:///srv/files`.
        store: the name of a store in the storage.yaml, instead of its `main` one.

    Raises (on entering):
        ConfigurationError: in one line, what to change.
    """
    return Opening(place, store)


class Opening:
    """A store that is about to be opened."""

    def __init__(self, place: Place, store: str | None) -> None:
        self._place = place
        self._store = store
        self._opened = AsyncExitStack()
        self._running = ExitStack()

    async def __aenter__(self) -> AsyncStore:
        backend = await self._opened.enter_async_context(_backend(self._place, self._store))
        return AsyncStore(backend)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opened.__aexit__(exc_type, exc, traceback)

    def __enter__(self) -> Store:
        if _in_loop():
            raise RuntimeError("an event loop is running here, as it does in notebooks: open the store by 'async with'")
        with ExitStack() as stack:
            # It runs only while a method of the store does: there is no loop in a thread behind the caller's back.
            runner = stack.enter_context(asyncio.Runner())
            opened = runner.run(self.__aenter__())
            stack.callback(lambda: runner.run(self.__aexit__(None, None, None)))
            self._running = stack.pop_all()
        return Store(opened, runner)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()


def _backend(place: Place, store: str | None) -> Backend:
    if isinstance(place, Mapping):
        return build(parse(node_of(place, "the description"), os.environ, store))
    text = os.fspath(place)
    if "://" in text:
        _refuse_name(text, store)
        return build(resolve(text, None, os.environ))
    path = Path(text)
    if path.is_file() or path.suffix in _DESCRIPTIONS:
        return build(load(path, os.environ, store))
    _refuse_name(text, store)
    from objectstore.backends.engine.backend import EngineBackend

    return EngineBackend(path)


def _refuse_name(place: str, store: str | None) -> None:
    if store is not None:
        raise ConfigurationError(f"{store!r} is to be a store of a storage.yaml, and {place!r} is none")


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
