"""Whether the process lives, and whether the store behind it answers."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter

from objectstore import __version__
from objectstore.errors import Unavailable
from objectstore.server.access import Shared
from objectstore.server.description import failures
from objectstore.server.schemas import Health, Readiness

router = APIRouter(tags=["health"])

_TIMEOUT: Final = 5.0  # seconds; an orchestrator asks again soon


@router.get("/health")
async def health() -> Health:
    """The process lives."""
    return Health(status="healthy", service="objectstore", version=__version__)


@router.get("/health/ready", responses=failures(503, 507))
async def ready(service: Shared) -> Readiness:
    """The store answers and can be written to."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            await service.backend.check()
    except TimeoutError:
        raise Unavailable(f"the store did not answer within {_TIMEOUT:g} seconds") from None
    capabilities = service.backend.capabilities
    return Readiness(
        status="ready",
        backend=capabilities.name,
        persistent=capabilities.persistent,
        notes=list(capabilities.notes),
    )
