"""The operations on one object, each from request to response."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from objectstore.auth.scopes import Credential, require
from objectstore.core.conditions import check_read
from objectstore.core.ranges import resolve_all
from objectstore.errors import BadRequest, NotModified, ObjectStoreError
from objectstore.server.downloads import send_content, send_several
from objectstore.server.exchange import Exchange
from objectstore.server.quotas import quota_for
from objectstore.server.service import Service
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Bounded,
    ByteRange,
    Conditions,
    CopyOptions,
    GetOptions,
    Inline,
    ObjectInfo,
    PutOptions,
)
from objectstore.wire.conditions import parse_conditions, parse_if_range
from objectstore.wire.headers import COPY_FROM, format_etag, format_info, parse_attributes, parse_expected
from objectstore.wire.paths import key_of, unquote_key
from objectstore.wire.ranges import format_content_range, parse_ranges
from objectstore.wire.records import JSON, format_record

_WHOLE: Final = GetOptions()


async def put_object(service: Service, exchange: Exchange, credential: Credential) -> None:
    key = key_of(exchange.raw_path)
    require(credential, "write", key)
    fields = exchange.fields
    options = PutOptions(
        attributes=parse_attributes(fields),
        conditions=parse_conditions(fields),
        size=exchange.content_length,
        expected=parse_expected(fields),
        quota=quota_for(service.backend, credential, key) if credential.quotas else None,
    )
    body = await exchange.body(service.max_object_size)
    await _respond_record(exchange, await service.backend.put(key, body, options))


async def copy_object(service: Service, exchange: Exchange, credential: Credential) -> None:
    key = key_of(exchange.raw_path)
    source = unquote_key(exchange.fields[COPY_FROM].decode("latin-1"))
    require(credential, "read", source)
    require(credential, "write", key)
    if exchange.content_length != 0:
        raise BadRequest("a copy has no body: X-Copy-From names what is stored")
    attributes = parse_attributes(exchange.fields)
    options = CopyOptions(
        attributes=None if attributes is NO_ATTRIBUTES else attributes,
        conditions=parse_conditions(exchange.fields),
        quota=quota_for(service.backend, credential, key) if credential.quotas else None,
    )
    await _respond_record(exchange, await service.backend.copy(source, key, options))


async def get_object(service: Service, exchange: Exchange, credential: Credential) -> None:
    key = key_of(exchange.raw_path)
    require(credential, "read", key)
    fields = exchange.fields
    conditions = parse_conditions(fields)
    try:
        if b"range" in fields:
            await _get_ranges(service, exchange, key, conditions)
        else:
            options = _WHOLE if conditions is UNCONDITIONAL else GetOptions(conditions=conditions)
            await _get_one(service, exchange, key, options)
    except NotModified as error:
        await _respond_not_modified(service, exchange, key, error)


async def head_object(service: Service, exchange: Exchange, credential: Credential) -> None:
    key = key_of(exchange.raw_path)
    require(credential, "read", key)
    info = await service.backend.head(key)
    try:
        check_read(parse_conditions(exchange.fields), info)
    except NotModified as error:
        await _respond_not_modified(service, exchange, key, error)
        return
    await exchange.respond(200, [*format_info(info), (b"content-length", b"%d" % info.size)])


async def delete_object(service: Service, exchange: Exchange, credential: Credential) -> None:
    key = key_of(exchange.raw_path)
    require(credential, "delete", key)
    await service.backend.delete(key, parse_conditions(exchange.fields))
    await exchange.respond(204, [])


async def _get_one(service: Service, exchange: Exchange, key: str, options: GetOptions) -> None:
    async with service.backend.get(key, options) as reading:
        fields = format_info(reading.info)
        fields.append((b"content-length", b"%d" % (reading.stop - reading.start)))
        status = 200
        if options.range is not None:
            status = 206
            fields.append((b"content-range", format_content_range(reading.start, reading.stop, reading.info.size)))
        content = reading.content
        if isinstance(content, Inline):
            await exchange.respond(status, fields, content.data)
        else:
            await exchange.start(status, fields)
            await send_content(exchange, reading)


async def _get_ranges(service: Service, exchange: Exchange, key: str, conditions: Conditions) -> None:
    fields = exchange.fields
    ranges = parse_ranges(fields[b"range"])
    if ranges and b"if-range" in fields:
        ranges = await _ranges_if_unchanged(service, key, fields[b"if-range"], ranges)
    if len(ranges) > 1:
        await _get_several(service, exchange, key, ranges, conditions)
    else:
        wanted = ranges[0] if ranges else None
        await _get_one(service, exchange, key, GetOptions(range=wanted, conditions=conditions))


async def _get_several(
    service: Service, exchange: Exchange, key: str, ranges: tuple[ByteRange, ...], conditions: Conditions
) -> None:
    info = await service.backend.head(key)
    check_read(conditions, info)
    spans = resolve_all(ranges, info.size)
    same = Conditions(if_match=(info.etag,))
    if len(spans) == 1:
        await _get_one(service, exchange, key, GetOptions(range=Bounded(*spans[0]), conditions=same))
    else:
        await send_several(service.backend, exchange, info, spans, same)


async def _ranges_if_unchanged(
    service: Service, key: str, validator: bytes, ranges: tuple[ByteRange, ...]
) -> tuple[ByteRange, ...]:
    """The ranges when the object is still the one that the client has a part of, else none (RFC 9110 §13.1.5)."""
    info = await service.backend.head(key)
    held = parse_if_range(validator)
    if isinstance(held, datetime):
        return ranges if info.modified.replace(microsecond=0) == held else ()
    return ranges if held is not None and held == info.etag else ()


async def _respond_record(exchange: Exchange, info: ObjectInfo) -> None:
    body = format_record(info).encode()
    await exchange.respond(
        200,
        [
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(body)),
            (b"etag", format_etag(info.etag)),
        ],
        body,
    )


async def _respond_not_modified(service: Service, exchange: Exchange, key: str, error: NotModified) -> None:
    fields = [(b"etag", format_etag(error.etag))]
    try:
        info = await service.backend.head(key)
    except ObjectStoreError:
        pass  # it was there a moment ago, and the etag alone makes a whole answer
    else:
        if info.etag == error.etag:
            # What a cache updates its copy with (RFC 9110 §15.4.5).
            kept = {b"cache-control", b"last-modified"}
            fields += [pair for pair in format_info(info) if pair[0] in kept]
    await exchange.respond(304, fields)
