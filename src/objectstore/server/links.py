"""Making signed links."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request, Response

from objectstore.auth.links import Link, scope_of
from objectstore.auth.scopes import Credential, require
from objectstore.core.keys import check_key
from objectstore.errors import BadRequest, InvalidParameter, Unsupported
from objectstore.server.access import Caller, Shared
from objectstore.server.bodies import JsonRoute
from objectstore.server.description import failures
from objectstore.server.schemas import LinkRecord, LinkRequest
from objectstore.server.service import Service
from objectstore.wire.links import LINKS, PARAMETER
from objectstore.wire.paths import object_path
from objectstore.wire.records import JSON, dump, format_time

router = APIRouter(tags=["links"], route_class=JsonRoute)

_HOST: Final = re.compile(r"(?:[0-9A-Za-z.\-_]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@router.post(LINKS, status_code=201, response_model=LinkRecord, responses=failures(400, 401, 403, 411, 413, 422, 501))
async def sign(asked: LinkRequest, request: Request, service: Shared, credential: Caller) -> Response:
    """Make a URL that does one thing to one object without a token, until it expires or the token that made it ends.

    `url` is made of the server's `PUBLIC_URL`, or of this request; `path` goes below the base URL that clients use.
    """
    require(credential, scope_of(asked.method), check_key(asked.key))
    if service.links is None:
        raise Unsupported("this server makes no links")
    link = Link(
        key=asked.key,
        method=asked.method,
        expires=_end(service, asked.expires_in, credential),
        max_bytes=asked.max_bytes,
        content_type=asked.content_type,
        filename=asked.filename,
    )
    base = service.public_url or _base_of(request)
    value = await asyncio.to_thread(service.links.make, link, credential)
    path = f"{object_path(link.key)}?{PARAMETER}={value}"
    told: dict[str, object] = {
        "url": base + path,
        "path": path,
        "public": service.public_url is not None,
        "method": link.method,
        "key": link.key,
        "expires_at": format_time(datetime.fromtimestamp(link.expires, UTC)),
    }
    return Response(dump(told), 201, media_type=JSON.decode())


def _end(service: Service, lifetime: int, credential: Credential) -> int:
    """When the link expires: as asked, or when its token does, if that is earlier."""
    longest = int(service.link_max_ttl.total_seconds())
    if lifetime > longest:
        raise InvalidParameter(f"expires_in: at most {longest} seconds here (LINK_MAX_TTL)")
    end = int(service.now().timestamp()) + lifetime
    return end if credential.expires is None else min(end, int(credential.expires.timestamp()))


def _base_of(request: Request) -> str:
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise BadRequest("the Host header names no host, and there is no PUBLIC_URL to make a link of")
    root = request.scope.get("root_path", "")
    return f"{request.scope['scheme']}://{host}{root}"
