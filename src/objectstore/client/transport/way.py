"""The way to a server: its address, the proxy before it, whose certificates are trusted, how patient one is."""

from __future__ import annotations

import os
import ssl
import sys
from typing import Final
from urllib.parse import urlsplit

from objectstore.wire.retries import ConnectionFailed

# Servers close idle connections too, uvicorn after 5 s: one that is about to be closed is not to be used.
IDLE: Final = 4.0  # seconds
_KEEPING: Final = {"darwin", "win32", "cygwin"}  # systems that know of proxies beside the environment
_PORTS: Final = {"http": 80, "https": 443}


class Way:
    """What all transports know of the way to `origin`.

    The proxy is that of the environment (`HTTP_PROXY`, `NO_PROXY`, …). Trusted are the authorities of `ca_file`, else
    those of `SSL_CERT_FILE` or `SSL_CERT_DIR`, else those of the system.

    Raises:
        ValueError: an option out of range, or a `ca_file` that is needed and cannot be used.
    """

    def __init__(
        self, origin: str, *, timeout: float, max_connections: int, ca_file: str | os.PathLike[str] | None = None
    ) -> None:
        if not timeout > 0:
            raise ValueError("the timeout is a number of seconds above 0")
        if max_connections < 1:
            raise ValueError("the connections are a number from 1 on")
        parts = urlsplit(origin)
        self.origin: Final = origin
        self.timeout: Final = timeout  # seconds
        self.max_connections: Final = max_connections
        self.name: Final = _ascii(parts.hostname or "")
        self.port: Final = parts.port or _PORTS[parts.scheme]
        named = f"[{self.name}]" if ":" in self.name else self.name
        self.host: Final = named if self.port == _PORTS[parts.scheme] else f"{named}:{self.port}"
        self.proxy: Final = _find_proxy(parts.scheme, self.host)
        # Loading the certificates of all authorities takes a quarter of a second: once for all connections to come,
        # and not at all for plain HTTP.
        self.tls: Final = _trusting(ca_file) if parts.scheme == "https" or self.proxy else None

    def no_connection_free(self) -> ConnectionFailed:
        reason = f"no connection to {self.host} became free within {self.timeout:g} s: all are in use"
        return ConnectionFailed(reason, sent=False)

    def unreached(self, error: Exception) -> ConnectionFailed:
        """There is no connection."""
        if isinstance(error, TimeoutError):
            return self.late(sent=False)
        return ConnectionFailed(f"cannot connect to {self.host}: {_words(error)}", sent=False)

    def late(self, *, sent: bool) -> ConnectionFailed:
        return ConnectionFailed(f"{self.host} did not answer within {self.timeout:g} s", sent=sent)

    def lost(self, why: Exception | str) -> ConnectionFailed:
        """There was a connection."""
        if isinstance(why, TimeoutError):
            return self.late(sent=True)
        words = why if isinstance(why, str) else _words(why)
        return ConnectionFailed(f"the connection was lost to {self.host}: {words}", sent=True)


def _ascii(name: str) -> str:
    try:
        return name if name.isascii() else name.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError(f"the base URL has a host that no name server knows: {name!r}") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _find_proxy(scheme: str, host: str) -> str | None:
    if sys.platform not in _KEEPING and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # it takes a while to import

    if proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _trusting(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    if ca_file is None:
        from httpx2 import create_ssl_context  # it knows where each system keeps them, and costs time to import

        return create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"the ca_file {os.fspath(ca_file)!r} has no certificates that can be read: {error}") from error
