"""What browsers ask before a page of another origin may do something (preflights): how to tell, and who answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from objectstore.server.exchange import Exchange, Scope

Answering: TypeAlias = Callable[[Exchange], Awaitable[None]]


def is_preflight(scope: Scope) -> bool:
    """Whether a request is one (Fetch standard, CORS-preflight request)."""
    if scope["method"] != "OPTIONS":
        return False
    names = {name for name, _ in scope["headers"]}
    return b"origin" in names and b"access-control-request-method" in names
