# ruff: noqa: ARG002  whatever the arguments, the answer is no
"""Stores that do one half: only reading, or only writing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from objectstore.backends.contract import Backend, Uploads
from objectstore.errors import MethodNotAllowed, ObjectStoreError, StorageFull, UploadNotFound
from objectstore.values import (
    COMPLETE,
    UNCONDITIONAL,
    Body,
    Capabilities,
    CompleteOptions,
    Conditions,
    CopyOptions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
    Reading,
    Upload,
    UploadPage,
)
from objectstore.wrappers.forwarding import COPY, GET, PUT, Forwarding

_READS: Final = ("GET", "HEAD")
_WRITES: Final = ("PUT", "DELETE")


def _read_only() -> MethodNotAllowed:
    return MethodNotAllowed("this store is read-only", _READS)


def _write_only() -> MethodNotAllowed:
    return MethodNotAllowed("this store is write-only: objects can be stored and deleted, not read", _WRITES)


class Readonly(Forwarding):
    """Refuses whatever would change the inner store."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, name="ReadonlyStore")

    @property
    def capabilities(self) -> Capabilities:
        # There are no writes that conditions could hold for; those of reads are always there.
        return replace(super().capabilities, write=False, delete=False, conditions=False)

    @property
    def uploads(self) -> Uploads:
        return _NoUploads()

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        raise _read_only()

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        raise _read_only()

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        return [_read_only() for _ in keys]

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        raise _read_only()

    async def check(self) -> None:
        # Reading needs no room.
        with suppress(StorageFull):
            await super().check()


class _NoUploads:
    """There is no upload, and none can be begun; those that the inner store has are left alone."""

    async def begin(self, key: str, options: PutOptions) -> Upload:
        raise _read_only()

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        raise _read_only()

    async def get(self, upload_id: str) -> Upload:
        raise UploadNotFound(upload_id)

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        raise _read_only()

    async def abort(self, upload_id: str) -> None:
        raise _read_only()

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        return UploadPage(uploads=())

    async def expire(self, before: datetime) -> int:
        return 0


class Writeonly(Forwarding):
    """Refuses to tell of objects: reading, listing, and copying, which reads.

    A writer still learns by conditions and deletes whether an object is there, and follows its own uploads.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, name="WriteonlyStore")

    @property
    def capabilities(self) -> Capabilities:
        told = super().capabilities
        return replace(told, listing=False, ranges=False, notes=(*told.notes, "Objects cannot be read or copied."))

    def get(self, key: str, options: GetOptions = GET) -> AbstractAsyncContextManager[Reading]:
        raise _write_only()

    async def head(self, key: str) -> ObjectInfo:
        raise _write_only()

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        raise _write_only()

    async def list(self, query: ListQuery) -> ListPage:
        raise _write_only()
