"""Preconditions (RFC 9110 §13): does the state of an object allow a request?"""

from __future__ import annotations

from datetime import datetime

from objectstore.errors import AlreadyExists, NotModified, PreconditionFailed
from objectstore.values import UNCONDITIONAL, Conditions, Etags, ObjectInfo


def matches(wanted: Etags, etag: str) -> bool:
    """Whether an existing object with this etag is among the wanted ones."""
    return wanted == "*" or etag in wanted


def check_write(conditions: Conditions, key: str, current: ObjectInfo | None) -> None:
    """Nothing, when an object that is now `current` (None: absent) may be written or deleted.

    Raises:
        AlreadyExists: it was to be absent (`if_none_match="*"`).
        PreconditionFailed: any other condition does not hold.
    """
    if conditions is UNCONDITIONAL:
        return
    if conditions.if_match is not None:
        if current is None or not matches(conditions.if_match, current.etag):
            raise PreconditionFailed(key)
    elif conditions.if_unmodified_since is not None and (
        current is None or _whole_second(current.modified) > conditions.if_unmodified_since
    ):
        raise PreconditionFailed(key)
    if conditions.if_none_match is not None and current is not None:
        if conditions.if_none_match == "*":
            raise AlreadyExists(key)
        if current.etag in conditions.if_none_match:
            raise PreconditionFailed(key)


def check_read(conditions: Conditions, current: ObjectInfo) -> None:
    """Nothing, when the object is to be sent (order of checks: RFC 9110 §13.2.2).

    Raises:
        PreconditionFailed: it is not the version asked for.
        NotModified: it is the version that the reader has.
    """
    if conditions is UNCONDITIONAL:
        return
    if conditions.if_match is not None:
        if not matches(conditions.if_match, current.etag):
            raise PreconditionFailed(current.key)
    elif (
        conditions.if_unmodified_since is not None and _whole_second(current.modified) > conditions.if_unmodified_since
    ):
        raise PreconditionFailed(current.key)
    if conditions.if_none_match is not None:
        if matches(conditions.if_none_match, current.etag):
            raise NotModified(current.etag)
    elif conditions.if_modified_since is not None and _whole_second(current.modified) <= conditions.if_modified_since:
        raise NotModified(current.etag)


def check_source(conditions: Conditions, current: ObjectInfo) -> None:
    """Nothing, when an object may be copied from: as for a read, but there is no reader whose copy could be current.

    Raises:
        PreconditionFailed: a condition does not hold.
    """
    try:
        check_read(conditions, current)
    except NotModified:
        raise PreconditionFailed(current.key) from None


def _whole_second(time: datetime) -> datetime:
    # HTTP dates have whole seconds; Last-Modified was cut to them before the client sent it back.
    return time.replace(microsecond=0)
