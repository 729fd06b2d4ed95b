"""Who sends a request: decided in one place for the data plane and for the framework, before a body is read.

First the address, which is not listened to after too many failed logins; then the token; then its rate.
"""

from __future__ import annotations

import logging

from objectstore.auth.scopes import Credential
from objectstore.core.rates import Rate
from objectstore.errors import InvalidLink, LinkExpired, RateLimited, Unauthenticated, Unavailable
from objectstore.ratelimit.addresses import client_address
from objectstore.ratelimit.guesses import Guesses
from objectstore.server.exchange import Exchange
from objectstore.server.linked import LinkedExchange
from objectstore.server.refusals import Refusals
from objectstore.server.service import Service
from objectstore.wire.rates import format_left, format_policy


class Admission:
    """Stands before everything that is not public."""

    __slots__ = ("_guesses", "_limits", "_links", "_now", "_rate", "_refusals", "_tokens")

    def __init__(self, service: Service) -> None:
        limits = service.limits
        self._tokens = service.tokens
        self._links = service.links
        self._now = service.now
        self._limits = limits
        self._rate = limits.rate
        self._refusals = Refusals()
        self._guesses = Guesses(limits.limiter, limits.address_rate) if limits.address_rate else None

    async def admit(self, exchange: Exchange) -> Credential:
        """Whose request it is; its fields have been parsed.

        Raises:
            Unauthenticated: nobody's who is known.
            Forbidden: of somebody whose link is bound to other headers.
            RateLimited: too many came from there, or under this token.
            Unavailable: whether too many came cannot be told, and so none may.
        """
        guesses = self._guesses
        if guesses is not None and guesses.any_shut_out():
            self._check_address(guesses, exchange)
        try:
            credential = self._authenticate(exchange)
        except Unauthenticated as error:
            self._tell(error, exchange)
            if guesses is not None and _may_be_guess(error, exchange):
                await self._note_failure(guesses, exchange)
            raise
        exchange.credential = credential
        rate = self._rate if credential.rate is None else credential.rate
        if rate:
            await self._check_rate(credential.name, rate, exchange)
        return credential

    def _authenticate(self, exchange: Exchange) -> Credential:
        if isinstance(exchange, LinkedExchange):
            credential = exchange.enter(self._links, self._now())
            if credential is not None:
                return credential
        return self._tokens.authenticate(exchange.fields.get(b"authorization"), self._now())

    def _tell(self, error: Unauthenticated, exchange: Exchange) -> None:
        authorization = exchange.fields.get(b"authorization")
        if isinstance(error, LinkExpired):
            # Pages and mails outlive their links: that is nobody's attempt at anything.
            self._refusals.note(self._address(exchange), "its signed link has expired", logging.INFO)
        elif isinstance(error, InvalidLink):
            self._refusals.note(self._address(exchange), "its signed link is not valid")
        elif authorization is not None:
            self._refusals.note(self._address(exchange), self._tokens.why_not(authorization))

    async def _check_rate(self, name: str, rate: Rate, exchange: Exchange) -> None:
        try:
            verdict = await self._limits.limiter.take(f"token {name}", rate)
        except Unavailable:
            self._limits.on_refusal("storage_away")
            raise
        if verdict is None:
            return
        exchange.added = (
            *exchange.added,
            (b"ratelimit-policy", format_policy(rate)),
            (b"ratelimit", format_left(rate, verdict.states)),
        )
        if verdict.wait:
            self._limits.on_refusal("token_rate")
            raise RateLimited(f"the token {name!r} has sent too many requests", retry_after=verdict.wait)

    def _check_address(self, guesses: Guesses, exchange: Exchange) -> None:
        address = self._address(exchange)
        wait = 0.0 if address is None else guesses.wait(address)
        if wait:
            raise self._shut_out(wait)

    async def _note_failure(self, guesses: Guesses, exchange: Exchange) -> None:
        address = self._address(exchange)
        if address is None:
            return
        try:
            wait = await guesses.failed(address)
        except Unavailable:
            self._limits.on_refusal("storage_away")
            raise
        if wait:
            raise self._shut_out(wait)

    def _address(self, exchange: Exchange) -> str | None:
        peer = exchange.peer
        if peer is None:
            return None
        return client_address(peer, exchange.fields.get(b"x-forwarded-for"), self._limits.trusted_proxies)

    def _shut_out(self, wait: float) -> RateLimited:
        self._limits.on_refusal("address_rate")
        return RateLimited("too many requests with tokens that are not valid came from this address", retry_after=wait)


def _may_be_guess(error: Unauthenticated, exchange: Exchange) -> bool:
    # To send nothing at all is none, and who has a link that has expired did not make it up.
    if isinstance(error, InvalidLink):
        return not isinstance(error, LinkExpired)
    return b"authorization" in exchange.fields
