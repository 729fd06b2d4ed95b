"""Shipped for tests: a real server with troubles on demand, and what backends are tested with.

    from objectstore.testing import Refuse, serve

    with serve() as server:
        server.disturb(Refuse(503, retry_after=1), times=2)
        server.store.put("key", b"data")

`pip install 'objectstore[server]'` brings the server along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from objectstore.testing.faults import After, Before
    from objectstore.testing.serving import ObjectStoreServer, serve
    from objectstore.testing.troubles import Cut, Delay, Received, Refuse, Rule, SeenRequest, Sent

_SERVING = {"ObjectStoreServer", "serve"}
_TROUBLES = {"Cut", "Delay", "Received", "Refuse", "Rule", "SeenRequest", "Sent"}

__all__ = [
    "After",
    "Before",
    "Cut",
    "Delay",
    "ObjectStoreServer",
    "Received",
    "Refuse",
    "Rule",
    "SeenRequest",
    "Sent",
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
    if name in _TROUBLES:
        from objectstore.testing import troubles

        return getattr(troubles, name)
    if name in {"After", "Before"}:
        from objectstore.testing import faults

        return getattr(faults, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
