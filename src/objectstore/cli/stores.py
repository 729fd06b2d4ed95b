"""The servers that one command talks to."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from objectstore.cli.connection import connect_to, located
from objectstore.cli.locations import Server

if TYPE_CHECKING:
    from objectstore.client import RestStore


class Stores:
    """Clients of the servers that are named, made when they are asked for; used in a `with`.

    Two names of one server, with the same token, are one client: what goes from it to itself stays there.
    """

    def __init__(self, url: str | None, token: str | None, profile: str | None) -> None:
        """What the options say of the usual server, and of no other."""
        self._usual = (url, token, profile)
        self._open: dict[tuple[str, str | None], RestStore] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()

    def at(self, server: Server) -> RestStore:
        """The client of the server. Raises Usage, ConfigurationError."""
        place = located(*(self._usual if server == Server() else (server.url, None, server.profile)))
        name = (place.url.rstrip("/"), place.token)
        if name not in self._open:
            self._open[name] = self._closing.enter_context(connect_to(place))
        return self._open[name]
