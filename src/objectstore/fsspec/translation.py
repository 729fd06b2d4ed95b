"""What is known of an object, and what went wrong, in the words of fsspec."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from objectstore.errors import (
    AlreadyExists,
    Forbidden,
    InvalidKey,
    NotFound,
    ObjectStoreError,
    PreconditionFailed,
    Unauthenticated,
)
from objectstore.values import ObjectInfo


def describe(info: ObjectInfo) -> dict[str, Any]:
    """An object as an entry of a listing."""
    digest = info.digests.get("sha-256")
    return {
        "name": info.key,
        "size": info.size,
        "type": "file",
        "etag": info.etag,
        "created": info.created,
        "modified": info.modified,
        "content_type": info.attributes.content_type,
        "sha256": None if digest is None else digest.hex(),
        "metadata": dict(info.attributes.metadata),
    }


def folder(path: str) -> dict[str, Any]:
    """A folder as an entry of a listing."""
    return {"name": path, "size": 0, "type": "directory"}


def translate(error: ObjectStoreError, path: str) -> Exception:
    """The error of Python that programs look for, where there is one; else itself."""
    match error:
        case NotFound():
            return FileNotFoundError(errno.ENOENT, error.message, path)
        case AlreadyExists():
            return FileExistsError(errno.EEXIST, error.message, path)
        case Unauthenticated() | Forbidden():
            return PermissionError(errno.EACCES, error.message, path)
        case InvalidKey():
            return OSError(errno.EINVAL, error.message, path)
        case _:
            return error


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Errors of the store as those of Python."""
    try:
        yield
    except ObjectStoreError as error:
        ours = translate(error, path)
        if ours is error:
            raise
        raise ours from error


@contextmanager
def changed(path: str) -> Iterator[None]:
    """A version that is there no more, as an OSError."""
    try:
        yield
    except PreconditionFailed as error:
        message = f"the object under {path!r} was overwritten while it was read: open it again"
        raise OSError(errno.ESTALE, message, path) from error
