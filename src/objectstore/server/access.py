"""What routes are given: the service, and whose request it is; all but the public paths need a token."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from objectstore.auth.scopes import Credential
from objectstore.server.service import Service

# Describes the scheme in OpenAPI. The check itself is made in `admission`, before the framework reads a body.
_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="`Authorization: Bearer TOKEN`")


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _credential(request: Request, _: Annotated[object, Depends(_bearer)]) -> Credential:
    credential: Credential = request.state.credential
    return credential


Shared = Annotated[Service, Depends(_service)]
Caller = Annotated[Credential, Depends(_credential)]
