"""The one tree of errors, knowing nothing of HTTP (`wire/errors.py` gives each leaf a status and a code).

ObjectStoreError
├── NotFound (KeyError)         no object under that key
├── UploadNotFound (KeyError)   no such upload in parts: never begun, aborted or expired
├── NotModified                 a conditional read: the reader's copy is current
├── PreconditionFailed          a condition does not hold
│   └── AlreadyExists           the object was to be created, and exists
├── BadRequest                  the caller's request cannot be understood or is against the rules
│   ├── InvalidKey  InvalidCursor  InvalidMetadata  InvalidPart  InvalidDigest
│   ├── DigestMismatch          the body is not what its digest says
│   └── IncompleteBody          the body ended early, or is longer than announced
├── InvalidParameter            a parameter is outside what it may be
├── InvalidRange                the range selects nothing of the object
├── TooLarge                    larger than this store accepts
├── LengthRequired              a body of unknown length where the length must be known
├── MethodNotAllowed            this place does not take that method
├── Unsupported (NotImplementedError)  this store cannot do that
├── Unauthenticated             who are you
│   └── InvalidLink             a signed link that holds for nothing here
│       └── LinkExpired
├── Forbidden                   you may not
├── Retryable                   worth trying again, perhaps after `retry_after`
│   ├── RateLimited
│   └── Unavailable             the store, or the way to it, is away or overloaded
│       ├── NotReady            the server says so of itself
│       ├── Overloaded          more requests at once than the server takes on
│       └── RequestTimeout      the body did not come in time
├── StorageFull                 no room for what was to be written
│   └── QuotaExceeded           … under a prefix, for this credential
├── Corrupted                   what is stored is damaged; nothing of it was given out as whole
├── InternalError               the server failed; the cause is in its log
└── ConfigurationError          settings, storage.yaml or the token file cannot be used
"""

from __future__ import annotations

from collections.abc import Mapping


class ObjectStoreError(Exception):
    """Base of every error that this package raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        # KeyError, a base of NotFound, would show the repr.
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Pools of processes pickle errors, by default as a call of the class with `args`: not what ours take.
        return _unpickled, (type(self), self.message), self.__dict__


def _unpickled(cls: type[ObjectStoreError], message: str) -> ObjectStoreError:
    return cls.__new__(cls, message)


class NotFound(ObjectStoreError, KeyError):
    """There is no object under `key`."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no object under the key {key!r}")
        self.key = key


class UploadNotFound(ObjectStoreError, KeyError):
    """There is no unfinished upload `upload_id`."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"no upload {upload_id!r}: it was never begun, was aborted, or has expired")
        self.upload_id = upload_id


class NotModified(ObjectStoreError):
    """A conditional read found the object as the reader already has it (RFC 9110 §15.4.5)."""

    def __init__(self, etag: str) -> None:
        super().__init__("not modified")
        self.etag = etag


class PreconditionFailed(ObjectStoreError):
    """A condition of the request does not hold for the object under `key`."""

    def __init__(self, key: str, message: str = "") -> None:
        super().__init__(message or f"the object under {key!r} does not meet the condition")
        self.key = key


class AlreadyExists(PreconditionFailed):
    """The object was to be created only if absent, and is there."""

    def __init__(self, key: str) -> None:
        super().__init__(key, f"there is already an object under the key {key!r}")


class BadRequest(ObjectStoreError):
    """The request cannot be understood, or breaks a rule that its message names."""


class InvalidKey(BadRequest):
    """The key is none, or this backend cannot hold it; the message says why."""


class InvalidCursor(BadRequest):
    """The cursor is not one that a listing gave out."""

    def __init__(self) -> None:
        super().__init__("the cursor is not one that a listing gave out; start again without it")


class InvalidMetadata(BadRequest):
    """A kept header or metadata entry is too large or cannot travel in a header."""


class InvalidPart(BadRequest):
    """The parts named do not make the object: unknown, changed, out of order, or numbered outside 1–10 000."""


class InvalidDigest(BadRequest):
    """A digest header cannot be read."""


class DigestMismatch(BadRequest):
    """The body does not have the digest that was announced for it."""

    def __init__(self, algorithm: str) -> None:
        super().__init__(f"the body does not have the announced {algorithm} digest")
        self.algorithm = algorithm


class IncompleteBody(BadRequest):
    """The body has another length than was announced."""

    def __init__(self, expected: int, received: int) -> None:
        super().__init__(f"the body has {received} bytes where {expected} were announced")
        self.expected = expected  # bytes
        self.received = received  # bytes


class InvalidParameter(ObjectStoreError):
    """A parameter has a value that it may not have; the message names it."""


class InvalidRange(ObjectStoreError):
    """The range selects nothing of an object of `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range selects nothing of an object of {size} bytes")
        self.size = size  # bytes


class TooLarge(ObjectStoreError):
    """The body is larger than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the {limit} bytes accepted here")
        self.limit = limit  # bytes


class LengthRequired(ObjectStoreError):
    """The length of the body has to be announced for this request."""


class MethodNotAllowed(ObjectStoreError):
    """This place does not take that method; `allowed` are the ones that it takes."""

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class Unsupported(ObjectStoreError, NotImplementedError):
    """This store cannot do what was asked, whatever the arguments."""


class Unauthenticated(ObjectStoreError):
    """No credential, or none that is valid: which of these is not said."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "a valid token is needed: send it as 'Authorization: Bearer TOKEN'")


class InvalidLink(Unauthenticated):
    """A signed link that was changed, taken back, or is for something else: which of these is not said."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "this link is not valid: it was changed or taken back, or is for something else; "
            "ask whoever gave it to you for another one"
        )


class LinkExpired(InvalidLink):
    """A signed link that was valid until some time ago."""

    def __init__(self) -> None:
        super().__init__("this link has expired; ask whoever gave it to you for another one")


class Forbidden(ObjectStoreError):
    """The credential is valid but does not allow this."""


class Retryable(ObjectStoreError):
    """Nothing is wrong with the request; trying again later may succeed."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after  # seconds, when the other side named them


class RateLimited(Retryable):
    """Too many requests under this credential or from this address."""


class Unavailable(Retryable):
    """The store, or the way to it, is away, overloaded or shutting down."""


class NotReady(Unavailable):
    """The server lives and cannot do its work; `checks` tells of each part of it."""

    def __init__(self, message: str, checks: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(message)
        self.checks = checks


class Overloaded(Unavailable):
    """The server has as many requests under way as it takes on."""

    def __init__(self) -> None:
        super().__init__("the server has too many requests under way; try again soon")


class RequestTimeout(Unavailable):
    """The body of the request stopped coming, or came too slowly."""

    def __init__(self) -> None:
        super().__init__("the body of the request did not come in time")


class StorageFull(ObjectStoreError):
    """There is no room for what was to be written; nothing of it was kept."""


class QuotaExceeded(StorageFull):
    """What is kept under `prefix` would become more than the credential may keep there; nothing was changed."""

    def __init__(self, prefix: str, resource: str, limit: int, used: int) -> None:
        under = f"under {prefix!r}" if prefix else "in this store"
        super().__init__(f"the quota of {limit} {resource} {under} does not allow this: {used} are in use")
        self.prefix = prefix
        self.resource = resource  # "bytes" or "objects"
        self.limit = limit
        self.used = used


class Corrupted(ObjectStoreError):
    """Stored or received data is not what was written: too short, or with another digest."""


class InternalError(ObjectStoreError):
    """The server failed in a way that it did not foresee."""


class ConfigurationError(ObjectStoreError):
    """Settings, `storage.yaml` or the token file cannot be used; the message says what to change."""
