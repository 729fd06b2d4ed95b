"""Who may call what the FastAPI application serves: all of it needs a token, but for the public paths."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from objectstore.auth.scopes import Credential
from objectstore.server.exchange import Scope
from objectstore.server.service import Service

HEALTH_PATHS: Final = frozenset({"/health", "/health/ready"})
DESCRIPTION_PATHS: Final = frozenset({"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"})

# Describes the scheme in OpenAPI. The check itself is made before the framework reads a body.
_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="`Authorization: Bearer TOKEN`")


def admit(service: Service, scope: Scope) -> None:
    """Note in `scope` whose request it is. Raises Unauthenticated."""
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    scope.setdefault("state", {})["credential"] = service.tokens.authenticate(authorization, service.now())


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _credential(request: Request, _: Annotated[object, Depends(_bearer)]) -> Credential:
    credential: Credential = request.state.credential
    return credential


Shared = Annotated[Service, Depends(_service)]
Caller = Annotated[Credential, Depends(_credential)]
