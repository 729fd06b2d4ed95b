"""Replies of the HTTP contract → values: what a client reads of an answer once its bytes are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from objectstore.core.ranges import resolve
from objectstore.errors import BadRequest, Corrupted, InternalError, InvalidRange, ObjectStoreError, Unsupported
from objectstore.values import NO_DIGESTS, ByteRange, ObjectInfo
from objectstore.wire.errors import RULES, parse_error
from objectstore.wire.headers import Fields, format_digest, parse_digests, parse_info
from objectstore.wire.links import SignedLink, parse_link
from objectstore.wire.ranges import parse_content_range
from objectstore.wire.records import dump, parse_digest_map, parse_record, parse_time
from objectstore.wire.requests import Request
from objectstore.wire.usage import QuotaUsage, parse_usage

T = TypeVar("T")
MAX_ERROR_CHUNKS: Final = 16  # of what a connection gives at once: more of an error is not read
_SHOWN: Final = 80  # characters of an answer that is none of ours
_STATUS: Final = {rule.code: rule.status for rule in RULES}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, its body read."""

    status: int
    fields: Fields
    body: bytes
    received: datetime  # aware, UTC
    stream: object = None  # the body of an opened object; only the client that opened it knows what it is
    repeated: bool = False  # an earlier sending of the request may have been carried out


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a listing, in UTF-8 byte order of the keys."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...] = ()  # groups, when a delimiter was given
    objects: tuple[ObjectInfo, ...] = ()  # one for each key, when details were asked for
    next_cursor: str | None = None  # opaque; asks for the next page

    @property
    def has_more(self) -> bool:
        """Whether there is a page after this one."""
        return self.next_cursor is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What became of each key that was to be deleted; the three have no key in common."""

    deleted: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()  # there was no such object
    failed: Mapping[str, ObjectStoreError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunUpload:
    """An upload in parts that may now be sent."""

    upload_id: str
    part_size: int  # bytes; what to cut the object into, the last part excepted
    expires: datetime  # aware, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedPart:
    """A part that has arrived."""

    number: int  # 1 to 10 000
    size: int  # bytes
    etag: str  # opaque, unquoted
    digests: Mapping[str, bytes] = field(default_factory=lambda: NO_DIGESTS, hash=False, compare=False)  # as of objects


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedUpload:
    """An upload in parts that was begun. `parts` are known only of one that was asked for by its id."""

    upload_id: str
    key: str
    begun: datetime  # aware, UTC
    parts: tuple[UploadedPart, ...] = ()
    completed: ObjectInfo | None = None  # what became of it, known of one that was asked for by its id


def error_of(reply: Reply, request: Request) -> ObjectStoreError | None:
    """The error that a reply tells of; None for a success."""
    status = reply.status
    if 200 <= status < 300:
        return None
    if 300 <= status < 400 and status != 304:
        target = reply.fields.get(b"location", b"nowhere").decode("latin-1")
        return BadRequest(
            f"the server redirects to {target!r}; redirects are not followed, since the token would go along: "
            "give the address that it redirects to as the base URL"
        )
    if status == 404 and _is_of_another_place(reply):
        return not_ours(reply, request, "there is nothing at this path")
    return parse_error(status, reply.fields, reply.body, key=request.key, now=reply.received)


def read_info(reply: Reply, request: Request) -> ObjectInfo:
    """The object that the fields of the answer to a GET or HEAD describe."""

    def parse() -> ObjectInfo:
        size = int(reply.fields[b"content-length"])
        if reply.status == 206:
            size = read_span(reply, request)[2]
        return parse_info(request.key, reply.fields, size)

    return _understood(parse, reply, request)


def read_span(reply: Reply, request: Request) -> tuple[int, int, int]:
    """Start and stop (end exclusive) of the bytes that an answer to a GET carries, and the object's size."""

    def parse() -> tuple[int, int, int]:
        length = int(reply.fields[b"content-length"])
        if reply.status == 200:
            return 0, length, length
        start, stop, size = parse_content_range(reply.fields[b"content-range"])
        if stop - start != length:
            raise BadRequest("its Content-Range and Content-Length do not agree")
        return start, stop, size

    return _understood(parse, reply, request)


def check_span(span: tuple[int, int, int], wanted: ByteRange | None, reply: Reply, request: Request) -> tuple[int, int]:
    """Start and stop of `span`, when that is what was wanted."""
    start, stop, size = span
    try:
        if (start, stop) == resolve(wanted, size):
            return start, stop
    except InvalidRange:
        pass
    raise not_ours(reply, request, f"it carries bytes {start} to {stop} of {size}, which is not what was asked for")


def read_body(reply: Reply, request: Request, wanted: ByteRange | None) -> bytes:
    """The body of an answer to a GET, when it is all that was wanted, undamaged.

    Raises:
        Corrupted: too short, too long, or with another digest than the server tells of the object.
        Unsupported: the whole object where a range was asked for.
    """
    if wanted is not None and reply.status != 206:
        raise Unsupported("the server does not serve ranges: it answered with the whole object")
    if b"etag" not in reply.fields:
        raise not_ours(reply, request, "it has no ETag")
    start, stop = check_span(read_span(reply, request), wanted, reply, request)
    if len(reply.body) != stop - start:
        raise Corrupted(f"{len(reply.body)} bytes arrived of the {stop - start} announced of {request.key!r}")
    return reply.body if wanted is not None else _check_digest(reply, request)


def read_small(reply: Reply, request: Request, wanted: ByteRange) -> tuple[ObjectInfo, bytes] | None:
    """The object and its bytes, undamaged, of which `wanted` are the first; None when there are more.

    Raises:
        Corrupted, Unsupported: as `read_body`.
    """
    data = read_body(reply, request, wanted)
    info = read_info(reply, request)
    if len(data) < info.size:
        return None
    return info, _check_digest(reply, request)


def _check_digest(reply: Reply, request: Request) -> bytes:
    told = reply.fields.get(b"repr-digest")
    if told is not None:
        sha256 = hashlib.sha256(reply.body).digest()
        # Equal bytes are the usual case; only others are worth parsing.
        if told != format_digest(sha256) and parse_digests(told).get("sha-256", sha256) != sha256:
            raise Corrupted(f"what arrived of {request.key!r} has not the SHA-256 digest that the server tells of it")
    return reply.body


def read_record(reply: Reply, request: Request) -> ObjectInfo:
    return _understood(lambda: parse_record(json.loads(reply.body)), reply, request)


def read_page(reply: Reply, request: Request) -> Page:
    def parse() -> Page:
        told = json.loads(reply.body)
        return Page(
            keys=_strings(told["keys"]),
            prefixes=_strings(told.get("prefixes") or []),
            objects=tuple(parse_record(one) for one in told.get("objects") or ()),
            next_cursor=told["next_cursor"],
        )

    return _understood(parse, reply, request)


def read_deleted(reply: Reply, request: Request) -> tuple[tuple[str, ...], dict[str, ObjectStoreError]]:
    """The keys that were deleted, and the errors of the others."""

    def parse() -> tuple[tuple[str, ...], dict[str, ObjectStoreError]]:
        told = json.loads(reply.body)
        return _strings(told["deleted"]), {one["key"]: _error(one, reply) for one in told["errors"]}

    return _understood(parse, reply, request)


def read_begun(reply: Reply, request: Request) -> BegunUpload:
    def parse() -> BegunUpload:
        told = json.loads(reply.body)
        return BegunUpload(
            upload_id=told["upload_id"], part_size=int(told["part_size"]), expires=parse_time(told["expires_at"])
        )

    return _understood(parse, reply, request)


def read_part(reply: Reply, request: Request) -> UploadedPart:
    return _understood(lambda: _part(json.loads(reply.body)), reply, request)


def read_upload(reply: Reply, request: Request) -> UnfinishedUpload:
    return _understood(lambda: _upload(json.loads(reply.body)), reply, request)


def read_uploads(reply: Reply, request: Request) -> tuple[tuple[UnfinishedUpload, ...], str | None]:
    """Some uploads, and the cursor to ask for more."""

    def parse() -> tuple[tuple[UnfinishedUpload, ...], str | None]:
        told = json.loads(reply.body)
        return tuple(_upload(one) for one in told["uploads"]), told["next_cursor"]

    return _understood(parse, reply, request)


def read_link(reply: Reply, request: Request, base: str) -> SignedLink:
    return _understood(lambda: parse_link(reply.body, base), reply, request)


def read_usage(reply: Reply, request: Request) -> Sequence[QuotaUsage]:
    return _understood(lambda: parse_usage(reply.body), reply, request)


def not_ours(reply: Reply, request: Request, why: object) -> InternalError:
    """The error for an answer that no object store gives: from a proxy or a portal, or cut in a way unseen."""
    shown = reply.body[:_SHOWN].decode("utf-8", "replace")
    return InternalError(
        f"the answer {reply.status} to {request.method} {request.target} is not that of an object store "
        f"({why}): is the base URL right, is there a proxy on the way? It begins: {shown!r}"
    )


def _is_of_another_place(reply: Reply) -> bool:
    # A wrong base URL is not to look like an absent object.
    code = reply.fields.get(b"x-error-code")
    if code is not None:
        return code.decode("latin-1") not in _STATUS
    return reply.fields.get(b"content-type", b"").startswith(b"text/html")


def _understood(parse: Callable[[], T], reply: Reply, request: Request) -> T:
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, BadRequest) as error:
        raise not_ours(reply, request, repr(error)) from error


def _error(told: Mapping[str, Any], reply: Reply) -> ObjectStoreError:
    # It reads as the error of a request for this key alone would.
    status = _STATUS.get(told["code"], 500)
    return parse_error(status, {}, dump({"error": told}), key=told["key"], now=reply.received)


def _strings(told: object) -> tuple[str, ...]:
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise TypeError("not a list of strings")
    return tuple(told)


def _part(told: Mapping[str, Any]) -> UploadedPart:
    digests = parse_digest_map(told.get("digest") or {})
    return UploadedPart(number=told["n"], size=told["size"], etag=told["etag"], digests=digests)


def _upload(told: Mapping[str, Any]) -> UnfinishedUpload:
    return UnfinishedUpload(
        upload_id=told["upload_id"],
        key=told["key"],
        begun=parse_time(told["begun_at"]),
        parts=tuple(_part(one) for one in told.get("parts", ())),
        completed=parse_record(completed) if (completed := told.get("completed")) is not None else None,
    )
