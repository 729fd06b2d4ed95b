"""Uploads in parts, native to the engine.

Parts are stored as objects are, only under an upload instead of a key. Completion reads them into one body,
hashing it whole, and one transaction makes it visible, marks the upload as completed and lets go of the
parts. Of several completions at once, in one process or in two, one makes the object and all give its record.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Final

from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.etags import Etags
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.intake import Intake, Taken, commit
from objectstore.backends.engine.operations import Body as Stored
from objectstore.backends.engine.operations import check, check_growth, new_row
from objectstore.backends.engine.rows import (
    PartRow,
    Row,
    UploadRow,
    all_digests,
    decode_conditions,
    decode_digests,
    decode_row,
    encode_attributes,
    encode_conditions,
    encode_digests,
    encode_expected,
    encode_row,
    info_of,
    microseconds,
    part_of,
    upload_of,
)
from objectstore.backends.engine.transaction import Transaction
from objectstore.backends.engine.writer import Writer
from objectstore.core.attributes import check_attributes
from objectstore.core.digests import Digester, check_digests
from objectstore.core.listing import after
from objectstore.core.quotas import bounded, check_quota
from objectstore.errors import Corrupted, IncompleteBody, InvalidPart, ObjectStoreError, UploadNotFound
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
_BLOCK: Final = 1024 * 1024  # bytes read from a part at a time
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
    ) -> None:
        self._directory = directory
        self._index = index
        self._writer = writer
        self._intake = intake
        self._executor = executor
        self._etags = etags
        self._completing: dict[str, asyncio.Task[ObjectInfo]] = {}

    async def settle(self) -> None:
        """Wait for completions whose callers have gone."""
        while self._completing:
            await asyncio.wait(self._completing.values())

    async def begin(self, key: str, options: PutOptions) -> Upload:
        check_attributes(options.attributes)
        Digester(options.digests | options.expected.keys())  # refuses unknown ones now, not after the last part
        return upload_of(await self._writer.commit(_Begin(key, options)))

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        self._unfinished(upload_id)
        if not 1 <= number <= MAX_PARTS:
            raise InvalidPart(f"parts are numbered from 1 to {MAX_PARTS}; this one is {number}")
        self._writer.check()
        if options.quota is not None:
            body = self._within(options.quota, upload_id, number, body, options.size)
        taken = await self._intake.take(body, options.size, options.expected, options.digests)
        put = _PutPart(upload_id, number, taken.body, self._etags.next(), options.quota)
        return part_of(await commit(self._writer, put, taken))

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
        await self._writer.commit(_Abort(upload_id))

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
            expired += await self._writer.commit(_Expire(upload_ids))
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
        completion = _Complete(upload, parts, taken.body, upload.etag or self._etags.next(), quota)
        try:
            return info_of(await commit(self._writer, completion, taken))
        except _Completed as already:
            return info_of(already.row)

    async def _assemble(self, upload: UploadRow, parts: Sequence[PartRow]) -> Taken:
        size = sum(part.size for part in parts)
        if upload.size is not None and size != upload.size:
            raise IncompleteBody(upload.size, size)
        expected = decode_digests(upload.expected)
        algorithms = frozenset(json.loads(upload.digests or "[]"))
        if len(parts) == 1 and (taken := _shared(parts[0], expected, algorithms)) is not None:
            return taken
        return await self._intake.take(self._body(parts), size, expected, algorithms)

    async def _body(self, parts: Sequence[PartRow]) -> AsyncIterator[bytes]:
        for part in parts:
            if part.inline:
                data = self._index.body(part.seq)
                if data is None:
                    raise _gone(part)
                yield data
            elif part.blob is not None:
                async for block in self._blocks(part, part.blob):
                    yield block

    async def _blocks(self, part: PartRow, blob: str) -> AsyncIterator[bytes]:
        run = asyncio.get_running_loop().run_in_executor
        try:
            fd = await run(self._executor, os.open, self._directory.blob(blob), os.O_RDONLY)
        except FileNotFoundError:
            raise _gone(part) from None
        except OSError as error:
            raise translate(error) from error
        try:
            at = 0
            while block := await run(self._executor, os.pread, fd, _BLOCK, at):
                yield block
                at += len(block)
        except OSError as error:
            raise translate(error) from error
        finally:
            os.close(fd)
        if at != part.size:
            raise Corrupted(f"the file of part {part.number} has {at} bytes, not {part.size}")

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
        if not task.cancelled():
            # The caller may have gone; an error that nobody takes would be logged as a defect.
            task.exception()


class _Completed(ObjectStoreError):
    """Not a failure: the upload was completed before, as `row`."""

    def __init__(self, row: Row) -> None:
        super().__init__("the upload is already completed")
        self.row = row


class _UploadOperation:
    """Base of what the writer does to one upload."""

    __slots__ = ("keys", "upload_id", "weight")
    grows = True

    def __init__(self, upload_id: str, keys: tuple[str, ...] = (), weight: int = 0) -> None:
        self.upload_id = upload_id
        self.keys = keys
        self.weight = weight

    def upload(self, transaction: Transaction) -> UploadRow:
        upload = transaction.index.upload(self.upload_id)
        if upload is None:
            raise UploadNotFound(self.upload_id)
        return upload

    def unfinished(self, transaction: Transaction) -> UploadRow:
        upload = self.upload(transaction)
        if upload.completed is not None:
            raise UploadNotFound(self.upload_id)
        return upload


class _Begin(_UploadOperation):
    __slots__ = ("_key", "_options")

    def __init__(self, key: str, options: PutOptions) -> None:
        super().__init__(secrets.token_hex(16), (key,))
        self._key = key
        self._options = options

    def apply(self, transaction: Transaction) -> UploadRow:
        options = self._options
        current = transaction.row(self._key)
        check(options.conditions, self._key, current)
        if options.quota is not None:
            check_growth(transaction, options.quota, current, options.size or 0)
        upload = UploadRow(
            id=self.upload_id,
            key=self._key,
            begun=transaction.now,
            attributes=encode_attributes(options.attributes),
            conditions=encode_conditions(options.conditions),
            size=options.size,
            expected=encode_expected(options.expected),
            digests=json.dumps(sorted(options.digests)) if options.digests else None,
            etag=options.etag,
            completed=None,
        )
        transaction.put_upload(upload)
        return upload


class _PutPart(_UploadOperation):
    __slots__ = ("_body", "_etag", "_number", "_quota")

    def __init__(self, upload_id: str, number: int, body: Stored, etag: str, quota: Quota | None) -> None:
        super().__init__(upload_id, weight=0 if body.data is None else body.size)
        self._etag = etag
        self._number = number
        self._body = body
        self._quota = quota

    def apply(self, transaction: Transaction) -> PartRow:
        upload = self.unfinished(transaction)
        body = self._body
        if self._quota is not None:
            before = transaction.index.part(self.upload_id, self._number)
            more = body.size - (0 if before is None else before.size)
            check_quota(self._quota, transaction.usage(self._quota.prefix), size=more)
        part = PartRow(
            upload=self.upload_id,
            number=self._number,
            seq=transaction.next_seq(),
            size=body.size,
            etag=self._etag,
            modified=transaction.now,
            sha256=body.digests["sha-256"],
            digests=encode_digests(body.digests),
            blob=body.blob,
        )
        transaction.put_part(upload.key, part, body.data)
        return part


class _Complete(_UploadOperation):
    __slots__ = ("_body", "_etag", "_parts", "_quota", "_upload")

    def __init__(
        self, upload: UploadRow, parts: Sequence[PartRow], body: Stored, etag: str, quota: Quota | None
    ) -> None:
        super().__init__(upload.id, (upload.key,), 0 if body.data is None else body.size)
        self._etag = etag
        self._upload = upload
        self._parts = parts
        self._body = body
        self._quota = quota

    def apply(self, transaction: Transaction) -> Row:
        upload = self.upload(transaction)
        if upload.completed is not None:
            raise _Completed(decode_row(upload.completed))
        arrived = transaction.index.parts(upload.id)
        now_there = {part.number: part.seq for part in arrived}
        for part in self._parts:
            if now_there.get(part.number) != part.seq:
                raise _gone(part)
        current = transaction.row(upload.key)
        check(decode_conditions(upload.conditions), upload.key, current)
        if self._quota is not None:
            freed = sum(part.size for part in arrived)
            check_growth(transaction, self._quota, current, self._body.size, freed)
        row = new_row(transaction, upload.key, current, self._body, upload.attributes, self._etag)
        transaction.put(row, self._body.data)
        transaction.complete_upload(upload.id, encode_row(row))
        return row


class _Abort(_UploadOperation):
    __slots__ = ()
    grows = False

    def apply(self, transaction: Transaction) -> None:
        self.unfinished(transaction)
        transaction.remove_upload(self.upload_id)


class _Expire:
    """Forget uploads; gives how many there still were."""

    __slots__ = ("_upload_ids", "keys", "weight")
    grows = False

    def __init__(self, upload_ids: Sequence[str]) -> None:
        self.keys = ()
        self.weight = 0
        self._upload_ids = upload_ids

    def apply(self, transaction: Transaction) -> int:
        there = [one for one in self._upload_ids if transaction.index.upload(one) is not None]
        for upload_id in there:
            transaction.remove_upload(upload_id)
        return len(there)


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


def _gone(part: PartRow) -> InvalidPart:
    return InvalidPart(f"part {part.number} was replaced or removed during completion")
