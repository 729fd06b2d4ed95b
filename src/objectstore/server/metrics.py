"""Figures for Prometheus."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS

from objectstore.auth.scopes import Credential, require
from objectstore.server.description import failures
from objectstore.server.observation.metrics import Metrics
from objectstore.server.publicpaths import METRICS_PATH

_SUCCESS: Final[dict[str, Any]] = {
    "description": "The figures of all workers",
    "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in (CONTENT_TYPE_LATEST, OPENMETRICS)},
}


def metrics_router(*, public: bool) -> APIRouter:
    """The route; unless it is `public` it takes a token with the scope `metrics`."""
    router = APIRouter(tags=["monitoring"])

    @router.get(
        METRICS_PATH,
        response_class=Response,
        responses={
            200: _SUCCESS,
            **failures(*_failing(public)),
        },
        openapi_extra={} if public else {"security": [{"token": []}]},
    )
    async def metrics(request: Request) -> Response:
        """Figures for Prometheus, in its text format or in OpenMetrics. docs/monitoring.md explains each."""
        if not public:
            credential: Credential = request.state.credential
            require(credential, "metrics")
        found: Metrics = request.app.state.metrics
        text, content_type = await found.scrape(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    return router


def _failing(public: bool) -> tuple[int, ...]:
    return (500,) if public else (401, 403, 500)
