"""Tells a webhook of each change, once it is made."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from objectstore.backends.contract import Backend, Uploads
from objectstore.errors import ObjectStoreError
from objectstore.values import (
    COMPLETE,
    UNCONDITIONAL,
    Body,
    CompleteOptions,
    Conditions,
    CopyOptions,
    ObjectInfo,
    Part,
    PutOptions,
    Upload,
    UploadPage,
)
from objectstore.wire.records import format_time
from objectstore.wrappers.forwarding import COPY, PUT, Forwarding
from objectstore.wrappers.reserving import is_reserved
from objectstore.wrappers.webhooks import Message, Outbox

Change: TypeAlias = Literal["put", "copy", "upload", "delete"]
_ID_SIZE: Final = 32  # characters of hex


def _now() -> datetime:
    return datetime.now(UTC)


class Notifying(Forwarding):
    """Puts an event into the outbox after each change: put, copy, completed upload, delete of one key or of many.

    The change neither waits for the event nor fails with it. A change whose caller has gone before the answer,
    and one that is made by other programs or by another wrapper of the same store, goes untold.
    """

    def __init__(self, inner: Backend, outbox: Outbox, *, clock: Callable[[], datetime] = _now) -> None:
        super().__init__(inner, name="NotifyingStore")
        self._outbox = outbox
        self._clock = clock

    @property
    def uploads(self) -> Uploads:
        return _NotifyingUploads(self, self._inner.uploads)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self._outbox.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._outbox.__aexit__(exc_type, exc, traceback)
        finally:
            await super().__aexit__(exc_type, exc, traceback)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        info = await self._inner.put(key, body, options)
        self.tell("put", key, info)
        return info

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await self._inner.delete(key, conditions)
        self.tell("delete", key)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        outcomes = await self._inner.delete_many(keys)
        for key, outcome in zip(keys, outcomes, strict=True):
            if outcome is None:
                self.tell("delete", key)
        return outcomes

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        info = await self._inner.copy(source, target, options)
        self.tell("copy", target, info, source=source)
        return info

    def tell(
        self,
        change: Change,
        key: str,
        info: ObjectInfo | None = None,
        *,
        source: str | None = None,
        event_id: str | None = None,
    ) -> None:
        """Put an event into the outbox. Its id is a random one unless given.

        Parts that a wrapper around this one stages are no objects of anybody: of them nothing is told.
        """
        if is_reserved(key):
            return
        event_id = event_id or secrets.token_hex(_ID_SIZE // 2)
        event: dict[str, object] = {"id": event_id, "type": change, "key": key}
        if source is not None:
            event["source"] = source
        if info is not None:
            event |= {"size": info.size, "etag": info.etag}
        event["time"] = format_time(self._clock() if info is None else info.modified)
        self._outbox.add(key, Message(event_id, json.dumps(event).encode()))


class _NotifyingUploads:
    """Tells of completions; until then nothing has changed."""

    def __init__(self, notifying: Notifying, inner: Uploads) -> None:
        self._notifying = notifying
        self._inner = inner

    async def begin(self, key: str, options: PutOptions) -> Upload:
        return await self._inner.begin(key, options)

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        return await self._inner.put_part(upload_id, number, body, options)

    async def get(self, upload_id: str) -> Upload:
        return await self._inner.get(upload_id)

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        info = await self._inner.complete(upload_id, parts, options)
        # Completing again changes nothing: its event has the same id, by which a receiver knows it.
        event_id = hashlib.sha256(b"upload " + upload_id.encode()).hexdigest()[:_ID_SIZE]
        self._notifying.tell("upload", info.key, info, event_id=event_id)
        return info

    async def abort(self, upload_id: str) -> None:
        await self._inner.abort(upload_id)

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        return await self._inner.list(prefix=prefix, start=start, limit=limit)

    async def expire(self, before: datetime) -> int:
        return await self._inner.expire(before)
