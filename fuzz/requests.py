"""What a server reads of a request."""

from __future__ import annotations

import json

from fuzz.checks import attempt, holds, json_of, text_of
from objectstore.core.keys import check_key
from objectstore.core.listing import decode_cursor, encode_cursor
from objectstore.core.ranges import resolve_all
from objectstore.errors import (
    BadRequest,
    DigestMismatch,
    InvalidCursor,
    InvalidDigest,
    InvalidKey,
    InvalidMetadata,
    InvalidParameter,
    InvalidRange,
)
from objectstore.ratelimit.addresses import client_address, parse_networks
from objectstore.server.bodies import parse_body
from objectstore.server.listing import MAX_LIMIT, parse_query
from objectstore.server.observation.requestid import MOST, is_sane
from objectstore.wire import conditions as condition_fields
from objectstore.wire import headers, records
from objectstore.wire import ranges as range_fields
from objectstore.wire.paths import key_of, object_path, quote_key, unquote_key

_TRUSTED = parse_networks("10.0.0.0/8, ::1, 192.0.2.1")


def keys(data: bytes) -> None:
    key = attempt(lambda: key_of(b"/objects/" + data), InvalidKey)
    attempt(lambda: unquote_key(data.decode("latin-1")), InvalidKey)
    if key is None:
        return
    path = object_path(check_key(key))
    holds(key_of(path.encode()) == key, key, path)
    holds(unquote_key(quote_key(key)) == key, key)
    if key not in {".", ".."}:
        holds(not {".", ".."} & set(path.replace("%2E", ".").split("/")), path)
    holds(not set(path) & set(" ?#\r\n\0\\"), path)


def ranges(data: bytes) -> None:
    found = range_fields.parse_ranges(data)
    holds(len(found) <= range_fields.MAX_RANGES)
    for one in found:
        holds(range_fields.parse_ranges(range_fields.format_range(one)) == (one,), one)
    for size in (0, 1, 1000, 2**62):
        spans = attempt(lambda size=size: resolve_all(found, size), InvalidRange) or ()  # type: ignore[misc]
        holds(all(0 <= start < stop <= size for start, stop in spans), spans)
        holds(sum(stop - start for start, stop in spans) <= size, spans)
    span = attempt(lambda: range_fields.parse_content_range(data), BadRequest)
    if span is not None:
        holds(range_fields.parse_content_range(range_fields.format_content_range(*span)) == span)


def conditions(data: bytes) -> None:
    condition_fields.parse_if_range(data)
    time = headers.parse_http_date(data)
    if time is not None:
        holds(headers.parse_http_date(headers.http_date(time)) == time.replace(microsecond=0), time)
    for strong in (True, False):
        tags = attempt(lambda strong=strong: condition_fields.parse_etags(data, strong=strong), BadRequest)  # type: ignore[misc]
        for tag in () if tags is None or tags == "*" else tags:
            holds(condition_fields.parse_etags(headers.format_etag(tag), strong=strong) == (tag,), tag)
    attempt(lambda: condition_fields.parse_conditions({b"if-match": data, b"if-modified-since": data}), BadRequest)


def fields(data: bytes) -> None:
    pairs = []
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        pairs.append((name.strip().lower(), value.strip()))
    found = attempt(lambda: headers.fields_of(pairs), BadRequest)
    attributes = None if found is None else attempt(lambda: headers.parse_attributes(found), InvalidMetadata)
    if attributes is None:
        return
    sent = headers.format_attributes(attributes)
    for _, value in sent:
        holds(not set(value) & set(b"\0\r\n"), value)
    holds(headers.parse_attributes(headers.fields_of(sent)) == attributes, attributes)


def digests(data: bytes) -> None:
    found = attempt(lambda: headers.parse_digests(data), InvalidDigest) or {}
    if "sha-256" in found:
        holds(headers.parse_digests(headers.format_digest(found["sha-256"]))["sha-256"] == found["sha-256"])
    sent = {b"content-digest": data, b"repr-digest": data[::-1], b"content-md5": data}
    attempt(lambda: headers.parse_expected(sent), InvalidDigest, DigestMismatch)


def json_bodies(data: bytes) -> None:
    attempt(lambda: parse_body(data), BadRequest)
    told = json_of(data)
    attempt(lambda: records.parse_part(told), BadRequest)
    attempt(lambda: records.parse_upload(told), BadRequest)
    info = attempt(lambda: records.parse_record(told), BadRequest)
    if info is not None:
        again = json.loads(records.format_record(info))
        holds(again == records.record(info), info)
        holds(records.parse_record(again).attributes.metadata == info.attributes.metadata, info)


def cursors(data: bytes) -> None:
    start = attempt(lambda: decode_cursor(data.decode("latin-1")), InvalidCursor)
    attempt(lambda: decode_cursor(text_of(data)), InvalidCursor)
    if start is not None:
        holds(decode_cursor(encode_cursor(start)) == start)
    text = data.decode("utf-8", "ignore")
    holds(decode_cursor(encode_cursor(text)) == text)


def queries(data: bytes) -> None:
    query = attempt(lambda: parse_query(data), InvalidParameter, InvalidCursor)
    if query is not None:
        holds(1 <= query.limit <= MAX_LIMIT)
        (query.prefix + query.delimiter + query.start).encode()


def origins(data: bytes) -> None:
    """Who asks, as proxies and the client tell it: goes into logs and names of counters."""
    client_address("10.1.2.3", data, _TRUSTED)
    client_address(data.decode("latin-1"), None, _TRUSTED)
    if is_sane(data):
        holds(len(data) <= MOST)
        holds(data.decode("ascii").isprintable())
        holds(not set(data) & set(b" \"'`$\\<>"))
