"""JSON bodies ⇄ values: object records, pages, uploads, parts."""

from __future__ import annotations

import base64
import json
from binascii import b2a_base64
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from objectstore.core.attributes import check_attributes
from objectstore.core.listing import encode_cursor
from objectstore.errors import BadRequest, InvalidMetadata
from objectstore.values import (
    DEFAULT_CONTENT_TYPE,
    NO_ATTRIBUTES,
    NOTHING,
    Attributes,
    ListPage,
    ObjectInfo,
    Part,
    Upload,
)

JSON: Final = b"application/json"
# A string of JSON with its quotes; what is not ASCII stays as it is.
_text: Final[Callable[[str], str]] = json.encoder.encode_basestring
_T = TypeVar("_T")
_OPTIONAL: Final = ("content_encoding", "content_disposition", "content_language", "cache_control")
_KEPT: Final = ("content_type", *_OPTIONAL)


@lru_cache(maxsize=64)  # what a backend writes at one time is told at one time
def format_time(time: datetime) -> str:
    """RFC 3339, UTC, microseconds."""
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    # Without its zone: to write that out takes longer than all the rest.
    return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


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


def format_record(info: ObjectInfo) -> str:
    """`record` as JSON, several times faster than by way of a dictionary: one goes out for every write."""
    attributes = info.attributes
    created = format_time(info.created)
    modified = format_time(info.modified)
    digests = ",".join([f'"{name}":"{b2a_base64(raw, newline=False).decode()}"' for name, raw in info.digests.items()])
    metadata = "" if not attributes.metadata else ",".join(map(_member_text, attributes.metadata.items()))
    told = (
        f'{{"key":{_text(info.key)},"size":{info.size},"etag":{_text(info.etag)},'
        f'"content_type":{_text(attributes.content_type or DEFAULT_CONTENT_TYPE)},'
        f'"created_at":"{created}","modified_at":"{modified}","digest":{{{digests}}},"metadata":{{{metadata}}}'
    )
    if attributes is NO_ATTRIBUTES:
        return told + "}"
    kept = [(name, value) for name in _OPTIONAL if (value := getattr(attributes, name))]
    return "".join([told, *("," + _member_text(one) for one in kept), "}"])


def _member_text(member: tuple[str, str]) -> str:
    return f"{_text(member[0])}:{_text(member[1])}"


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
    kept = {name: value for name in _KEPT if (value := told.get(name))}
    for value in (*kept.values(), *metadata.values()):
        if not isinstance(value, str):
            raise InvalidMetadata("kept headers and metadata are strings")
    return check_attributes(Attributes(metadata=metadata, **kept))


def format_page(found: ListPage, *, delimited: bool, details: bool) -> bytes:
    """The body of a listing."""
    cursor = "null" if found.next_start is None else _text(encode_cursor(found.next_start))
    more = "false" if found.next_start is None else "true"
    told = f'{{"keys":{_texts(found.keys)},"next_cursor":{cursor},"has_more":{more}'
    if delimited:
        told += f',"prefixes":{_texts(found.prefixes)}'
    if details:
        told += f',"objects":[{",".join(map(format_record, found.objects))}]'
    return (told + "}").encode()


def _texts(strings: tuple[str, ...]) -> str:
    return f"[{','.join(map(_text, strings))}]"


def part(found: Part) -> dict[str, object]:
    return {
        "n": found.number,
        "size": found.size,
        "etag": found.etag,
        "modified_at": format_time(found.modified),
        "digest": format_digests(found.digests),
    }


def parse_part(told: Any) -> Part:
    """The part that a record tells of. Raises BadRequest when it is no record."""
    if not isinstance(told, Mapping):
        raise BadRequest("the record of a part is a JSON object")
    return Part(
        number=_member(told, "n", int),
        size=_member(told, "size", int),
        etag=_member(told, "etag", str),
        modified=parse_time(_member(told, "modified_at", str)),
        digests=parse_digest_map(_member(told, "digest", dict)),
    )


def upload(found: Upload) -> dict[str, object]:
    """An upload and what has arrived of it; its conditions excepted. Attributes are there when set."""
    told: dict[str, object] = {
        "upload_id": found.upload_id,
        "key": found.key,
        "begun_at": format_time(found.begun),
        "metadata": dict(found.attributes.metadata),
        "parts": [part(one) for one in found.parts],
    }
    for name in ("content_type", *_OPTIONAL):
        if value := getattr(found.attributes, name):
            told[name] = value
    if found.completed is not None:
        told["completed"] = record(found.completed)
    return told


def parse_upload(told: Any) -> Upload:
    """The upload that a record tells of, its conditions excepted. Raises BadRequest when it is no record."""
    if not isinstance(told, Mapping):
        raise BadRequest("the record of an upload is a JSON object")
    completed = told.get("completed")
    return Upload(
        upload_id=_member(told, "upload_id", str),
        key=_member(told, "key", str),
        begun=parse_time(_member(told, "begun_at", str)),
        attributes=parse_attributes(told),
        parts=tuple(map(parse_part, told.get("parts") or ())),
        completed=None if completed is None else parse_record(completed),
    )


def dump(told: Mapping[str, object] | Iterable[object]) -> bytes:
    """Compact JSON in UTF-8; keys of objects travel as they are."""
    try:
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Lone surrogates, which only an error can have to tell of, have no UTF-8 but do have an escape.
        return json.dumps(told, separators=(",", ":")).encode()
