"""Uploads in parts, native to the engine.

Parts are stored as objects are, only under an upload instead of a key. Completion reads them into one body,
hashing it whole, as far as that was not done while they arrived; one transaction makes it visible, marks the
upload as completed and lets go of the parts. Of several completions at once, in one process or in two, one makes
the object and all give its record.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Final

from objectstore.backends.engine.assembly import Assemblies
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.etags import Etags
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.intake import Intake, Taken, commit
from objectstore.backends.engine.operations import Body as Stored
from objectstore.backends.engine.operations import check
from objectstore.backends.engine.parts import PartReader
from objectstore.backends.engine.rows import (
    PartRow,
    UploadRow,
    all_digests,
    decode_conditions,
    decode_digests,
    decode_row,
    info_of,
    microseconds,
    part_of,
    upload_of,
)
from objectstore.backends.engine.upload_operations import Abort, Begin, Complete, Completed, Expire, PutPart
from objectstore.backends.engine.writer import Writer
from objectstore.core.attributes import check_attributes
from objectstore.core.digests import Digester, check_digests
from objectstore.core.listing import after
from objectstore.core.quotas import bounded
from objectstore.core.streams import check_size
from objectstore.errors import InvalidPart, ObjectStoreError, UploadNotFound
from objectstore.values import (
    COMPLETE,
    Body,
    CompleteOptions,
    ObjectInfo,
    Part,
    PutOptions,
    Quota,
    Upload,
    UploadPage,
)

MAX_PARTS: Final = 10_000
_EXPIRED_AT_ONCE: Final = 100


class EngineUploads:
    """Implements `contract.Uploads`. Opened and closed with its engine; `settle` comes before closing."""

    def __init__(
        self,
        directory: Directory,
        index: Index,
        writer: Writer,
        intake: Intake,
        executor: Executor,
        etags: Etags,
        *,
        idle: float,
    ) -> None:
        """`idle`: seconds without a new part after which no completion is expected to follow soon."""
        self._index = index
        self._writer = writer
        self._intake = intake
        self._etags = etags
        self._reader = PartReader(directory, index, executor)
        self._assemblies = Assemblies(index, intake, self._reader, idle)
        self._completing: dict[str, asyncio.Task[ObjectInfo]] = {}

    async def settle(self) -> None:
        """Wait for completions whose callers have gone; give up what is assembled for others."""
        while self._completing:
            await asyncio.wait(self._completing.values())
        await self._assemblies.close()

    async def begin(self, key: str, options: PutOptions) -> Upload:
        check_attributes(options.attributes)
        Digester(options.digests | options.expected.keys())  # refuses unknown ones now, not after the last part
        return upload_of(await self._writer.commit(Begin(key, options)))

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        self._unfinished(upload_id)
        if not 1 <= number <= MAX_PARTS:
            raise InvalidPart(f"parts are numbered from 1 to {MAX_PARTS}; this one is {number}")
        self._writer.check()
        if options.quota is not None:
            body = self._within(options.quota, upload_id, number, body, options.size)
        taken = await self._intake.take(body, options.size, options.expected, options.digests)
        put = PutPart(upload_id, number, taken.body, self._etags.next(), options.quota)
        part = part_of(await commit(self._writer, put, taken))
        upload = self._index.upload(upload_id)
        if upload is not None and upload.completed is None:
            self._assemblies.arrived(upload, number)
        return part

    async def get(self, upload_id: str) -> Upload:
        parts = tuple([part_of(row) for row in self._index.parts(upload_id)])
        return upload_of(self._known(upload_id), parts)

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        while (running := self._completing.get(upload_id)) is not None:
            # Its outcome is not necessarily ours: it may have named other parts, and failed.
            await asyncio.wait([running])
        task = asyncio.create_task(self._complete(upload_id, tuple(parts), options.quota))
        self._completing[upload_id] = task
        task.add_done_callback(lambda done: self._settled(upload_id, done))
        return await asyncio.shield(task)

    async def abort(self, upload_id: str) -> None:
        await self._writer.commit(Abort(upload_id))
        self._assemblies.drop(upload_id)

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        found: list[Upload] = []
        following: str | None = start
        while following is not None:
            rows = self._index.unfinished(following, limit + 1)
            for row in rows:
                if row.key.startswith(prefix):
                    if len(found) == limit:
                        return UploadPage(uploads=tuple(found), next_start=row.id)
                    found.append(upload_of(row))
            following = after(rows[-1].id) if len(rows) > limit else None
            await asyncio.sleep(0)
        return UploadPage(uploads=tuple(found))

    async def expire(self, before: datetime) -> int:
        expired = 0
        time = microseconds(before)
        while upload_ids := self._index.begun_before(time, _EXPIRED_AT_ONCE):
            expired += await self._writer.commit(Expire(upload_ids))
            for upload_id in upload_ids:
                self._assemblies.drop(upload_id)
        return expired

    def _within(self, quota: Quota, upload_id: str, number: int, body: Body, size: int | None) -> Body:
        """The part, if by what is known now the quota allows it; the check that counts is made with the write."""
        usage = self._index.usage([quota.prefix]).get(quota.prefix)
        if usage is None:
            return body
        before = self._index.part(upload_id, number)
        return bounded(body, size, quota, usage, 0 if before is None else before.size)

    async def _complete(self, upload_id: str, named: tuple[tuple[int, str], ...], quota: Quota | None) -> ObjectInfo:
        upload = self._known(upload_id)
        if upload.completed is not None:
            return info_of(decode_row(upload.completed))
        try:
            parts = _chosen(named, {part.number: part for part in self._index.parts(upload_id)})
            # Now, so that nothing is assembled in vain; the check that counts is made with the write.
            check(decode_conditions(upload.conditions), upload.key, self._index.row(upload.key))
            taken = await self._assemble(upload, parts)
        except ObjectStoreError:
            # Another process may have completed it in the meantime, and let go of the parts.
            completed = self._known(upload_id).completed
            if completed is None:
                raise
            return info_of(decode_row(completed))
        completion = Complete(upload, parts, taken.body, upload.etag or self._etags.next(), quota)
        try:
            return info_of(await commit(self._writer, completion, taken))
        except Completed as already:
            return info_of(already.row)

    async def _assemble(self, upload: UploadRow, parts: Sequence[PartRow]) -> Taken:
        size = sum(part.size for part in parts)
        check_size(upload.size, size)
        expected = decode_digests(upload.expected)
        algorithms = frozenset(json.loads(upload.digests or "[]"))
        if len(parts) == 1 and (taken := _shared(parts[0], expected, algorithms)) is not None:
            return taken
        begun = await self._assemblies.finish(upload.id, parts)
        # Whoever reads the parts looks at the size of each.
        return begun or await self._intake.take(self._reader.read(parts), None, expected, algorithms)

    def _known(self, upload_id: str) -> UploadRow:
        upload = self._index.upload(upload_id)
        if upload is None:
            raise UploadNotFound(upload_id)
        return upload

    def _unfinished(self, upload_id: str) -> None:
        if self._known(upload_id).completed is not None:
            raise UploadNotFound(upload_id)

    def _settled(self, upload_id: str, task: asyncio.Task[ObjectInfo]) -> None:
        del self._completing[upload_id]
        # The caller may have gone; an error that nobody takes would be logged as a defect.
        if not task.cancelled() and task.exception() is None:
            # What was assembled of more parts than were named.
            self._assemblies.drop(upload_id)


def _chosen(named: Sequence[tuple[int, str]], arrived: Mapping[int, PartRow]) -> list[PartRow]:
    if not named:
        raise InvalidPart("name the parts that make the object; none was named")
    parts: list[PartRow] = []
    for number, etag in named:
        if parts and number <= parts[-1].number:
            raise InvalidPart(f"name the parts in ascending order; {number} comes after {parts[-1].number}")
        part = arrived.get(number)
        if part is None:
            raise InvalidPart(f"part {number} has not arrived")
        if part.etag != etag:
            raise InvalidPart(f"part {number} has the etag {part.etag!r}, not {etag!r}; it was sent again")
        parts.append(part)
    return parts


def _shared(part: PartRow, expected: Mapping[str, bytes], algorithms: frozenset[str]) -> Taken | None:
    """The blob of an only part, as it is the whole object; None when it is no blob or lacks a digest."""
    digests = all_digests(part.sha256, part.digests)
    wanted = {"sha-256"} | algorithms | expected.keys()
    if part.blob is None or not wanted <= digests.keys():
        return None
    check_digests(expected, digests)
    return Taken(Stored(part.size, {name: digests[name] for name in wanted}, blob=part.blob))
