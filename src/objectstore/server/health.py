"""Whether the process lives, and whether the store behind it answers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from objectstore.server import readiness, schemas
from objectstore.server.access import Shared
from objectstore.server.description import failures
from objectstore.server.liveness import LIVES
from objectstore.server.publicpaths import HEALTH

router = APIRouter(tags=["health"])


@router.get(HEALTH)
async def health() -> schemas.Health:
    """The process lives."""
    # Most are answered by `liveness`, which does not need the framework.
    return schemas.Health(**LIVES)


@router.get("/health/ready", responses=failures(503), response_model_exclude_none=True)
async def ready(request: Request, service: Shared) -> schemas.Readiness:
    """The store answers and can be written to, as of a second ago at most."""
    found: readiness.Readiness = request.app.state.readiness
    checks = await found.require()
    capabilities = service.backend.capabilities
    return schemas.Readiness(
        status="ready",
        backend=capabilities.name,
        persistent=capabilities.persistent,
        notes=list(capabilities.notes),
        checks={name: schemas.Check(**check.told()) for name, check in checks.items()},
    )
