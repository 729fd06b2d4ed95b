"""Objects over plain HTTP: a durable store and its Python clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objectstore.errors import (
    AlreadyExists,
    BadRequest,
    Corrupted,
    DigestMismatch,
    Forbidden,
    IncompleteBody,
    InternalError,
    InvalidCursor,
    InvalidKey,
    InvalidLink,
    InvalidMetadata,
    InvalidParameter,
    InvalidRange,
    LinkExpired,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    QuotaExceeded,
    RateLimited,
    Retryable,
    StorageFull,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unsupported,
    UploadNotFound,
)
from objectstore.values import (
    ONLY_IF_ABSENT,
    UNCONDITIONAL,
    Attributes,
    Bounded,
    ByteRange,
    Conditions,
    From,
    Last,
    ObjectInfo,
)

if TYPE_CHECKING:
    from objectstore.client.aio import AsyncRestStore
    from objectstore.client.sync import RestStore
    from objectstore.library.opening import open_store

__version__ = "0.1.0"

__all__ = [
    "ONLY_IF_ABSENT",
    "UNCONDITIONAL",
    "AlreadyExists",
    "AsyncRestStore",
    "Attributes",
    "BadRequest",
    "Bounded",
    "ByteRange",
    "Conditions",
    "Corrupted",
    "DigestMismatch",
    "Forbidden",
    "From",
    "IncompleteBody",
    "InternalError",
    "InvalidCursor",
    "InvalidKey",
    "InvalidLink",
    "InvalidMetadata",
    "InvalidParameter",
    "InvalidRange",
    "Last",
    "LinkExpired",
    "NotFound",
    "NotModified",
    "ObjectInfo",
    "ObjectStoreError",
    "PreconditionFailed",
    "QuotaExceeded",
    "RateLimited",
    "RestStore",
    "Retryable",
    "StorageFull",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "UploadNotFound",
    "open_store",
]


def __getattr__(name: str) -> object:
    # The clients bring an HTTP library with them, which the server has no use for.
    if name in {"RestStore", "AsyncRestStore"}:
        from objectstore import client

        return getattr(client, name)
    if name == "open_store":
        try:
            from objectstore.library.opening import open_store
        except ModuleNotFoundError as error:
            message = f"open_store needs {error.name}: pip install 'objectstore[server]'"
            raise ModuleNotFoundError(message, name=error.name) from error
        return open_store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
