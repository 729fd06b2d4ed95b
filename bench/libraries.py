"""HTTP libraries of Python behind one face: ours, and what else would be used for the same work.

Ours compare digests of what they move; the others are only asked whether the answer is a success.
"""

from __future__ import annotations

import http.client
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlsplit

from bench.measurement import LoadError
from objectstore import AsyncRestStore, RestStore

READ: Final = 256 * 1024  # bytes that are asked for at once, where one may say so


@dataclass(frozen=True, slots=True)
class Blocking:
    get: Callable[[str], object]
    download: Callable[[str], int]  # bytes that came
    upload: Callable[[str, Iterable[bytes], int], object]


@dataclass(frozen=True, slots=True)
class Awaiting:
    get: Callable[[str], Awaitable[object]]
    download: Callable[[str], Awaitable[int]]
    upload: Callable[[str, AsyncIterator[bytes], int], Awaitable[object]]


@contextmanager
def _ours(base: str, token: str) -> Generator[Blocking]:
    # The address of the store: the client adds the path.
    with RestStore.create(base.removesuffix("/objects/"), token or "none") as store:

        def download(key: str) -> int:
            with store.stream(key) as reader:
                return sum(map(len, reader))

        yield Blocking(store.get, download, lambda key, chunks, _: store.put(key, chunks))


@contextmanager
def _httpx2(base: str, token: str) -> Generator[Blocking]:
    import httpx2

    with httpx2.Client(base_url=base, headers=_fields(token), trust_env=False, timeout=60) as client:

        def get(key: str) -> bytes:
            return client.get(key).raise_for_status().content

        def download(key: str) -> int:
            with client.stream("GET", key) as found:
                return sum(map(len, found.raise_for_status().iter_raw()))

        def upload(key: str, chunks: Iterable[bytes], size: int) -> object:
            return client.put(key, content=chunks, headers=_sized(size)).raise_for_status()

        yield Blocking(get, download, upload)


@contextmanager
def _urllib3(base: str, token: str) -> Generator[Blocking]:
    import urllib3

    with urllib3.PoolManager(headers=_fields(token)) as pool:

        def get(key: str) -> bytes:
            found = pool.request("GET", base + key)
            _succeeded(found.status)
            return found.data

        def download(key: str) -> int:
            found = pool.request("GET", base + key, preload_content=False)
            _succeeded(found.status)
            return sum(map(len, found.stream(READ)))

        def upload(key: str, chunks: Iterable[bytes], size: int) -> object:
            return _succeeded(
                pool.request("PUT", base + key, body=chunks, headers=_fields(token) | _sized(size)).status
            )

        yield Blocking(get, download, upload)


@contextmanager
def _requests(base: str, token: str) -> Generator[Blocking]:
    import requests

    with requests.Session() as session:
        session.headers.update(_fields(token))
        session.trust_env = False

        def get(key: str) -> object:
            found = session.get(base + key)
            found.raise_for_status()
            return found.content

        def download(key: str) -> int:
            with session.get(base + key, stream=True) as found:
                found.raise_for_status()
                return sum(map(len, found.iter_content(READ)))

        def upload(key: str, chunks: Iterable[bytes], size: int) -> object:
            # It sends an iterator in chunks, whatever length is told.
            del size
            found = session.put(base + key, data=chunks)
            found.raise_for_status()
            return found

        yield Blocking(get, download, upload)


@contextmanager
def _http_client(base: str, token: str) -> Generator[Blocking]:
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def ask(method: str, key: str, body: Any = None, size: int | None = None) -> http.client.HTTPResponse:
        fields = _fields(token) if size is None else _fields(token) | _sized(size)
        connection.request(method, parts.path + key, body, fields)
        found = connection.getresponse()
        _succeeded(found.status)
        return found

    def download(key: str) -> int:
        found, buffer, count = ask("GET", key), bytearray(READ), 0
        while came := found.readinto(buffer):
            count += came
        return count

    yield Blocking(
        lambda key: ask("GET", key).read(),
        download,
        lambda key, chunks, size: ask("PUT", key, chunks, size).read(),
    )
    connection.close()


@contextmanager
def _pyreqwest(base: str, token: str) -> Generator[Blocking]:
    from pyreqwest.client import SyncClientBuilder

    with SyncClientBuilder().no_proxy().error_for_status().default_headers(_fields(token)).build() as client:

        def download(key: str) -> int:
            with client.get(base + key).build_streamed() as found:
                count = 0
                while chunk := found.body_reader.read_chunk():
                    count += len(chunk)
                return count

        def upload(key: str, chunks: Iterable[bytes], size: int) -> object:
            return client.put(base + key).headers(_sized(size)).body_stream(chunks).build().send()

        yield Blocking(lambda key: client.get(base + key).build().send().bytes(), download, upload)


@asynccontextmanager
async def _ours_async(base: str, token: str) -> AsyncGenerator[Awaiting, None]:
    async with AsyncRestStore.create(base.removesuffix("/objects/"), token or "none") as store:

        async def download(key: str) -> int:
            count = 0
            async with store.stream(key) as reader:
                async for chunk in reader:
                    count += len(chunk)
            return count

        yield Awaiting(store.get, download, lambda key, chunks, _: store.put(key, chunks))


@asynccontextmanager
async def _httpx2_async(base: str, token: str) -> AsyncGenerator[Awaiting, None]:
    import httpx2

    async with httpx2.AsyncClient(base_url=base, headers=_fields(token), trust_env=False, timeout=60) as client:

        async def get(key: str) -> bytes:
            return (await client.get(key)).raise_for_status().content

        async def download(key: str) -> int:
            count = 0
            async with client.stream("GET", key) as found:
                async for chunk in found.raise_for_status().aiter_raw():
                    count += len(chunk)
            return count

        async def upload(key: str, chunks: AsyncIterator[bytes], size: int) -> object:
            return (await client.put(key, content=chunks, headers=_sized(size))).raise_for_status()

        yield Awaiting(get, download, upload)


@asynccontextmanager
async def _aiohttp(base: str, token: str) -> AsyncGenerator[Awaiting, None]:
    import aiohttp

    async with aiohttp.ClientSession(headers=_fields(token), raise_for_status=True) as session:

        async def get(key: str) -> object:
            async with session.get(base + key) as found:
                return await found.read()

        async def download(key: str) -> int:
            count = 0
            async with session.get(base + key) as found:
                async for chunk in found.content.iter_any():
                    count += len(chunk)
            return count

        async def upload(key: str, chunks: AsyncIterator[bytes], size: int) -> object:
            async with session.put(base + key, data=chunks, headers=_sized(size)) as found:
                return await found.read()

        yield Awaiting(get, download, upload)


@asynccontextmanager
async def _obstore(base: str, token: str) -> AsyncGenerator[Awaiting, None]:
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore(base.rstrip("/"), client_options={"allow_http": True, "default_headers": _fields(token)})

    async def get(key: str) -> object:
        return await (await obstore.get_async(store, key)).bytes_async()

    async def download(key: str) -> int:
        count = 0
        async for chunk in (await obstore.get_async(store, key)).stream(min_chunk_size=READ):
            count += len(chunk)
        return count

    async def upload(key: str, chunks: AsyncIterator[bytes], size: int) -> object:
        # Its HTTP store does not stream: all is held first.
        del size
        return await obstore.put_async(store, key, b"".join([chunk async for chunk in chunks]), use_multipart=False)

    yield Awaiting(get, download, upload)


@asynccontextmanager
async def _pyreqwest_async(base: str, token: str) -> AsyncGenerator[Awaiting, None]:
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().no_proxy().error_for_status().default_headers(_fields(token)).build() as client:

        async def get(key: str) -> object:
            return await (await client.get(base + key).build().send()).bytes()

        async def download(key: str) -> int:
            async with client.get(base + key).build_streamed() as found:
                count = 0
                while chunk := await found.body_reader.read_chunk():
                    count += len(chunk)
                return count

        async def upload(key: str, chunks: AsyncIterator[bytes], size: int) -> object:
            return await client.put(base + key).headers(_sized(size)).body_stream(chunks).build().send()

        yield Awaiting(get, download, upload)


def _fields(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token or 'none'}", "Accept-Encoding": "identity"}


def _sized(size: int) -> dict[str, str]:
    return {"Content-Length": str(size)}


def _succeeded(status: int) -> int:
    if not 200 <= status < 300:
        raise LoadError(f"the server answered {status}")
    return status


BLOCKING: Final = {
    "RestStore": _ours,
    "httpx2": _httpx2,
    "urllib3": _urllib3,
    "requests": _requests,
    "http.client": _http_client,
    "pyreqwest": _pyreqwest,
}
AWAITING: Final = {
    "AsyncRestStore": _ours_async,
    "httpx2 async": _httpx2_async,
    "aiohttp": _aiohttp,
    "obstore": _obstore,
    "pyreqwest async": _pyreqwest_async,
}


def missing(client: str) -> str | None:
    """Why this one cannot be measured here, if so."""
    name = client.removesuffix(" async")
    return None if name in {"RestStore", "AsyncRestStore"} or find_spec(name) else f"{name} is not installed"
