"""Letting pages of other origins use the server from a browser, when the operator names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from objectstore.errors import BadRequest
from objectstore.server.errors import response_of

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

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
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

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        error = BadRequest("pages of this origin may not do this here: CORS_ORIGINS names those that may")
        refusal = response_of(error)
        refusal.headers["Vary"] = response.headers["Vary"]
        return refusal
