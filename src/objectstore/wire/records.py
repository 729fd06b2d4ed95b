"""JSON bodies ⇄ values: object records, pages, uploads, parts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from objectstore.core.attributes import check_attributes
from objectstore.core.listing import encode_cursor
from objectstore.errors import BadRequest
from objectstore.values import (
    DEFAULT_CONTENT_TYPE,
    NOTHING,
    Attributes,
    ListPage,
    ObjectInfo,
    Part,
    Upload,
)

JSON: Final = b"application/json"
_OPTIONAL: Final = ("content_encoding", "content_disposition", "content_language", "cache_control")


def format_time(time: datetime) -> str:
    """RFC 3339, UTC, microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def format_digests(digests: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(raw).decode() for name, raw in digests.items()}


def parse_digest_map(told: Mapping[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(text) for name, text in told.items()}


def record(info: ObjectInfo) -> dict[str, object]:
    """The object record of the HTTP contract. Kept headers beside the content type are there when set."""
    attributes = info.attributes
    told: dict[str, object] = {
        "key": info.key,
        "size": info.size,
        "etag": info.etag,
        "content_type": attributes.content_type or DEFAULT_CONTENT_TYPE,
        "created_at": format_time(info.created),
        "modified_at": format_time(info.modified),
        "digest": format_digests(info.digests),
        "metadata": dict(attributes.metadata),
    }
    for name in _OPTIONAL:
        value = getattr(attributes, name)
        if value is not None:
            told[name] = value
    return told


def parse_record(told: Mapping[str, Any]) -> ObjectInfo:
    """The object that a record tells of. Raises BadRequest when it is no record."""
    try:
        return ObjectInfo(
            key=told["key"],
            size=told["size"],
            etag=told["etag"],
            created=parse_time(told["created_at"]),
            modified=parse_time(told["modified_at"]),
            digests=parse_digest_map(told["digest"]),
            attributes=parse_attributes(told),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadRequest(f"not an object record: {error}") from error


def parse_attributes(told: Mapping[str, Any]) -> Attributes:
    """The attributes among the members of a JSON object. Raises InvalidMetadata."""
    return check_attributes(
        Attributes(
            content_type=told.get("content_type"),
            metadata=told.get("metadata") or NOTHING,
            **{name: told.get(name) for name in _OPTIONAL},
        )
    )


def page(found: ListPage, *, delimited: bool, details: bool) -> dict[str, object]:
    """The body of a listing."""
    told: dict[str, object] = {
        "keys": found.keys,
        "next_cursor": None if found.next_start is None else encode_cursor(found.next_start),
        "has_more": found.next_start is not None,
    }
    if delimited:
        told["prefixes"] = found.prefixes
    if details:
        told["objects"] = [record(info) for info in found.objects]
    return told


def part(found: Part) -> dict[str, object]:
    return {"n": found.number, "size": found.size, "etag": found.etag}


def upload(found: Upload) -> dict[str, object]:
    """An upload and what has arrived of it."""
    told: dict[str, object] = {
        "upload_id": found.upload_id,
        "key": found.key,
        "begun_at": format_time(found.begun),
        "parts": [part(one) for one in found.parts],
    }
    if found.completed is not None:
        told["completed"] = record(found.completed)
    return told


def dump(told: Mapping[str, object] | Iterable[object]) -> bytes:
    """Compact JSON in UTF-8; keys of objects travel as they are."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
