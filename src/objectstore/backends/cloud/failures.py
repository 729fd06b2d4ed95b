"""What the errors of services, and of the library that speaks to them, mean. Of an answer, only its code is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from objectstore.errors import (
    InvalidKey,
    InvalidMetadata,
    NotFound,
    StorageFull,
    TooLarge,
    Unavailable,
    Unsupported,
)

RETRY_AFTER: Final = 1.0  # seconds, where the service names no time

_STATUS: Final = re.compile(r"status code: (\d{3})")
_PATH: Final = re.compile(r'path: "(.*)"')
_CODE: Final = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,60})\s*</Code>")
_KEYS: Final = frozenset({"KeyTooLongError", "InvalidArgument", "InvalidURI", "InvalidObjectName", "InvalidUri"})
_FULL: Final = frozenset({"QuotaExceeded", "XMinioStorageFull", "InsufficientCapacity", "EntityTooLargeForQuota"})
LARGEST: Final = 5 * 1024**4  # bytes: what S3, GCS and their like take as one object


class Refused(Unavailable):
    """The service did not write, since the object is not in the state that the write was bound to.

    Where no write was bound to anything it is a conflict that passes.
    """


class OutOfRange(Exception):
    """The service finds nothing of the object in the range that was asked for."""


class Denied(Unavailable):
    """The service does not accept the credentials, or they do not allow this."""


class BucketMissing(Unavailable):
    """There is no such bucket."""


class NotPartial(Exception):
    """The service gave a range without the status that says so; the library refuses such an answer."""


def code_in(text: str) -> str | None:
    """The service's own name of an error, found in what it answered."""
    found = _CODE.search(text)
    return None if found is None else found[1]


def of_status(name: str, status: int, code: str | None, key: str, retry_after: float | None = None) -> Exception:
    """The error for an answer with this status and code; `key` is what it was about."""
    said = f"{status} {code}" if code else str(status)
    wait = RETRY_AFTER if retry_after is None else retry_after
    if code in {"NoSuchBucket", "ContainerNotFound"}:
        return BucketMissing(f"{name}: the bucket is not there ({said})", retry_after=wait)
    if code in _FULL or status == 507:
        return StorageFull(f"{name} has no room left ({said})")
    if code == "MetadataTooLarge":
        return InvalidMetadata(f"{name} keeps at most 2048 bytes of metadata with an object; these are more")
    if code == "EntityTooLarge" or status == 413:
        return TooLarge(LARGEST)
    if code in _KEYS and status == 400:
        return InvalidKey(f"{name} cannot hold the key {key[:80]!r} ({said})")
    match status:
        case 404:
            return NotFound(key)
        case 409 | 412:
            return Refused(f"{name} refuses what is in conflict with something else ({said})", retry_after=wait)
        case 416:
            return OutOfRange(said)
        case 401 | 403:
            return Denied(f"{name} refuses the credentials, or they do not allow this ({said})", retry_after=wait)
        case 405 | 501:
            return Unsupported(f"{name} cannot do this ({said})")
        case 400 | 411:
            # Not `BadRequest`: the request that the service does not understand is ours, not our caller's.
            return Unavailable(f"{name} does not understand a request ({said})", retry_after=wait)
        case _:
            return Unavailable(f"{name} is overloaded or does not work at the moment ({said})", retry_after=wait)


@contextmanager
def translating(name: str, key: str = "") -> Iterator[None]:
    """Every error of the library that is raised inside leaves as one of ours, or as one of the signals above."""
    try:
        yield
    except TimeoutError as error:
        raise Unavailable(f"{name} did not answer in time", retry_after=RETRY_AFTER) from error
    except (BaseError, FileNotFoundError, ValueError, OSError) as error:
        raise _translated(name, key, error) from error


def _translated(name: str, key: str, error: Exception) -> Exception:
    text = str(error)
    status = _STATUS.search(text)
    code = code_in(text)
    match error:
        case FileNotFoundError():
            return of_status(name, 404, code, key)
        case AlreadyExistsError() | PreconditionError():
            return Refused(str(status and status[1]))
        case PermissionDeniedError() | UnauthenticatedError():
            return of_status(name, 403, code, key)
        case InvalidPathError():
            named = _PATH.search(text)
            return Unsupported(
                f"{name}: an object in the bucket has a name that obstore cannot spell"
                f"{f', {named[1][:80]!r}' if named else ''}; rename or remove it"
            )
        case NotSupportedError():
            return Unsupported(f"{name} cannot do this")
        case _ if "non-partial response" in text or "NotPartial" in text:
            return NotPartial(name)
        case _ if status is not None:
            return of_status(name, int(status[1]), code, key)
        case _ if "TimedOut" in text or "timed out" in text:
            return Unavailable(f"{name} did not answer in time", retry_after=RETRY_AFTER)
        case _:
            return Unavailable(f"{name} cannot be reached, or gives no sensible answer", retry_after=RETRY_AFTER)
