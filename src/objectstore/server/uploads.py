"""Uploads in parts."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from objectstore.auth.scopes import Credential, covers, require
from objectstore.core.digests import SIZES
from objectstore.core.keys import check_key
from objectstore.core.listing import decode_cursor, encode_cursor
from objectstore.errors import InvalidDigest, TooLarge
from objectstore.server.access import Caller, Shared
from objectstore.server.bodies import JsonRoute
from objectstore.server.description import failures
from objectstore.server.exchange import Exchange
from objectstore.server.quotas import quota_for
from objectstore.server.schemas import (
    Begun,
    CompleteRequest,
    PartRecord,
    Record,
    UploadList,
    UploadRecord,
    UploadRequest,
)
from objectstore.server.service import Service
from objectstore.values import CompleteOptions, Conditions, Etags, PutOptions, Quota, Upload
from objectstore.wire import records
from objectstore.wire.conditions import parse_etags
from objectstore.wire.headers import format_etag, parse_expected
from objectstore.wire.records import JSON, dump, format_time

router = APIRouter(tags=["uploads in parts"], route_class=JsonRoute)

PART_SIZE: Final = 16 * 1024 * 1024  # bytes; large enough to keep a fast line busy, small enough to send again
_MAX_PARTS: Final = 10_000

UploadId = Annotated[str, Path(max_length=128)]


@router.post(
    "/uploads",
    status_code=201,
    response_model=Begun,
    responses=failures(400, 401, 403, 411, 412, 413, 422, 501, 503, 507),
)
async def begin(asked: UploadRequest, service: Shared, credential: Caller) -> Response:
    """Begin an upload in parts. Conditions are checked now, and again when it is completed."""
    require(credential, "write", check_key(asked.key))
    if asked.size is not None and asked.size > service.max_object_size:
        raise TooLarge(service.max_object_size)
    options = PutOptions(
        attributes=records.parse_attributes(asked.model_dump()),
        conditions=_conditions(asked),
        size=asked.size,
        expected=_expected(asked.digest),
        quota=_quota(service, credential, asked.key),
    )
    upload = await service.backend.uploads.begin(asked.key, options)
    told = {
        "upload_id": upload.upload_id,
        "part_size": part_size(asked.size or 0),
        "expires_at": format_time(upload.begun + service.upload_ttl),
    }
    return _json(told, 201)


@router.get("/uploads", response_model=UploadList, responses=failures(400, 401, 403, 422, 501, 503))
async def list_uploads(
    service: Shared,
    credential: Caller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query()] = None,
) -> Response:
    """Unfinished uploads, in order of their ids."""
    require(credential, "write")
    start = "" if cursor is None else decode_cursor(cursor)
    found = await service.backend.uploads.list(start=start, limit=limit)
    uploads = [one for one in found.uploads if covers(credential, one.key)]
    told: dict[str, object] = {
        "uploads": [_summary(service, one) for one in uploads],
        "next_cursor": None if found.next_start is None else encode_cursor(found.next_start),
        "has_more": found.next_start is not None,
    }
    return _json(told)


@router.get("/uploads/{upload_id}", response_model=UploadRecord, responses=failures(401, 403, 404, 422, 501, 503))
async def show(upload_id: UploadId, service: Shared, credential: Caller) -> Response:
    """The upload and the parts that have arrived."""
    upload = await _owned(service, credential, upload_id)
    told = records.upload(upload) | {"expires_at": format_time(upload.begun + service.upload_ttl)}
    for name in ("if_match", "if_none_match"):
        etags: Etags | None = getattr(upload.conditions, name)
        if etags is not None:
            told[name] = etags if etags == "*" else ", ".join(f'"{etag}"' for etag in etags)
    return _json(told)


@router.put(
    "/uploads/{upload_id}/parts/{n}",
    response_model=PartRecord,
    responses=failures(400, 401, 403, 404, 413, 422, 501, 503, 507),
    openapi_extra={
        "requestBody": {
            "required": False,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def put_part(
    upload_id: UploadId,
    n: Annotated[int, Path(ge=1, le=_MAX_PARTS)],
    request: Request,
    service: Shared,
    credential: Caller,
) -> Response:
    """Store part `n`. Parts may arrive in any order, in parallel, and again: the last one counts."""
    upload = await _owned(service, credential, upload_id)
    exchange = Exchange(request.scope, request.receive, request._send, b"")  # noqa: SLF001  never sends
    exchange.parse_fields()
    options = PutOptions(
        size=exchange.content_length,
        expected=parse_expected(exchange.fields),
        quota=_quota(service, credential, upload.key),
    )
    body = await exchange.body(service.max_object_size)
    part = await service.backend.uploads.put_part(upload_id, n, body, options)
    response = _json(records.part(part))
    response.raw_headers.append((b"etag", format_etag(part.etag)))
    return response


@router.post(
    "/uploads/{upload_id}/complete",
    response_model=Record,
    responses=failures(400, 401, 403, 404, 411, 412, 413, 422, 501, 503, 507),
)
async def complete(upload_id: UploadId, asked: CompleteRequest, service: Shared, credential: Caller) -> Response:
    """Make the object of these parts visible, as a whole. Asking again gives the same record again."""
    upload = await _owned(service, credential, upload_id)
    numbers = {one.n for one in asked.parts}
    if sum(part.size for part in upload.parts if part.number in numbers) > service.max_object_size:
        raise TooLarge(service.max_object_size)
    named = [(one.n, one.etag) for one in asked.parts]
    options = CompleteOptions(quota=_quota(service, credential, upload.key))
    info = await service.backend.uploads.complete(upload_id, named, options)
    response = _json(records.record(info))
    response.raw_headers.append((b"etag", format_etag(info.etag)))
    return response


@router.delete("/uploads/{upload_id}", status_code=204, responses=failures(401, 403, 404, 422, 501, 503))
async def abort(upload_id: UploadId, service: Shared, credential: Caller) -> None:
    """Forget the upload and its parts."""
    await _owned(service, credential, upload_id)
    await service.backend.uploads.abort(upload_id)


def part_size(size: int) -> int:
    """Bytes of a part such that 10 000 of them hold `size` bytes: a multiple of `PART_SIZE`."""
    return PART_SIZE * max(1, -(-size // (PART_SIZE * _MAX_PARTS)))


def _quota(service: Service, credential: Credential, key: str) -> Quota | None:
    return quota_for(service.backend, credential, key) if credential.quotas else None


async def _owned(service: Service, credential: Credential, upload_id: str) -> Upload:
    require(credential, "write")
    upload = await service.backend.uploads.get(upload_id)
    require(credential, "write", upload.key)
    return upload


def _conditions(asked: UploadRequest) -> Conditions:
    # JSON may name a tag bare; the header's quotes are accepted too.
    return Conditions(
        if_match=None if asked.if_match is None else _etags(asked.if_match, strong=True),
        if_none_match=None if asked.if_none_match is None else _etags(asked.if_none_match, strong=False),
    )


def _etags(text: str, *, strong: bool) -> Etags:
    if text == "*" or '"' in text:
        return parse_etags(text.encode(), strong=strong)
    return (text,)


def _expected(told: dict[str, str]) -> dict[str, bytes]:
    expected: dict[str, bytes] = {}
    for algorithm, text in told.items():
        try:
            raw = b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != SIZES.get(algorithm):
            raise InvalidDigest(f"{algorithm!r} is no digest known here, or its value is not Base64 of its length")
        expected[algorithm] = raw
    return expected


def _summary(service: Service, upload: Upload) -> dict[str, object]:
    return {
        "upload_id": upload.upload_id,
        "key": upload.key,
        "begun_at": format_time(upload.begun),
        "expires_at": format_time(upload.begun + service.upload_ttl),
    }


def _json(told: dict[str, object], status: int = 200) -> Response:
    return Response(dump(told), status, media_type=JSON.decode())
