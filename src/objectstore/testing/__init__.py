"""Shipped for tests: a real server and a proxy with troubles on demand, and what backends are tested with.

    from objectstore.testing import After, Cut, Refuse, proxied, serve

    with serve() as server:
        server.disturb(Refuse(503, retry_after=1), times=2)
        server.store.put("key", b"data")

    with proxied("redis://127.0.0.1:6379") as proxy:
        proxy.disturb(Cut(After()), times=1)

`pip install 'objectstore[server]'` brings the server along; the proxy does not need it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from objectstore.testing.faults import After, Before
    from objectstore.testing.lines import BlackHole, Corrupt, Pieces, Reorder, Stall, Throttle
    from objectstore.testing.proxy import Proxy, proxied
    from objectstore.testing.serving import ObjectStoreServer, serve
    from objectstore.testing.troubles import Cut, Delay, Received, Refuse, Rule, SeenRequest, Sent

_SERVING = {"ObjectStoreServer", "serve"}
_HOMES = {
    "After": "faults",
    "Before": "faults",
    "BlackHole": "lines",
    "Corrupt": "lines",
    "Cut": "troubles",
    "Delay": "troubles",
    "Pieces": "lines",
    "Proxy": "proxy",
    "proxied": "proxy",
    "Received": "troubles",
    "Refuse": "troubles",
    "Reorder": "lines",
    "Rule": "troubles",
    "SeenRequest": "troubles",
    "Sent": "troubles",
    "Stall": "lines",
    "Throttle": "lines",
}

__all__ = [
    "After",
    "Before",
    "BlackHole",
    "Corrupt",
    "Cut",
    "Delay",
    "ObjectStoreServer",
    "Pieces",
    "Proxy",
    "Received",
    "Refuse",
    "Reorder",
    "Rule",
    "SeenRequest",
    "Sent",
    "Stall",
    "Throttle",
    "proxied",
    "serve",
]


def __getattr__(name: str) -> object:
    # Every run of pytest imports this package, and few of them want a server.
    if name in _SERVING:
        try:
            from objectstore.testing import serving
        except ModuleNotFoundError as error:
            message = f"objectstore.testing.{name} needs {error.name}: pip install 'objectstore[server]'"
            raise ModuleNotFoundError(message, name=error.name) from error
        return getattr(serving, name)
    if name in _HOMES:
        return getattr(import_module(f"objectstore.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
