"""The one table of errors ⇄ HTTP status and code, read outward by the server and back by the client."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from objectstore import errors
from objectstore.errors import ObjectStoreError
from objectstore.wire.headers import FieldList, Fields, parse_http_date


@dataclass(frozen=True, slots=True)
class Rule:
    """How one error travels. `data` names its attributes that go along."""

    error: type[ObjectStoreError]
    status: int
    code: str
    data: tuple[str, ...] = ()


RULES: Final = (
    Rule(errors.NotFound, 404, "not_found", ("key",)),
    Rule(errors.UploadNotFound, 404, "upload_not_found", ("upload_id",)),
    Rule(errors.NotModified, 304, "not_modified", ("etag",)),
    Rule(errors.AlreadyExists, 412, "already_exists", ("key",)),
    Rule(errors.PreconditionFailed, 412, "precondition_failed", ("key",)),
    Rule(errors.InvalidKey, 400, "invalid_key"),
    Rule(errors.InvalidCursor, 400, "invalid_cursor"),
    Rule(errors.InvalidMetadata, 400, "invalid_metadata"),
    Rule(errors.InvalidPart, 400, "invalid_part"),
    Rule(errors.InvalidDigest, 400, "invalid_digest"),
    Rule(errors.DigestMismatch, 400, "digest_mismatch", ("algorithm",)),
    Rule(errors.IncompleteBody, 400, "incomplete_body", ("expected", "received")),
    Rule(errors.BadRequest, 400, "bad_request"),
    Rule(errors.InvalidParameter, 422, "invalid_parameter"),
    Rule(errors.InvalidRange, 416, "invalid_range", ("size",)),
    Rule(errors.TooLarge, 413, "too_large", ("limit",)),
    Rule(errors.LengthRequired, 411, "length_required"),
    Rule(errors.MethodNotAllowed, 405, "method_not_allowed"),
    Rule(errors.Unsupported, 501, "unsupported"),
    Rule(errors.Unauthenticated, 401, "unauthenticated"),
    Rule(errors.Forbidden, 403, "forbidden"),
    Rule(errors.RateLimited, 429, "rate_limited"),
    Rule(errors.Unavailable, 503, "unavailable"),
    Rule(errors.StorageFull, 507, "storage_full"),
    Rule(errors.Corrupted, 500, "corrupted"),
    Rule(errors.InternalError, 500, "internal_error"),
    Rule(errors.ConfigurationError, 500, "configuration_error"),
)
_BY_ERROR: Final = {rule.error: rule for rule in RULES}
_BY_CODE: Final = {rule.code: rule for rule in RULES}
# What an answer means that carries no code of ours: from a proxy, or to a HEAD through one.
_BY_STATUS: Final[Mapping[int, Callable[[str], ObjectStoreError]]] = {
    400: errors.BadRequest,
    401: lambda _: errors.Unauthenticated(),
    403: errors.Forbidden,
    405: errors.MethodNotAllowed,
    408: errors.Unavailable,
    411: errors.LengthRequired,
    413: lambda _: errors.TooLarge(0),
    422: errors.InvalidParameter,
    429: errors.RateLimited,
    500: errors.InternalError,
    501: errors.Unsupported,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
    507: errors.StorageFull,
}
DEFAULT_RETRY_AFTER: Final = 1  # seconds


def rule_of(error: ObjectStoreError) -> Rule:
    """The row for an error: its own, or that of the nearest class above it."""
    for cls in type(error).__mro__:
        rule = _BY_ERROR.get(cls)
        if rule is not None:
            return rule
    return _BY_ERROR[errors.InternalError]


def details(error: ObjectStoreError) -> dict[str, object]:
    """The error as JSON: `code`, `message` and what data the error carries."""
    rule = rule_of(error)
    return {
        "code": rule.code,
        "message": error.message,
        **{name: getattr(error, name) for name in rule.data},
    }


def format_error(error: ObjectStoreError) -> tuple[int, FieldList, bytes]:
    """Status, fields and body of the response that tells of `error`. A HEAD leaves the body away."""
    rule = rule_of(error)
    if rule.status == 304:
        return 304, [(b"x-error-code", rule.code.encode())], b""
    body = json.dumps({"error": details(error)}).encode()
    found: FieldList = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-error-code", rule.code.encode()),
    ]
    if isinstance(error, errors.Unauthenticated):
        found.append((b"www-authenticate", b"Bearer"))
    elif isinstance(error, errors.Retryable):
        wait = DEFAULT_RETRY_AFTER if error.retry_after is None else math.ceil(error.retry_after)
        found.append((b"retry-after", b"%d" % wait))
    elif isinstance(error, errors.InvalidRange):
        found.append((b"content-range", b"bytes */%d" % error.size))
    elif isinstance(error, errors.MethodNotAllowed) and error.allowed:
        found.append((b"allow", ", ".join(error.allowed).encode()))
    return rule.status, found, body


def parse_error(status: int, found: Fields, body: bytes, *, key: str = "", now: datetime) -> ObjectStoreError:
    """The error that a response tells of; `key` is what was asked for, `now` turns dates into seconds."""
    told = _told(body)
    code = told.get("code") or found.get(b"x-error-code", b"").decode("latin-1")
    message = str(told.get("message") or f"the server answered {status}")
    rule = _BY_CODE.get(str(code))
    if rule is not None and rule.status == status:
        error = _rebuild(rule, message, told, found, key)
    elif status == 404:
        error = errors.NotFound(key)
    elif status == 412:
        error = errors.PreconditionFailed(key)
    elif status == 416:
        error = errors.InvalidRange(_unsatisfied_size(found))
    elif status == 304:
        error = errors.NotModified(_etag(found))
    else:
        error = _BY_STATUS.get(status, errors.BadRequest if status < 500 else errors.InternalError)(message)
    if isinstance(error, errors.Retryable):
        error.retry_after = parse_retry_after(found.get(b"retry-after"), now)
    return error


def parse_retry_after(value: bytes | None, now: datetime) -> float | None:
    """Seconds to wait, from either form of `Retry-After` (RFC 9110 §10.2.3); None when it says nothing usable."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    time = parse_http_date(value)
    return None if time is None else max(0.0, (time - now.astimezone(UTC)).total_seconds())


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return told if isinstance(told, dict) else {}


def _rebuild(rule: Rule, message: str, told: dict[str, Any], found: Fields, key: str) -> ObjectStoreError:
    # Made without the constructor: the message is the server's, and the data are what it sent along.
    error = rule.error.__new__(rule.error)
    ObjectStoreError.__init__(error, message)
    defaults: dict[str, object] = {
        "key": key,
        "upload_id": "",
        "etag": _etag(found),
        "algorithm": "sha-256",
        "expected": 0,
        "received": 0,
        "size": _unsatisfied_size(found),
        "limit": 0,
    }
    for name in rule.data:
        setattr(error, name, told.get(name, defaults[name]))
    if isinstance(error, errors.MethodNotAllowed):
        error.allowed = tuple(one.strip() for one in found.get(b"allow", b"").decode("latin-1").split(",") if one)
    return error


def _unsatisfied_size(found: Fields) -> int:
    size = found.get(b"content-range", b"").removeprefix(b"bytes */")
    return int(size) if size.isdigit() else 0


def _etag(found: Fields) -> str:
    return found.get(b"etag", b"").removeprefix(b"W/").strip(b'"').decode("latin-1")
