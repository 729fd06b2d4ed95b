"""The way to the server: one seam, behind which connections are kept."""

from __future__ import annotations

import os

from objectstore.client.transport.aio import AsyncDirectTransport
from objectstore.client.transport.contract import (
    AsyncOutgoing,
    AsyncResponse,
    AsyncTransport,
    Outgoing,
    Response,
    Transport,
)
from objectstore.client.transport.sync import DirectTransport
from objectstore.client.transport.way import Way

__all__ = [
    "AsyncOutgoing",
    "AsyncResponse",
    "AsyncTransport",
    "Outgoing",
    "Response",
    "Transport",
    "async_transport_to",
    "transport_to",
]


def transport_to(
    origin: str, *, timeout: float, max_connections: int, ca_file: str | os.PathLike[str] | None = None
) -> Transport:
    """The transport for this origin, through a proxy when the environment names one. Raises ValueError as `Way`."""
    way = Way(origin, timeout=timeout, max_connections=max_connections, ca_file=ca_file)
    if way.proxy is None:
        return DirectTransport(way)
    from objectstore.client.transport.proxied import ProxiedTransport  # its library takes time to import

    return ProxiedTransport(way)


def async_transport_to(
    origin: str, *, timeout: float, max_connections: int, ca_file: str | os.PathLike[str] | None = None
) -> AsyncTransport:
    """As `transport_to`."""
    way = Way(origin, timeout=timeout, max_connections=max_connections, ca_file=ca_file)
    if way.proxy is None:
        return AsyncDirectTransport(way)
    from objectstore.client.transport.proxied import AsyncProxiedTransport

    return AsyncProxiedTransport(way)
