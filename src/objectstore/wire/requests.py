"""Requests of the HTTP contract as values: what a client asks for, before any connection is involved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias
from urllib.parse import quote, urlencode

from objectstore.core.attributes import check_attributes
from objectstore.core.keys import check_key
from objectstore.errors import InvalidParameter
from objectstore.values import NO_ATTRIBUTES, NO_DIGESTS, UNCONDITIONAL, Attributes, ByteRange, Conditions
from objectstore.wire.conditions import format_conditions
from objectstore.wire.headers import COPY_FROM, FieldList, format_attributes, format_digest
from objectstore.wire.paths import OBJECTS, UPLOADS, object_path, quote_key
from objectstore.wire.ranges import format_range
from objectstore.wire.records import JSON, dump, format_digests

MAX_BATCH: Final = 1000  # keys of one page, or of one request to delete


class Source(Protocol):
    """The bytes of an object on their way out, in whatever form a client was given them."""

    @property
    def size(self) -> int | None:
        """In bytes, when it is known before sending."""
        ...

    @property
    def sha256(self) -> bytes | None:
        """The digest of all the bytes: known beforehand, or once all have been sent, or not yet."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent from its first byte on: again, or at all."""
        ...


class Piece(Source, Protocol):
    """A source that lies in memory, and so is always repeatable."""

    @property
    def size(self) -> int: ...


Body: TypeAlias = Source | bytes | None


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `target` is path and query below the base URL; the client adds what all requests have."""

    method: str
    target: str
    fields: FieldList = field(default_factory=list)
    body: Body = None
    key: str = ""  # what it is about, for errors
    idempotent: bool = True  # carried out twice it does, and answers, the same as once


def put_object(key: str, body: Source, attributes: Attributes, conditions: Conditions) -> Request:
    fields = _attributes(attributes)
    fields += format_conditions(conditions)
    if body.sha256 is not None:
        fields.append((b"repr-digest", format_digest(body.sha256)))
    return Request("PUT", path_of(key), fields, body, key, idempotent=conditions == UNCONDITIONAL)


def copy_object(source: str, target: str, attributes: Attributes, conditions: Conditions) -> Request:
    fields = _attributes(attributes)
    fields += format_conditions(conditions)
    fields.append((COPY_FROM, quote_key(_text(source)).encode()))
    return Request("PUT", path_of(target), fields, b"", source, idempotent=conditions == UNCONDITIONAL)


def get_object(key: str, wanted: ByteRange | None = None, conditions: Conditions = UNCONDITIONAL) -> Request:
    fields = format_conditions(conditions) if conditions is not UNCONDITIONAL else []
    if wanted is not None:
        fields.append((b"range", format_range(wanted)))
    return Request("GET", path_of(key), fields, None, key)


def head_object(key: str, conditions: Conditions = UNCONDITIONAL) -> Request:
    return Request("HEAD", path_of(key), format_conditions(conditions), None, key)


def delete_object(key: str, conditions: Conditions) -> Request:
    idempotent = conditions == UNCONDITIONAL
    return Request("DELETE", path_of(key), format_conditions(conditions), None, key, idempotent=idempotent)


def delete_objects(keys: Sequence[str]) -> Request:
    """Up to `MAX_BATCH` keys."""
    return _post(f"{OBJECTS}/delete", {"keys": [check_key(_text(key)) for key in keys]})


def list_objects(
    *, prefix: str, delimiter: str, limit: int, cursor: str | None, start_after: str | None, details: bool
) -> Request:
    """A page. Raises InvalidParameter: a limit outside 1 to 1000."""
    if not 1 <= limit <= MAX_BATCH:
        raise InvalidParameter(f"a page has a limit of 1 to {MAX_BATCH} keys, not {limit}")
    asked: dict[str, str | int] = {"limit": limit}
    if prefix:
        asked["prefix"] = prefix
    if delimiter:
        asked["delimiter"] = delimiter
    if cursor is not None:
        asked["cursor"] = cursor
    if start_after is not None:
        asked["start_after"] = start_after
    if details:
        asked["details"] = "true"
    return Request("GET", f"{OBJECTS}?{urlencode(asked, quote_via=quote)}")


def begin_upload(
    key: str,
    attributes: Attributes,
    conditions: Conditions,
    *,
    size: int | None = None,
    expected: Mapping[str, bytes] = NO_DIGESTS,
) -> Request:
    """`size` and `expected` digests are those of the whole object, when they are known.

    Raises InvalidParameter: a condition on a time, which uploads do not have.
    """
    if conditions.if_modified_since is not None or conditions.if_unmodified_since is not None:
        raise InvalidParameter("an upload in parts takes conditions on etags only, not on times")
    told: dict[str, object] = {"key": check_key(_text(key))}
    check_attributes(attributes)
    for name in ("content_type", "content_encoding", "content_disposition", "content_language", "cache_control"):
        if (value := getattr(attributes, name)) is not None:
            told[name] = value
    if attributes.metadata:
        told["metadata"] = dict(attributes.metadata)
    if size is not None:
        told["size"] = size
    if expected:
        told["digest"] = format_digests(expected)
    for field_name, value in format_conditions(conditions):
        told[field_name.decode().replace("-", "_")] = value.decode("latin-1")
    # Begun twice, one of the two is never heard of again and expires: that is harmless.
    return _post(UPLOADS, told, key)


def put_part(upload_id: str, number: int, body: Source) -> Request:
    fields = [(b"repr-digest", format_digest(body.sha256))] if body.sha256 is not None else []
    return Request("PUT", f"{_upload(upload_id)}/parts/{number}", fields, body)


def get_upload(upload_id: str) -> Request:
    return Request("GET", _upload(upload_id))


def list_uploads(cursor: str | None) -> Request:
    query = "" if cursor is None else f"&cursor={quote(cursor, safe='')}"
    return Request("GET", f"{UPLOADS}?limit={MAX_BATCH}{query}")


def complete_upload(upload_id: str, parts: Iterable[tuple[int, str]]) -> Request:
    """Idempotent: a completed upload gives the same record again."""
    told = {"parts": [{"n": number, "etag": etag} for number, etag in parts]}
    return _post(f"{_upload(upload_id)}/complete", told)


def abort_upload(upload_id: str) -> Request:
    return Request("DELETE", _upload(upload_id))


def path_of(key: str) -> str:
    """The path of an object. Raises InvalidKey; TypeError for what is no str."""
    return object_path(_text(key))


def framing(request: Request) -> FieldList:
    """How the length of the body is told (RFC 9112 §6)."""
    body = request.body
    if body is None:
        return []
    size = len(body) if isinstance(body, bytes) else body.size
    return [(b"transfer-encoding", b"chunked")] if size is None else [(b"content-length", b"%d" % size)]


def _text(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    return key


def _attributes(attributes: Attributes) -> FieldList:
    return [] if attributes is NO_ATTRIBUTES else format_attributes(check_attributes(attributes))


def _upload(upload_id: str) -> str:
    return f"{UPLOADS}/{quote(upload_id, safe='')}"


def _post(target: str, told: Mapping[str, object], key: str = "") -> Request:
    return Request("POST", target, [(b"content-type", JSON)], dump(told), key)
