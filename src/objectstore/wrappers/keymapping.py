"""Wrappers that keep objects under other keys than they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from objectstore.backends.contract import Backend, Uploads
from objectstore.core.keys import check_key
from objectstore.errors import (
    AlreadyExists,
    InvalidKey,
    NotFound,
    ObjectStoreError,
    PreconditionFailed,
    Unsupported,
    UploadNotFound,
)
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
    Quota,
    Reading,
    Upload,
    UploadPage,
)
from objectstore.wrappers.forwarding import COPY, GET, PUT, Forwarding

Options = TypeVar("Options", PutOptions, CopyOptions, CompleteOptions)


class KeyMapping(Forwarding, ABC):
    """Keeps the object `key` under `inside(key)` of `inner`; what the inner store says is told in outer keys.

    Two keys never share an inner one. How a listing is found depends on the mapping, so each has its own.
    """

    @abstractmethod
    def inside(self, key: str) -> str:
        """The inner key, unchecked: one that is too long is refused. Raises InvalidKey."""

    @abstractmethod
    def outside(self, inner_key: str) -> str | None:
        """The key that `inside` maps there; None when it maps none."""

    def quota(self, quota: Quota) -> Quota:  # noqa: ARG002  for those that know it
        """The quota that the inner store has to keep; a mapping whose `capabilities` have quotas knows it."""
        raise Unsupported(f"{self._name} keeps no quotas: what has one prefix outside has none inside")

    @abstractmethod
    async def list(self, query: ListQuery) -> ListPage: ...

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, quotas=False)

    @property
    def uploads(self) -> Uploads:
        return _MappedUploads(self, self._inner)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        with self.told():
            return self.info(await self._inner.put(self.checked(key), body, self.options(options)))

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with AsyncExitStack() as stack:
            # Not longer: errors of whoever reads, another store's perhaps, are none of the inner store's.
            with self.told():
                reading = await stack.enter_async_context(self._inner.get(self.sought(key), options))
            yield replace(reading, info=replace(reading.info, key=key))

    async def head(self, key: str) -> ObjectInfo:
        with self.told():
            return self.info(await self._inner.head(self.sought(key)))

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        with self.told():
            await self._inner.delete(self.sought(key), conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        results: list[ObjectStoreError | None] = [None] * len(keys)
        held: list[tuple[int, str]] = []
        for at, key in enumerate(keys):
            try:
                held.append((at, self.sought(key)))
            except ObjectStoreError as error:
                results[at] = error
        if held:
            for (at, _), outcome in zip(held, await self._inner.delete_many([one for _, one in held]), strict=True):
                results[at] = None if outcome is None else self._outer_error(outcome)
        return results

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        with self.told():
            held = self.checked(target)
            return self.info(await self._inner.copy(self.sought(source), held, self.options(options)))

    def options(self, options: Options) -> Options:
        """The options as they are inside."""
        return options if options.quota is None else replace(options, quota=self.quota(options.quota))

    def checked(self, key: str) -> str:
        """The inner key of one that is to be written. Raises InvalidKey."""
        inner_key = self.inside(key)
        try:
            return check_key(inner_key)
        except InvalidKey as error:
            raise InvalidKey(f"{self._name} keeps this key as {inner_key[:80]!r}…: {error}") from None

    def sought(self, key: str) -> str:
        """The inner key of one that is to be there. Raises InvalidKey."""
        return self.checked(key)

    def info(self, inner: ObjectInfo) -> ObjectInfo:
        """What the inner store knows of an object, under its outer key."""
        key = self.outside(inner.key)
        return inner if key is None else replace(inner, key=key)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Errors of the inner store name outer keys."""
        try:
            yield
        except (NotFound, PreconditionFailed) as error:
            renamed = self._outer_error(error)
            if renamed is error:
                raise
            raise renamed from error

    def _outer_error(self, error: ObjectStoreError) -> ObjectStoreError:
        if isinstance(error, NotFound | PreconditionFailed) and (key := self.outside(error.key)) is not None:
            match error:
                case NotFound():
                    return NotFound(key)
                case AlreadyExists():
                    return AlreadyExists(key)
                case PreconditionFailed():
                    return PreconditionFailed(key)
        return error


class _MappedUploads:
    """The inner store's uploads; those to keys that are not ours are not there."""

    def __init__(self, mapping: KeyMapping, inner: Backend) -> None:
        self._mapping = mapping
        self._inner = inner

    async def begin(self, key: str, options: PutOptions) -> Upload:
        with self._mapping.told():
            inside = self._mapping.options(options)
            return self._outer(await self._inner.uploads.begin(self._mapping.checked(key), inside))

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        await self.get(upload_id)
        with self._mapping.told():
            return await self._inner.uploads.put_part(upload_id, number, body, self._mapping.options(options))

    async def get(self, upload_id: str) -> Upload:
        upload = await self._inner.uploads.get(upload_id)
        if self._mapping.outside(upload.key) is None:
            raise UploadNotFound(upload_id)
        return self._outer(upload)

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        await self.get(upload_id)
        with self._mapping.told():
            inside = self._mapping.options(options)
            return self._mapping.info(await self._inner.uploads.complete(upload_id, parts, inside))

    async def abort(self, upload_id: str) -> None:
        await self.get(upload_id)
        await self._inner.uploads.abort(upload_id)

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        found: list[Upload] = []
        following: str | None = start
        while following is not None:
            page = await self._inner.uploads.list(start=following, limit=limit)
            for upload in page.uploads:
                outer = self._mapping.outside(upload.key)
                if outer is None or not outer.startswith(prefix):
                    continue
                if len(found) == limit:
                    return UploadPage(uploads=tuple(found), next_start=upload.upload_id)
                found.append(self._outer(upload))
            following = page.next_start
        return UploadPage(uploads=tuple(found))

    async def expire(self, before: datetime) -> int:
        # All of the inner store's: the server that it is behind expires them by the same rule.
        return await self._inner.uploads.expire(before)

    def _outer(self, upload: Upload) -> Upload:
        key = self._mapping.outside(upload.key)
        completed = None if upload.completed is None else self._mapping.info(upload.completed)
        return replace(upload, key=upload.key if key is None else key, completed=completed)
