"""A store, spoken to by coroutines and by those who wait for them, before a fork and after it."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from fsspec.asyn import AsyncFileSystem, _run_coros_in_chunks, get_loop, sync, sync_teardown, sync_wrapper
from fsspec.utils import stringify_path

from objectstore.client import AsyncRestStore
from objectstore.client.place import SCHEMES, Surroundings, join_url, look_up, split_url
from objectstore.fsspec.paths import folders_above, parent_of

T = TypeVar("T")
_FAREWELL: Final = 1.0  # seconds for connections to close at the end of the program
_AT_ONCE: Final = 64  # requests of one call; fewer than a client has connections


def _hang_up(client: AsyncRestStore, loop: asyncio.AbstractEventLoop, pid: int) -> None:
    # Those of a child are not the parent's, which may be in the middle of an answer.
    if pid == os.getpid() and loop.is_running():
        sync_teardown(loop, client.aclose, timeout=_FAREWELL)


class Connected(AsyncFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system that knows its store, in whichever loop, thread or process it is used."""

    protocol = tuple(SCHEMES)
    root_marker = ""
    _extra_tokenize_attributes = ("_surroundings",)
    _surroundings = Surroundings()
    transaction: Any
    _pid: int
    _fs_token: str
    _loop: asyncio.AbstractEventLoop | None

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        max_retries: int = 3,
        retry_delay: float = 1.0,
        max_connections: int = 100,
        use_listings_cache: bool = False,
        asynchronous: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        batch_size: int | None = None,
        profile: str | None = None,
        **options: Any,
    ) -> None:
        """The file system of a server; nothing is connected yet.

        Args:
            url: as in `http://localhost:8000`; by default that of the paths, `OBJECTSTORE_URL`, or a profile's.
            token: by default `OBJECTSTORE_TOKEN`, or that of the profile for just this URL.
            timeout: as for `RestStore.create`, like the next three.
            max_retries: tries after the first.
            retry_delay: seconds before the first retry at most.
            max_connections: requests under way at once.
            use_listings_cache: keep listings; `listings_expiry_time` (seconds) and `max_paths` bound that.
            asynchronous: it is used from coroutines, by its methods that begin with an underscore.
            loop: the event loop that does the work; by default that of fsspec.
            batch_size: requests at once for calls about many paths.
            profile: of `objectstore login`, to take the URL from, and the token.
            options: those of every file system.
        """
        self._place = look_up(url, token, profile)
        self._settings = (timeout, max_retries, retry_delay)
        self._max_connections = max_connections
        super().__init__(
            asynchronous=asynchronous,
            loop=loop,
            batch_size=batch_size or min(_AT_ONCE, max_connections),
            use_listings_cache=use_listings_cache,
            **options,
        )
        self._client = self._connect()
        # fsspec takes URLs apart without asking the instance; this one knows which are its own.
        self._strip_protocol = self._own_key  # type: ignore[method-assign]  # as just said

    def _connect(self) -> AsyncRestStore:
        place, at_once = self._place, self._max_connections
        client = AsyncRestStore.create(place.url, place.token, *self._settings, max_connections=at_once)
        if self._loop is not None:
            # Instances are kept to the end of the program, and nobody closes them.
            weakref.finalize(self, _hang_up, client, self._loop, os.getpid())
        return client

    # Where the work is done

    @property
    def url(self) -> str:
        """The base URL of the store."""
        return self._place.url

    @property
    def client(self) -> AsyncRestStore:
        """The client beneath, for what fsspec has no words for; to be awaited where the file system is."""
        self._after_fork()
        return self._client

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that does the work; None for an asynchronous file system."""
        self._after_fork()
        return self._loop

    def _after_fork(self) -> None:
        # The thread that ran the loop exists in the parent alone, and the connections are the parent's.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            if not self.asynchronous:
                self._loop = get_loop()
            self._client = self._connect()

    def wait(self, call: Callable[..., Coroutine[Any, Any, T]], *args: Any, **options: Any) -> T:
        """The outcome of a call, waited for."""
        return cast("T", sync(self.loop, call, *args, **options))

    def start(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Let a call be made meanwhile."""
        return asyncio.run_coroutine_threadsafe(call, cast("asyncio.AbstractEventLoop", self.loop))

    async def _close(self) -> None:
        """Close the connections; calls to come raise RuntimeError. `close` does it from where nothing is awaited."""
        await self.client.aclose()
        type(self)._cache.pop(self._fs_token, None)  # noqa: SLF001  who asks for one again gets another

    close = sync_wrapper(_close)

    # Paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return split_url(stringify_path(path))[1]

    def _own_key(self, path: Any) -> Any:
        """As `_strip_protocol`. Raises ValueError: the URL is that of another store."""
        if isinstance(path, list):
            return [self._own_key(one) for one in path]
        url, key = split_url(stringify_path(path))
        if url is not None and urlsplit(url)[:2] != urlsplit(self.url)[:2]:
            raise ValueError(f"{path!r} is in another store than this, which is at {self.url}: open it by its URL")
        return key

    def unstrip_protocol(self, name: str) -> str:
        return name if split_url(name) != (None, name) else join_url(self.url, name)

    @classmethod
    def _parent(cls, path: str) -> str:
        return parent_of(cls._strip_protocol(path))

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        url, _ = split_url(path)
        return {} if url is None else {"url": url}

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget listings: all, or those that this path is in."""
        if path is None:
            self.dircache.clear()
        else:
            path = self._strip_protocol(path)
            for one in ("", *folders_above(path, ""), path):
                self.dircache.pop(one, None)
        super().invalidate_cache(path)

    async def _each(self, calls: list[Any], batch_size: int | None = None) -> None:
        await _run_coros_in_chunks(calls, batch_size=batch_size or self.batch_size)
