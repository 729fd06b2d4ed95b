"""The one table of errors ⇄ HTTP status and code, read outward by the server and back by the client."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from objectstore import errors
from objectstore.errors import ObjectStoreError
from objectstore.wire.headers import FieldList, Fields, format_etag, parse_etag, parse_http_date


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
    Rule(errors.NotModified, 304, "not_modified"),
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
    Rule(errors.InvalidLink, 401, "invalid_link"),
    Rule(errors.LinkExpired, 401, "link_expired"),
    Rule(errors.Forbidden, 403, "forbidden"),
    Rule(errors.RateLimited, 429, "rate_limited"),
    Rule(errors.NotReady, 503, "not_ready", ("checks",)),
    Rule(errors.Overloaded, 503, "overloaded"),
    Rule(errors.RequestTimeout, 408, "request_timeout"),
    Rule(errors.Unavailable, 503, "unavailable"),
    Rule(errors.QuotaExceeded, 507, "quota_exceeded", ("prefix", "resource", "limit", "used")),
    Rule(errors.StorageFull, 507, "storage_full"),
    Rule(errors.Corrupted, 500, "corrupted"),
    Rule(errors.InternalError, 500, "internal_error"),
    Rule(errors.ConfigurationError, 500, "configuration_error"),
)
_BY_ERROR: Final = {rule.error: rule for rule in RULES}
_BY_CODE: Final = {rule.code: rule for rule in RULES}
# What an answer means that carries no code of ours: from a proxy, or to a HEAD through one.
# Any other status is a bad request below 500, and an internal error from there on.
_BY_STATUS: Final[Mapping[int, type[ObjectStoreError]]] = {
    304: errors.NotModified,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    408: errors.RequestTimeout,
    411: errors.LengthRequired,
    412: errors.PreconditionFailed,
    413: errors.TooLarge,
    416: errors.InvalidRange,
    422: errors.InvalidParameter,
    429: errors.RateLimited,
    501: errors.Unsupported,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
    507: errors.StorageFull,
}
DEFAULT_RETRY_AFTER: Final = 1  # seconds
_SIZE_DIGITS: Final = 19  # no size has more, and int() refuses thousands
_WAIT_DIGITS: Final = 9  # nobody waits for 30 years


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
    if isinstance(error, errors.NotModified):
        return rule.status, [(b"x-error-code", rule.code.encode()), (b"etag", format_etag(error.etag))], b""
    body = json.dumps({"error": details(error)}).encode()
    found: FieldList = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-error-code", rule.code.encode()),
    ]
    if isinstance(error, errors.Unauthenticated):
        found.append((b"www-authenticate", b"Bearer"))
    elif isinstance(error, errors.Retryable):
        wait = DEFAULT_RETRY_AFTER if error.retry_after is None else max(0, math.ceil(error.retry_after))
        found.append((b"retry-after", b"%d" % wait))
        if isinstance(error, errors.RequestTimeout):
            # What may still come of the body is not the next request (RFC 9110 §15.5.9).
            found.append((b"connection", b"close"))
    elif isinstance(error, errors.InvalidRange):
        found.append((b"content-range", b"bytes */%d" % error.size))
    elif isinstance(error, errors.MethodNotAllowed) and error.allowed:
        found.append((b"allow", ", ".join(error.allowed).encode()))
    return rule.status, found, body


def parse_error(status: int, found: Fields, body: bytes, *, key: str = "", now: datetime) -> ObjectStoreError:
    """The error that a response tells of; `key` is what was asked for, `now` turns dates into seconds."""
    told = _told(body)
    code = told.get("code") or found.get(b"x-error-code", b"").decode("latin-1")
    rule = _BY_CODE.get(str(code))
    if rule is None or rule.status != status:
        unknown = errors.BadRequest if status < 500 else errors.InternalError
        rule = _BY_ERROR[_BY_STATUS.get(status, unknown)]
    error = _rebuild(rule, _message(rule, told, status, key), told, found, key)
    if isinstance(error, errors.Retryable):
        error.retry_after = parse_retry_after(found.get(b"retry-after"), now)
    return error


def parse_retry_after(value: bytes | None, now: datetime) -> float | None:
    """Seconds to wait, from either form of `Retry-After` (RFC 9110 §10.2.3); None when it says nothing usable."""
    if value is None:
        return None
    digits = value.strip()
    if digits.isdigit():
        return float(digits) if len(digits) <= _WAIT_DIGITS else None
    time = parse_http_date(value)
    return None if time is None else max(0.0, (time - now).total_seconds())


def _told(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _message(rule: Rule, told: dict[str, Any], status: int, key: str) -> str:
    message = told.get("message")
    if message and isinstance(message, str):
        return message
    # Without a body, as after a HEAD: our own words where they need no more than the key.
    if issubclass(rule.error, errors.NotFound | errors.PreconditionFailed):
        return rule.error(key).message
    if rule.error is errors.Unauthenticated:
        return errors.Unauthenticated().message
    return f"the server answered {status}"


def _rebuild(rule: Rule, message: str, told: dict[str, Any], found: Fields, key: str) -> ObjectStoreError:
    # Made without the constructor: the message is the server's, and the data are what it sent along.
    error = rule.error.__new__(rule.error)
    ObjectStoreError.__init__(error, message)
    defaults: dict[str, object] = {
        "key": key,
        "upload_id": "",
        "algorithm": "sha-256",
        "expected": 0,
        "received": 0,
        "size": _unsatisfied_size(found),
        "limit": 0,
        "checks": {},
        "prefix": "",
        "resource": "",
        "used": 0,
    }
    for name in rule.data:
        value, default = told.get(name), defaults[name]
        setattr(error, name, value if type(value) is type(default) else default)
    if isinstance(error, errors.MethodNotAllowed):
        allowed = found.get(b"allow", b"").decode("latin-1").split(",")
        error.allowed = tuple(one.strip() for one in allowed if one.strip())
    elif isinstance(error, errors.NotModified):
        error.etag = parse_etag(found.get(b"etag", b""))
    return error


def _unsatisfied_size(found: Fields) -> int:
    size = found.get(b"content-range", b"").removeprefix(b"bytes */")
    return int(size) if size.isdigit() and len(size) <= _SIZE_DIGITS else 0
