"""What a backend is. Servers, wrappers and tools see storage only through this.

Every error is one of `objectstore.errors`; foreign ones are translated where they enter. Keys have passed
`core.keys.check_key`. A method that is cancelled, or whose body fails, leaves the old object or the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from objectstore.errors import ObjectStoreError
from objectstore.values import (
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
    Usage,
)


class Uploads(Protocol):
    """Uploads in parts. Parts may be put in any order, at the same time, and again (the last one counts)."""

    async def begin(self, key: str, options: PutOptions) -> Upload:
        """A new upload to `key`. Conditions of `options` are checked now and again at completion.

        `size`, `expected` and `etag` of `options` hold for the finished object.
        """
        ...

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        """Store one part; only `size`, `expected` and `digests` of `options` count.

        Raises:
            UploadNotFound: also when the upload is already completed.
            InvalidPart: `number` is outside 1 to 10 000.
        """
        ...

    async def get(self, upload_id: str) -> Upload:
        """The upload with the parts that have arrived. Raises UploadNotFound."""
        ...

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = ...
    ) -> ObjectInfo:
        """Make the object of the named parts (number, etag), in this order, visible as a whole.

        Idempotent: completing a completed upload gives the same record again. A failed completion
        leaves the upload as it was.

        Raises:
            UploadNotFound, PreconditionFailed, DigestMismatch, IncompleteBody.
            InvalidPart: none named, numbers not ascending, a part that has not arrived or has another etag.
        """
        ...

    async def abort(self, upload_id: str) -> None:
        """Forget the upload and free its parts. Raises UploadNotFound."""
        ...

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        """Unfinished uploads to keys with `prefix`, with ids from `start` (inclusive) on, without their parts."""
        ...

    async def expire(self, before: datetime) -> int:
        """Abort unfinished uploads begun before that time and forget completed ones; how many there were."""
        ...


@runtime_checkable
class Metered(Protocol):
    """A backend that keeps quotas: it counts what is under the prefixes that have one."""

    async def usage(self, prefixes: Sequence[str]) -> Sequence[Usage]:
        """What is kept under each of these prefixes, which are counted from then on, if they were not before."""
        ...


class Backend(Protocol):
    """A place that keeps objects. Opened and closed by `async with`; nothing is opened by the constructor."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do; the same value for its whole life."""
        ...

    @property
    def uploads(self) -> Uploads:
        """Uploads in parts: native, or `backends.staged.StagedUploads`."""
        ...

    async def __aenter__(self) -> Self:
        """Open. Raises ConfigurationError when it cannot be opened as configured."""
        ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close; what was acknowledged is kept."""
        ...

    async def put(self, key: str, body: Body, options: PutOptions = ...) -> ObjectInfo:
        """Store `body` under `key`, replacing what is there, as one atomic step that includes the conditions.

        Raises:
            InvalidKey: this backend cannot hold the key.
            PreconditionFailed: nothing was changed.
            DigestMismatch, IncompleteBody: nothing was changed.
            QuotaExceeded: nothing was changed.
            StorageFull, Unavailable.
        """
        ...

    def get(self, key: str, options: GetOptions = ...) -> AbstractAsyncContextManager[Reading]:
        """Open the object, or a range of it, for reading.

        Everything of one reading belongs to one version, however the object is overwritten meanwhile.

        Raises (on entering):
            NotFound, NotModified, PreconditionFailed, InvalidRange; Corrupted, also while reading.
        """
        ...

    async def head(self, key: str) -> ObjectInfo:
        """What is known of the object. Raises NotFound."""
        ...

    async def delete(self, key: str, conditions: Conditions = ...) -> None:
        """Remove the object. Raises NotFound, PreconditionFailed."""
        ...

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        """Remove each key; in the place of each, None when it was removed, else its error."""
        ...

    async def copy(self, source: str, target: str, options: CopyOptions = ...) -> ObjectInfo:
        """Store the bytes of `source` under `target`, of one version, as `put` does. Raises NotFound."""
        ...

    async def list(self, query: ListQuery) -> ListPage:
        """One page of keys. Its cost is that of the page, not of the store."""
        ...

    async def check(self) -> None:
        """Whether the store answers and can be written: nothing, or Unavailable or StorageFull with the reason."""
        ...
