"""The FastAPI application: every path but those of the data plane, and the description of them all."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from objectstore import __version__
from objectstore.server import batch, health, links, uploads, usage
from objectstore.server.description import describe_objects
from objectstore.server.errors import install_handlers
from objectstore.server.metrics import metrics_router
from objectstore.server.observation.metrics import Metrics
from objectstore.server.readiness import Readiness
from objectstore.server.service import Service


class Framework(FastAPI):
    """Is called with requests that were admitted; whose they are is in the state of their scope."""

    def __init__(self, service: Service, readiness: Readiness, metrics: Metrics, *, metrics_public: bool) -> None:
        super().__init__(
            title="objectstore",
            version=__version__,
            summary="A durable object store over plain HTTP",
            license_info={"name": "MIT", "identifier": "MIT"},
            openapi_url="/openapi.json",
            redirect_slashes=False,
        )
        self.state.service = service
        self.state.readiness = readiness
        self.state.metrics = metrics
        install_handlers(self)
        for module in (batch, uploads, links, health, usage):
            self.include_router(module.router)
        self.include_router(metrics_router(public=metrics_public))

    def openapi(self) -> dict[str, Any]:
        """The description of everything that is served, the data plane included."""
        if self.openapi_schema is None:
            self.openapi_schema = describe_objects(super().openapi())
        return self.openapi_schema
