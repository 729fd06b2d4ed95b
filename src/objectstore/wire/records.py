"""JSON bodies ⇄ values: object records, pages, uploads, parts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from objectstore.core.attributes import check_attributes
from objectstore.core.listing import encode_cursor
from objectstore.errors import BadRequest, InvalidMetadata
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
_T = TypeVar("_T")
_OPTIONAL: Final = ("content_encoding", "content_disposition", "content_language", "cache_control")


def format_time(time: datetime) -> str:
    """RFC 3339, UTC, microseconds."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    """The time that an RFC 3339 text names, in UTC. Raises BadRequest."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        pass
    raise BadRequest(f"not an RFC 3339 time with its offset: {text!r}")


def format_digests(digests: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(raw).decode() for name, raw in digests.items()}


def parse_digest_map(told: Mapping[str, str]) -> dict[str, bytes]:
    """Algorithm to raw digest. Raises BadRequest."""
    try:
        return {name: base64.b64decode(text, validate=True) for name, text in told.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise BadRequest(f"not digests in Base64: {error}") from error


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
        if value:
            told[name] = value
    return told


def parse_record(told: Any) -> ObjectInfo:
    """The object that a record tells of. Raises BadRequest when it is no record."""
    if not isinstance(told, Mapping):
        raise BadRequest("an object record is a JSON object")
    return ObjectInfo(
        key=_member(told, "key", str),
        size=_member(told, "size", int),
        etag=_member(told, "etag", str),
        created=parse_time(_member(told, "created_at", str)),
        modified=parse_time(_member(told, "modified_at", str)),
        digests=parse_digest_map(_member(told, "digest", dict)),
        attributes=parse_attributes(told),
    )


def _member(told: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = told.get(name)
    # A bool is an int to isinstance.
    if type(value) is not kind:
        raise BadRequest(f"the member {name!r} of a JSON record is missing, or is no {kind.__name__}")
    return value


def parse_attributes(told: Mapping[str, Any]) -> Attributes:
    """The attributes among the members of a JSON object; null or empty is as good as not there.

    Raises:
        InvalidMetadata: a value is no string, or `core.attributes.check_attributes` refuses it.
    """
    metadata = told.get("metadata") or NOTHING
    if not isinstance(metadata, Mapping):
        raise InvalidMetadata("the metadata are no JSON object")
    kept = {name: told.get(name) or None for name in ("content_type", *_OPTIONAL)}
    given = [value for value in kept.values() if value is not None]
    if not all(isinstance(value, str) for value in (*given, *metadata.values())):
        raise InvalidMetadata("kept headers and metadata are strings")
    return check_attributes(Attributes(metadata=metadata, **kept))


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
