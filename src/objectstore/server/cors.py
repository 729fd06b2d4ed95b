"""Letting pages of other origins use the server from a browser, when the operator names them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from objectstore.errors import BadRequest, ObjectStoreError
from objectstore.server.application import Application
from objectstore.server.errors import response_of
from objectstore.server.exchange import Exchange
from objectstore.server.preflights import is_preflight

# What scripts may read beside what they always may. Metadata has names of its own, which only `*` covers; it does
# not when a script sends cookies along, so what the contract is made of is named.
EXPOSED: Final = (
    "Accept-Ranges",
    "Allow",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "ETag",
    "RateLimit",
    "RateLimit-Policy",
    "Repr-Digest",
    "Retry-After",
    "WWW-Authenticate",
    "X-Created-At",
    "X-Error-Code",
    "X-Modified-At",
    "X-Request-Id",
    "*",
)
_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE")
_MAX_AGE: Final = 600  # seconds that a browser need not ask again


class Cors(CORSMiddleware):
    """Answers preflights, which come without a token, and tells browsers which answers a page may read.

    Who is asked does not become less careful: every request behind it needs its token or its link.
    """

    def __init__(self, app: Application, origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            # A page on the internet may then ask a server in the house; the operator has named it.
            allow_private_network=True,
            expose_headers=EXPOSED,
            max_age=_MAX_AGE,
        )
        app.answer_preflights(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_preflight(scope):
            await self.app(scope, receive, send)  # as a request like any other it is counted, logged and has an id
        else:
            await super().__call__(scope, receive, send)

    async def _answer(self, exchange: Exchange) -> None:
        with suppress(ObjectStoreError):
            exchange.parse_fields()  # the client's own name for the request is in them
        response = self.preflight_response(Headers(scope=exchange.scope))
        await response(exchange.scope, exchange.receive, exchange.relay)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        error = BadRequest("pages of this origin may not do this here: CORS_ORIGINS names those that may")
        refusal = response_of(error)
        refusal.headers["Vary"] = response.headers["Vary"]
        return refusal
