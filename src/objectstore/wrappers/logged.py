"""What a store is asked, and what came of it, as records of `logging`.

The records go to the logger `objectstore.store`. Beside a line for people each has fields of its own: `store`,
`operation`, `outcome` ("ok", the name of an error, or "left" when a reader went away), `duration` (seconds), and
what is known of `key`, `size`, `etag`, `start`, `stop`, … Bodies and metadata are never in them, and of an upload's
id only its beginning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Final

from objectstore.backends.contract import Backend, Uploads
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InternalError,
    NotModified,
    ObjectStoreError,
    QuotaExceeded,
    Retryable,
    StorageFull,
)
from objectstore.values import (
    COMPLETE,
    UNCONDITIONAL,
    Body,
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

_log: Final = logging.getLogger("objectstore.store")
# What is the store's trouble, not the caller's.
_TROUBLE: Final = (Retryable, StorageFull, Corrupted, InternalError, ConfigurationError)
_SHOWN_OF_IDS: Final = 8  # characters: enough to follow an upload, too few to take part in it


class Call:
    """One call while it runs, and the facts that are known of it."""

    def __init__(self, operation: str, **facts: object) -> None:
        self.operation = operation
        self.facts = facts
        self.left = False  # whoever read went away or failed: nothing that the store did
        self._begun = time.perf_counter()

    def learn(self, info: ObjectInfo) -> None:
        self.facts |= {"size": info.size, "etag": info.etag}

    def duration(self) -> float:
        """Seconds since its beginning."""
        return time.perf_counter() - self._begun


class Logged(Forwarding):
    """Logs each call when it is over, at INFO. A reading is one call, which ends when it is closed."""

    def __init__(self, inner: Backend, store_name: str = "store", *, name: str = "LoggingStore") -> None:
        super().__init__(inner, name=name)
        self._store_name = store_name

    def note(self, call: Call, error: BaseException | None) -> None:
        """A call is over. Errors reach the caller after it."""
        self.record(logging.INFO, call, error)

    def record(self, level: int, call: Call, error: BaseException | None, *, traceback: bool = False) -> None:
        ended = "left" if call.left else "ok"
        outcome = ended if error is None else type(error).__name__
        duration = call.duration()
        line = [self._store_name, call.operation]
        line += [f"{name}={fact!r}" for name, fact in call.facts.items()]
        line.append(f"{outcome} in {duration * 1000:.1f} ms" + (f": {error}" if error is not None else ""))
        own = {"store": self._store_name, "operation": call.operation, "outcome": outcome, "duration": duration}
        _log.log(level, "%s", " ".join(line), extra=own | call.facts, exc_info=error if traceback else None)

    @contextmanager
    def watched(self, operation: str, **facts: object) -> Iterator[Call]:
        """A call around what is done meanwhile."""
        call = Call(operation, **facts)
        try:
            yield call
        except BaseException as error:
            self.note(call, None if call.left else error)
            raise
        self.note(call, None)

    @property
    def uploads(self) -> Uploads:
        return _LoggedUploads(self, self._inner.uploads)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        with self.watched("put", key=key) as call:
            info = await self._inner.put(key, body, options)
            call.learn(info)
            return info

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        with self.watched("get", key=key) as call:
            async with self._inner.get(key, options) as reading:
                call.learn(reading.info)
                call.facts |= {"start": reading.start, "stop": reading.stop}
                try:
                    yield reading
                except BaseException as error:
                    call.left = not isinstance(error, ObjectStoreError)
                    raise

    async def head(self, key: str) -> ObjectInfo:
        with self.watched("head", key=key) as call:
            info = await self._inner.head(key)
            call.learn(info)
            return info

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        with self.watched("delete", key=key):
            await self._inner.delete(key, conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        with self.watched("delete_many", count=len(keys)) as call:
            outcomes = await self._inner.delete_many(keys)
            call.facts["deleted"] = sum(outcome is None for outcome in outcomes)
            return outcomes

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        with self.watched("copy", key=target, source=source) as call:
            info = await self._inner.copy(source, target, options)
            call.learn(info)
            return info

    async def list(self, query: ListQuery) -> ListPage:
        with self.watched("list", prefix=query.prefix, delimiter=query.delimiter, limit=query.limit) as call:
            page = await self._inner.list(query)
            call.facts["count"] = len(page.keys) + len(page.prefixes)
            return page

    async def check(self) -> None:
        with self.watched("check"):
            await self._inner.check()


class ExceptionLogged(Logged):
    """Logs each call that fails: at ERROR with a traceback when the store is in trouble, else at WARNING.

    "Not modified" is an answer, and a caller that leaves is none of the store's failures: neither is logged.
    """

    def __init__(self, inner: Backend, store_name: str = "store") -> None:
        super().__init__(inner, store_name, name="ExceptionLoggingStore")

    def note(self, call: Call, error: BaseException | None) -> None:
        if not isinstance(error, Exception) or isinstance(error, NotModified):
            return
        if isinstance(error, QuotaExceeded) or (
            isinstance(error, ObjectStoreError) and not isinstance(error, _TROUBLE)
        ):
            self.record(logging.WARNING, call, error)
        else:
            self.record(logging.ERROR, call, error, traceback=True)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        outcomes = await super().delete_many(keys)
        for key, outcome in zip(keys, outcomes, strict=True):
            self.note(Call("delete_many", key=key), outcome)
        return outcomes


class _LoggedUploads:
    def __init__(self, logged: Logged, inner: Uploads) -> None:
        self._logged = logged
        self._inner = inner

    async def begin(self, key: str, options: PutOptions) -> Upload:
        with self._logged.watched("begin_upload", key=key) as call:
            upload = await self._inner.begin(key, options)
            call.facts["upload"] = _shown(upload.upload_id)
            return upload

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        with self._logged.watched("put_part", upload=_shown(upload_id), number=number) as call:
            part = await self._inner.put_part(upload_id, number, body, options)
            call.facts["size"] = part.size
            return part

    async def get(self, upload_id: str) -> Upload:
        with self._logged.watched("get_upload", upload=_shown(upload_id)):
            return await self._inner.get(upload_id)

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        with self._logged.watched("complete_upload", upload=_shown(upload_id), count=len(parts)) as call:
            info = await self._inner.complete(upload_id, parts, options)
            call.facts["key"] = info.key
            call.learn(info)
            return info

    async def abort(self, upload_id: str) -> None:
        with self._logged.watched("abort_upload", upload=_shown(upload_id)):
            await self._inner.abort(upload_id)

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        with self._logged.watched("list_uploads", prefix=prefix, limit=limit) as call:
            page = await self._inner.list(prefix=prefix, start=start, limit=limit)
            call.facts["count"] = len(page.uploads)
            return page

    async def expire(self, before: datetime) -> int:
        with self._logged.watched("expire_uploads") as call:
            count = await self._inner.expire(before)
            call.facts["count"] = count
            return count


def _shown(upload_id: str) -> str:
    return f"{upload_id[:_SHOWN_OF_IDS]}…"
