"""Deleting many objects with one request."""

from __future__ import annotations

from fastapi import APIRouter, Response

from objectstore.auth.scopes import require
from objectstore.core.keys import check_key
from objectstore.errors import ObjectStoreError
from objectstore.server.access import Caller, Shared
from objectstore.server.bodies import JsonRoute
from objectstore.server.description import failures
from objectstore.server.schemas import DeleteRequest, DeleteResponse
from objectstore.wire.errors import details
from objectstore.wire.records import JSON, dump

router = APIRouter(tags=["objects"], route_class=JsonRoute)


@router.post(
    "/objects/delete", response_model=DeleteResponse, responses=failures(400, 401, 403, 411, 413, 422, 501, 503)
)
async def delete_many(asked: DeleteRequest, service: Shared, credential: Caller) -> Response:
    """Delete up to 1000 objects. Each key is either among the deleted or has its error."""
    require(credential, "delete")
    failed: dict[str, ObjectStoreError] = {}
    allowed: list[str] = []
    for key in dict.fromkeys(asked.keys):
        try:
            require(credential, "delete", check_key(key))
        except ObjectStoreError as error:
            failed[key] = error
        else:
            allowed.append(key)
    outcomes = await service.backend.delete_many(allowed)
    failed |= {key: error for key, error in zip(allowed, outcomes, strict=True) if error is not None}
    body = dump(
        {
            "deleted": [key for key in allowed if key not in failed],
            "errors": [_told(key, error) for key, error in failed.items()],
        }
    )
    return Response(body, media_type=JSON.decode())


def _told(key: str, error: ObjectStoreError) -> dict[str, object]:
    told = details(error)
    return {"key": key, "code": told["code"], "message": told["message"]}
