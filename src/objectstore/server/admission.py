"""Who sends a request: decided in one place for the data plane and for the framework, before a body is read."""

from __future__ import annotations

from objectstore.auth.scopes import Credential
from objectstore.server.exchange import Exchange
from objectstore.server.linked import LinkedExchange
from objectstore.server.service import Service


class Admission:
    """Stands before everything that is not public."""

    __slots__ = ("_links", "_now", "_tokens")

    def __init__(self, service: Service) -> None:
        self._tokens = service.tokens
        self._links = service.links
        self._now = service.now

    async def admit(self, exchange: Exchange) -> Credential:
        """Whose request it is; its fields have been parsed.

        Raises:
            Unauthenticated: nobody's who is known.
            Forbidden: of somebody whose link is bound to other headers.
        """
        if isinstance(exchange, LinkedExchange):
            credential = exchange.enter(self._links, self._now())
            if credential is not None:
                return credential
        return self._tokens.authenticate(exchange.fields.get(b"authorization"), self._now())
