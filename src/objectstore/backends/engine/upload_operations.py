"""What the writer does to uploads in parts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from objectstore.backends.engine.operations import Body as Stored
from objectstore.backends.engine.operations import check, check_growth, new_row
from objectstore.backends.engine.rows import (
    PartRow,
    Row,
    UploadRow,
    decode_conditions,
    decode_row,
    encode_attributes,
    encode_conditions,
    encode_digests,
    encode_expected,
    encode_row,
)
from objectstore.backends.engine.transaction import Transaction
from objectstore.core.quotas import check_quota
from objectstore.errors import InvalidPart, ObjectStoreError, UploadNotFound
from objectstore.values import PutOptions, Quota


class Completed(ObjectStoreError):
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


class Begin(_UploadOperation):
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


class PutPart(_UploadOperation):
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


class Complete(_UploadOperation):
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
            raise Completed(decode_row(upload.completed))
        arrived = transaction.index.parts(upload.id)
        now_there = {part.number: part.seq for part in arrived}
        for part in self._parts:
            if now_there.get(part.number) != part.seq:
                raise gone(part)
        current = transaction.row(upload.key)
        check(decode_conditions(upload.conditions), upload.key, current)
        if self._quota is not None:
            freed = sum(part.size for part in arrived)
            check_growth(transaction, self._quota, current, self._body.size, freed)
        row = new_row(transaction, upload.key, current, self._body, upload.attributes, self._etag)
        transaction.put(row, self._body.data)
        transaction.complete_upload(upload.id, encode_row(row))
        return row


class Abort(_UploadOperation):
    __slots__ = ()
    grows = False

    def apply(self, transaction: Transaction) -> None:
        self.unfinished(transaction)
        transaction.remove_upload(self.upload_id)


class Expire:
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


def gone(part: PartRow) -> InvalidPart:
    return InvalidPart(f"part {part.number} was replaced or removed during completion")
