"""What is kept under the prefixes of a token, for its bearer to see."""

from __future__ import annotations

from fastapi import APIRouter, Response

from objectstore.backends.contract import Metered
from objectstore.errors import Unsupported
from objectstore.server.access import Caller, Shared
from objectstore.server.description import failures
from objectstore.server.schemas import UsageReport
from objectstore.wire.records import JSON, dump
from objectstore.wire.usage import USAGE, record, with_limits

router = APIRouter(tags=["quotas"])


@router.get(USAGE, response_model=UsageReport, responses=failures(401, 501, 503))
async def show(service: Shared, credential: Caller) -> Response:
    """What is kept under each prefix for which this token has a quota, whoever wrote it; nothing without a quota."""
    quotas = credential.quotas
    usages = []
    if quotas:
        backend = service.backend
        if not backend.capabilities.quotas or not isinstance(backend, Metered):
            raise Unsupported("this store keeps no quotas")
        found = await backend.usage([quota.prefix for quota in quotas])
        usages = [record(with_limits(usage, quota)) for usage, quota in zip(found, quotas, strict=True)]
    return Response(dump({"usage": usages}), media_type=JSON.decode())
