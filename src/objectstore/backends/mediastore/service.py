"""The mediastore service: its requests, and what its answers mean."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import httpx2

from objectstore.backends.http.addresses import parse_base
from objectstore.backends.http.clients import new_client
from objectstore.backends.http.failures import error_of, translated
from objectstore.errors import ConfigurationError, InternalError, InvalidKey, NotFound, ObjectStoreError, Unavailable

T = TypeVar("T")
_TIMEOUT: Final = 60.0  # seconds without a byte
# Routes of the service beside those of media, and segments that are resolved on the way.
_TAKEN: Final = frozenset({"dump", "search", "create", "read", "delete", "url", "urls", ".", ".."})
# The service does not say what is absent but by the name of the exception.
_ABSENT: Final = "DoesNotExist"
_BUSY: Final = frozenset({408, 429, 502, 503, 504})
_SHOWN: Final = 200  # characters


class Service:
    """Every error is one of ours. Opened by `open`, closed by `close`."""

    def __init__(self, base_url: str, username: str | None, password: str | None, token: str | None) -> None:
        self._base_url = base_url
        self._credentials = (username, password)
        self._token = token
        self._host = ""
        self._client: httpx2.AsyncClient | None = None

    async def open(self) -> list[dict[str, Any]]:
        """The stores that the service has. Raises ConfigurationError."""
        self._base = parse_base(self._base_url)
        self._host = urlsplit(self._base).netloc.rpartition("@")[2]
        self._client = new_client(timeout=_TIMEOUT, follow_redirects=False)
        try:
            if self._token is None:
                self._token = await self._login()
            return _read(await self._ask("GET", "api/stores"), _mappings)
        except (Unavailable, InternalError) as error:
            await self.close()
            raise ConfigurationError(f"base_url: {error}") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def check(self) -> None:
        _read(await self._ask("GET", "api/stores"), _mappings)

    async def medium(self, key: str) -> Mapping[str, Any]:
        """What the service knows of it. Raises NotFound."""
        response = await self._ask("GET", f"api/media/{_pid(key)}", key)
        if response.status_code == 500:
            # That is what some versions answer for one that is absent; of a download they say it.
            await self.download(key)
        return _read(response, _mapping, key)

    async def media(self) -> list[dict[str, Any]]:
        return _read(await self._ask("GET", "api/media/dump"), _mappings)

    async def delete(self, key: str) -> None:
        """Raises NotFound."""
        response = await self._ask("DELETE", f"api/media/{_pid(key)}", key)
        if response.status_code == 500:
            await self.medium(key)
        if not response.is_success:
            raise _error(response, key)

    async def download(self, key: str) -> Mapping[str, Any]:
        """With `base64` or `presigned_get`. Raises NotFound."""
        return _read(await self._ask("GET", f"api/download/{_pid(key)}", key), _mapping, key)

    async def upload(
        self, key: str, medium: Mapping[str, Any], blocks: Iterator[bytes] | None, size: int
    ) -> str | None:
        """Make the medium, with its `size` bytes or without any: then the address that they are to be sent to.

        Raises InvalidKey: the service does not take it.
        """
        _pid(key)
        head = json.dumps({"mediadata": medium})[:-1].encode()
        body, length = (_stated(head), len(head) + 1) if blocks is None else _with_bytes(head, blocks, size)
        fields = {"content-type": "application/json", "content-length": str(length)}
        response = await self._ask("POST", "api/upload", key, content=body, fields=fields)
        try:
            return _read(response, _mapping, key).get("presigned_put")
        except (NotFound, InternalError) as error:
            raise InvalidKey(f"the mediastore does not take {key!r}: {error}") from error

    async def send(self, url: str, blocks: AsyncIterator[bytes], size: int) -> None:
        """Send bytes to an address that the service gave."""
        client = self._opened()
        host = urlsplit(url).netloc
        with translated(host):
            # It bears its own signature: no other credential is to go along.
            response = await client.put(url, content=blocks, headers={"content-length": str(size)})
        if response.status_code in _BUSY:
            raise error_of(response, "")
        if not response.is_success:
            raise InternalError(f"{host} answered {response.status_code} to the bytes of an object")

    @asynccontextmanager
    async def fetch(self, url: str, key: str, fields: list[tuple[bytes, bytes]]) -> AsyncIterator[httpx2.Response]:
        """The answer of an address that the service gave, its body unread. Raises NotFound."""
        client = self._opened()
        with translated(urlsplit(url).netloc):
            response = await client.send(client.build_request("GET", url, headers=fields), stream=True)
        try:
            if response.status_code not in {200, 206, 416}:
                raise error_of(response, key)
            yield response
        finally:
            await response.aclose()

    async def _login(self) -> str:
        username, password = self._credentials
        if username is None or password is None:
            raise ConfigurationError("a mediastore needs a token, or a username and a password")
        body = json.dumps({"username": username, "password": password}).encode()
        response = await self._ask("POST", "api/login", content=body, fields={"content-type": "application/json"})
        if response.status_code in {400, 401, 403, 422}:
            raise ConfigurationError(f"the mediastore at {self._host} does not accept username and password")
        return _read(response, lambda told: str(_mapping(told)["token"]))

    async def _ask(
        self,
        method: str,
        path: str,
        key: str = "",
        *,
        content: bytes | AsyncIterator[bytes] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        client = self._opened()
        sent = dict(fields or {})
        if self._token is not None:
            sent["authorization"] = f"Bearer {self._token}"
        with translated(self._host):
            response = await client.request(method, self._base + path, content=content, headers=sent)
        if response.status_code in _BUSY:
            raise error_of(response, key)
        return response

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            raise Unavailable("this store is closed")
        return self._client


def _pid(key: str) -> str:
    if key in _TAKEN:
        raise InvalidKey(
            f"MediaStore cannot hold the key {key!r}: it has another meaning in the addresses of the service"
        )
    return quote(key, safe="")


async def _stated(head: bytes) -> AsyncIterator[bytes]:
    yield head + b"}"


def _with_bytes(head: bytes, blocks: Iterator[bytes], size: int) -> tuple[AsyncIterator[bytes], int]:
    """The body of an upload with its bytes in it, and its length; nothing holds all of it."""
    begin, end = head + b', "base64": "', b'"}'
    # The service takes an empty text for none; white space is passed over when it is decoded.
    encoded = 4 * -(-size // 3) or 2

    async def body() -> AsyncIterator[bytes]:
        yield begin
        if not size:
            yield b"\\n"
        left = b""
        for block in blocks:
            left += block
            whole = len(left) - len(left) % 3
            yield base64.b64encode(left[:whole])
            left = left[whole:]
        yield base64.b64encode(left) + end

    return body(), len(begin) + encoded + len(end)


def _read(response: httpx2.Response, parse: Callable[[Any], T], key: str = "") -> T:
    if not response.is_success:
        raise _error(response, key)
    try:
        told = response.json()
        if isinstance(told, Mapping) and told.get("error"):
            raise _error(response, key)
        return parse(told)
    except (ValueError, TypeError, KeyError) as error:
        raise InternalError(f"{response.url.host} does not answer as a mediastore: is base_url right?") from error


def _error(response: httpx2.Response, key: str) -> ObjectStoreError:
    words = _words(response)
    if key and (response.status_code == 404 or _ABSENT in words):
        return NotFound(key)
    if response.status_code == 401 and not words:
        return Unavailable(f"the mediastore at {response.url.host} does not accept the token")
    return InternalError(f"the mediastore at {response.url.host} answered {response.status_code}: {words[:_SHOWN]}")


def _words(response: httpx2.Response) -> str:
    """What the service says went wrong: that a token is refused, it does not say so."""
    try:
        told = response.json()
        return f"{told['error']} {told.get('msg', '')}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""


def _mapping(told: Any) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise TypeError("no JSON object")
    return told


def _mappings(told: Any) -> list[dict[str, Any]]:
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise TypeError("no list of JSON objects")
    return told
