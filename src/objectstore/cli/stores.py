"""The servers that one command talks to."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from objectstore.cli.connection import connect_async, connect_to, located
from objectstore.cli.locations import Server, key_at

if TYPE_CHECKING:
    from objectstore.client import AsyncRestStore, RestStore
    from objectstore.client.place import Place


class Stores:
    """Clients of the servers that are named, made when they are asked for; used in a `with`.

    Two names of one server, with the same token, are one client: what goes from it to itself stays there.
    """

    def __init__(self, url: str | None, token: str | None, profile: str | None) -> None:
        """What the options say of the usual server, and of no other."""
        self._usual = (url, token, profile)
        self._open: dict[tuple[str, str | None], RestStore] = {}
        self._known: dict[Server, RestStore] = {}
        self._places: dict[RestStore, Place] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.close()

    def at(self, server: Server) -> RestStore:
        """The client of the server. Raises Usage, ConfigurationError."""
        if server not in self._known:
            self._known[server] = self._of(server)
        return self._known[server]

    def _of(self, server: Server) -> RestStore:
        place = located(*(self._usual if server == Server() else (server.url, None, server.profile)))
        name = (place.url.rstrip("/"), place.token)
        if name not in self._open:
            store = self._open[name] = self._closing.enter_context(connect_to(place))
            self._places[store] = place
        return self._open[name]

    def of_key(self, text: str) -> tuple[RestStore, str]:
        """The client and the key for what was typed where a key stands. Raises Usage, ConfigurationError."""
        place = key_at(text)
        return self.at(place.server), place.key

    def awaiting(self, store: RestStore, at_once: int) -> AsyncRestStore:
        """A client of the same server for an event loop, to be closed by the caller."""
        # It takes a while to import, and commands about single keys do without.
        from objectstore.client.transfers.jobs import CONNECTIONS

        return connect_async(self._places[store], at_once + CONNECTIONS)
