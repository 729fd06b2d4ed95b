"""The application: FastAPI as the whole public face, with the data plane in front of `/objects`."""

from __future__ import annotations

import gc
import logging
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from objectstore import __version__
from objectstore.errors import LengthRequired, ObjectStoreError, TooLarge
from objectstore.server import batch, health, links, uploads
from objectstore.server.access import DESCRIPTION_PATHS, HEALTH_PATHS
from objectstore.server.admission import Admission
from objectstore.server.dataplane import DataPlane, serves
from objectstore.server.description import describe_objects
from objectstore.server.errors import install_handlers
from objectstore.server.exchange import Exchange, raw_path_of
from objectstore.server.service import Service

_log: Final = logging.getLogger("objectstore.server")

MAX_JSON_SIZE: Final = 8 * 1024 * 1024  # bytes: a thousand of the longest keys, escaped to the last character


class Application(FastAPI):
    """Serves `service`. An ASGI application for any server; a lifespan opens and closes the store."""

    def __init__(self, service: Service, *, docs_public: bool = True) -> None:
        super().__init__(
            title="objectstore",
            version=__version__,
            summary="A durable object store over plain HTTP",
            license_info={"name": "MIT", "identifier": "MIT"},
            openapi_url="/openapi.json",
            redirect_slashes=False,
        )
        self.state.service = service
        self._service = service
        self._public = HEALTH_PATHS | (DESCRIPTION_PATHS if docs_public else frozenset())
        self._admission = Admission(service)
        self._dataplane = DataPlane(service, self._admission)
        install_handlers(self)
        for module in (batch, uploads, links, health):
            self.include_router(module.router)

    def openapi(self) -> dict[str, Any]:
        """The description of everything that is served, the data plane included."""
        if self.openapi_schema is None:
            self.openapi_schema = describe_objects(super().openapi())
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            raw_path = raw_path_of(scope)
            if serves(scope["method"], raw_path):
                await self._dataplane(scope, receive, send, raw_path)
            else:
                await self._route(scope, Exchange(scope, receive, send, raw_path))

    async def _route(self, scope: Scope, exchange: Exchange) -> None:
        try:
            await self._admit(exchange, scope)
        except ObjectStoreError as error:
            await exchange.refuse(error)
        else:
            await super().__call__(scope, exchange.receive, exchange.relay)
        if exchange.method in {"PUT", "POST"}:
            await exchange.drain()

    async def _admit(self, exchange: Exchange, scope: Scope) -> None:
        if exchange.raw_path.decode("latin-1") in self._public:
            return
        exchange.parse_fields()
        scope.setdefault("state", {})["credential"] = await self._admission.admit(exchange)
        if exchange.method == "POST":
            length = exchange.content_length
            if length is None:
                raise LengthRequired("send the JSON with a Content-Length")
            if length > MAX_JSON_SIZE:
                raise TooLarge(MAX_JSON_SIZE)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol: a store that cannot be opened is told in one line."""
        await receive()
        try:
            await self._service.open()
        except ObjectStoreError as error:
            await send({"type": "lifespan.startup.failed", "message": f"the store cannot be opened: {error}"})
            return
        # What was imported and built stays to the end: the collector need not look through it again and again.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._service.close()
        await send({"type": "lifespan.shutdown.complete"})
