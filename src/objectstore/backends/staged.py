"""Uploads in parts for backends that have none of their own.

A second backend of the same medium, the staging, holds under each upload's id its state (`<id>/upload`) and the
parts that have arrived (`<id>/00001`, …). Completion streams the parts one after the other into the target.

What may happen in between, and why it does no harm:

- A crash or another process, at any point: the target takes a body as one atomic step, so the object is the old
  one or the new one. Only when it is there is the state marked as completed, and only then are the parts freed.
- A crash between the object and the mark: the object carries an etag that follows from the upload's id, by which
  completing again finds it rather than writes it again.
- A part sent again while it is being read for completion: parts are read under the etag that was named.
- A part that arrives while the upload ends: the end removes the state (or marks it) before it removes parts, and
  the arrival looks at the state after its part is stored; whoever comes second removes the part.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from objectstore.backends import uploadstate
from objectstore.backends.contract import Backend
from objectstore.backends.reading import chunks, read_all
from objectstore.backends.uploadstate import UploadState
from objectstore.core.conditions import check_write
from objectstore.core.keys import check_key
from objectstore.core.streams import check_size
from objectstore.errors import (
    InvalidKey,
    InvalidPart,
    NotFound,
    ObjectStoreError,
    PreconditionFailed,
    Unsupported,
    UploadNotFound,
)
from objectstore.values import (
    COMPLETE,
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Body,
    Capabilities,
    CompleteOptions,
    Conditions,
    GetOptions,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
    Upload,
    UploadPage,
)

MAX_PARTS: Final = 10_000
_PAGE: Final = 1000


class StagedUploads:
    """Implements `contract.Uploads` on any two backends; each upload is private to its id.

    Opening and closing both backends is the owner's business; `settle` comes before closing.
    """

    def __init__(
        self, target: Backend, staging: Backend, *, clock: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        self._target = target
        self._staging = staging
        self._clock = clock
        self._new_id = new_id  # unique, unguessable, without "/"
        self._completing: dict[str, asyncio.Task[ObjectInfo]] = {}

    async def settle(self) -> None:
        """Wait for completions whose callers have gone; to be called before the backends are closed."""
        while self._completing:
            await asyncio.wait(self._completing.values())

    async def begin(self, key: str, options: PutOptions) -> Upload:
        _check_capable(self._target.capabilities, options)
        check_write(options.conditions, key, await self._current(key))
        state = UploadState(upload_id=self._new_id(), key=key, begun=self._clock(), options=options)
        await self._remember(state)
        return state.upload()

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        await self._unfinished(upload_id)
        if not 1 <= number <= MAX_PARTS:
            raise InvalidPart(f"parts are numbered from 1 to {MAX_PARTS}; this one is {number}")
        part_key = key_of_part(upload_id, number)
        counted = PutOptions(size=options.size, expected=options.expected, digests=options.digests)
        info = await self._staging.put(part_key, body, counted)
        try:
            await self._unfinished(upload_id)
        except UploadNotFound:
            await self._remove(part_key)
            raise
        return _part(info)

    async def get(self, upload_id: str) -> Upload:
        state = await self._state(upload_id)
        return state.upload(tuple([part async for part in self._parts(upload_id)]))

    async def complete(
        self,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        options: CompleteOptions = COMPLETE,  # noqa: ARG002  never given one that says anything
    ) -> ObjectInfo:
        while (running := self._completing.get(upload_id)) is not None:
            # Its outcome is not necessarily ours: it may have named other parts, and failed.
            await asyncio.wait([running])
        task = asyncio.create_task(self._complete(upload_id, tuple(parts)))
        self._completing[upload_id] = task
        task.add_done_callback(lambda done: self._settled(upload_id, done))
        return await asyncio.shield(task)

    async def abort(self, upload_id: str) -> None:
        if (running := self._completing.get(upload_id)) is not None:
            await asyncio.wait([running])
        await self._unfinished(upload_id)
        await self._forget(upload_id)

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        found: list[Upload] = []
        async for upload_id in self._ids(start):
            state = await self._known(upload_id)
            if state is None or state.completed is not None or not state.key.startswith(prefix):
                continue
            if len(found) == limit:
                return UploadPage(uploads=tuple(found), next_start=upload_id)
            found.append(state.upload())
        return UploadPage(uploads=tuple(found))

    async def expire(self, before: datetime) -> int:
        expired = 0
        async for upload_id in self._ids(""):
            if upload_id in self._completing:
                continue
            state = await self._known(upload_id)
            if state is None:
                # A crash came between the state and the parts.
                await self._forget(upload_id)
            elif (state.begun if state.completed is None else state.completed.modified) < before:
                await self._forget(upload_id)
                expired += 1
        return expired

    async def _complete(self, upload_id: str, parts: tuple[tuple[int, str], ...]) -> ObjectInfo:
        state = await self._state(upload_id)
        if state.completed is not None:
            return state.completed
        try:
            info = await self._assemble(state, parts)
        except ObjectStoreError:
            # Another process may have completed it in the meantime, and freed the parts.
            latest = await self._state(upload_id)
            if latest.completed is None:
                raise
            return latest.completed
        await self._remember(replace(state, completed=info))
        # The object is there and known to be: parts that cannot be removed now wait for `expire`.
        with suppress(ObjectStoreError):
            await self._free(upload_id)
        return info

    async def _assemble(self, state: UploadState, named: tuple[tuple[int, str], ...]) -> ObjectInfo:
        options = state.options
        parts = _chosen(named, {part.number: part async for part in self._parts(state.upload_id)})
        size = sum(part.size for part in parts)
        check_size(options.size, size)
        etag = options.etag
        if etag is None:
            etag = _own_etag(state.upload_id)
            current = await self._current(state.key)
            if current is not None and current.etag == etag:
                return current
        return await self.store(state, parts, replace(options, size=size, etag=etag))

    async def store(self, state: UploadState, parts: Sequence[Part], options: PutOptions) -> ObjectInfo:
        """Make the object of these parts; to be overridden where a medium joins them without their passing through."""
        return await self._target.put(state.key, self._body(state.upload_id, parts), options)

    async def _body(self, upload_id: str, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        for part in parts:
            unchanged = GetOptions(conditions=Conditions(if_match=(part.etag,)))
            try:
                async with self._staging.get(key_of_part(upload_id, part.number), unchanged) as reading:
                    async for chunk in chunks(reading):
                        yield chunk
            except (NotFound, PreconditionFailed):
                raise InvalidPart(f"part {part.number} was replaced or removed during completion") from None

    async def _current(self, key: str) -> ObjectInfo | None:
        try:
            return await self._target.head(key)
        except NotFound:
            return None

    async def _state(self, upload_id: str) -> UploadState:
        state = await self._known(upload_id)
        if state is None:
            raise UploadNotFound(upload_id)
        return state

    async def _unfinished(self, upload_id: str) -> UploadState:
        state = await self._state(upload_id)
        if state.completed is not None:
            raise UploadNotFound(upload_id)
        return state

    async def _known(self, upload_id: str) -> UploadState | None:
        if "/" in upload_id:
            return None
        try:
            async with self._staging.get(check_key(_state_key(upload_id))) as reading:
                return uploadstate.load(await read_all(reading))
        except (NotFound, InvalidKey):
            return None

    async def _remember(self, state: UploadState) -> None:
        await self._staging.put(_state_key(state.upload_id), uploadstate.dump(state))

    async def _forget(self, upload_id: str) -> None:
        await self._remove(_state_key(upload_id))
        await self._free(upload_id)

    async def _free(self, upload_id: str) -> None:
        async for part in self._parts(upload_id):
            await self._remove(key_of_part(upload_id, part.number))

    async def _remove(self, key: str) -> None:
        # Someone else may be ending the same upload.
        with suppress(NotFound):
            await self._staging.delete(key)

    async def _parts(self, upload_id: str) -> AsyncIterator[Part]:
        start: str | None = ""
        while start is not None:
            query = ListQuery(prefix=f"{upload_id}/", start=start, limit=_PAGE, details=True)
            page = await self._staging.list(query)
            for info in page.objects:
                if info.key != _state_key(upload_id):
                    yield _part(info)
            start = page.next_start

    async def _ids(self, start: str) -> AsyncIterator[str]:
        following: str | None = start
        while following is not None:
            page = await self._staging.list(ListQuery(delimiter="/", start=following, limit=_PAGE))
            for prefix in page.prefixes:
                yield prefix.removesuffix("/")
            following = page.next_start

    def _settled(self, upload_id: str, task: asyncio.Task[ObjectInfo]) -> None:
        del self._completing[upload_id]
        if not task.cancelled():
            # The caller may have gone; an error that nobody takes would be logged as a defect.
            task.exception()


def _check_capable(target: Capabilities, options: PutOptions) -> None:
    # The target would refuse too, but only when all the parts have been sent.
    if not target.write:
        raise Unsupported(f"{target.name} cannot be written")
    if options.conditions != UNCONDITIONAL and not target.conditions:
        raise Unsupported(f"{target.name} cannot check conditions together with a write")
    if options.attributes != NO_ATTRIBUTES and not target.attributes:
        raise Unsupported(f"{target.name} does not keep content types and metadata")


def _state_key(upload_id: str) -> str:
    return f"{upload_id}/upload"


def key_of_part(upload_id: str, number: int) -> str:
    return f"{upload_id}/{number:05}"


def _part(info: ObjectInfo) -> Part:
    number = int(info.key.rpartition("/")[2])
    return Part(number=number, size=info.size, etag=info.etag, modified=info.modified, digests=info.digests)


def _own_etag(upload_id: str) -> str:
    # Not the id itself: whoever may read the object need not be able to name the upload.
    return hashlib.sha256(upload_id.encode()).hexdigest()[:32]


def _chosen(named: Sequence[tuple[int, str]], arrived: dict[int, Part]) -> Sequence[Part]:
    if not named:
        raise InvalidPart("an upload is completed with at least one part")
    numbers = [number for number, _ in named]
    if any(second <= first for first, second in itertools.pairwise(numbers)):
        raise InvalidPart("the parts are to be named in ascending order, each once")
    for number, etag in named:
        part = arrived.get(number)
        if part is None:
            raise InvalidPart(f"part {number} has not arrived")
        if part.etag != etag:
            raise InvalidPart(f"part {number} has another etag than the one named")
    return [arrived[number] for number in numbers]
