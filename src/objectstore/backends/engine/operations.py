"""What the writer does to objects, each as one value that is applied inside a transaction.

An operation checks before it changes anything: when it raises an error of ours, its neighbours in the
transaction are not touched by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from objectstore.backends.engine.rows import Row, encode_attributes, encode_digests, info_of
from objectstore.backends.engine.transaction import Transaction
from objectstore.core.conditions import check_source, check_write
from objectstore.core.quotas import check_quota
from objectstore.errors import Corrupted, NotFound, ObjectStoreError
from objectstore.values import UNCONDITIONAL, Attributes, Conditions, CopyOptions, Quota, Usage

Result_co = TypeVar("Result_co", covariant=True)


class Operation(Protocol, Generic[Result_co]):
    """Something to be done in a transaction."""

    @property
    def keys(self) -> Sequence[str]:
        """The rows that it will ask for, to be read ahead."""
        ...

    @property
    def weight(self) -> int:
        """About how many bytes it writes."""
        ...

    @property
    def grows(self) -> bool:
        """Whether it adds to the store; if so it is refused when the disk is nearly full."""
        ...

    def apply(self, transaction: Transaction) -> Result_co: ...


@dataclass(frozen=True, slots=True)
class Body:
    """A body whose bytes are safe: in hand, to be written with the row, or in a blob on disk."""

    size: int  # bytes
    digests: Mapping[str, bytes]
    data: bytes | None = None
    blob: str | None = None


class Put:
    """Write an object; gives its row."""

    __slots__ = ("_attributes", "_body", "_conditions", "_etag", "_quota", "keys", "weight")
    grows = True

    def __init__(
        self,
        key: str,
        body: Body,
        attributes: Attributes,
        conditions: Conditions,
        etag: str,
        quota: Quota | None = None,
    ) -> None:
        self.keys = (key,)
        self.weight = 0 if body.data is None else body.size
        self._body = body
        self._attributes = encode_attributes(attributes)
        self._conditions = conditions
        self._etag = etag
        self._quota = quota

    def apply(self, transaction: Transaction) -> Row:
        (key,) = self.keys
        current = transaction.row(key)
        check(self._conditions, key, current)
        if self._quota is not None:
            check_growth(transaction, self._quota, current, self._body.size)
        row = new_row(transaction, key, current, self._body, self._attributes, self._etag)
        transaction.put(row, self._body.data)
        return row


class Delete:
    """Remove an object."""

    __slots__ = ("_conditions", "keys", "weight")
    grows = False

    def __init__(self, key: str, conditions: Conditions) -> None:
        self.keys = (key,)
        self.weight = 0
        self._conditions = conditions

    def apply(self, transaction: Transaction) -> None:
        (key,) = self.keys
        current = transaction.row(key)
        if current is None:
            raise NotFound(key)
        check(self._conditions, key, current)
        transaction.remove(key)


class DeleteMany:
    """Remove objects; gives for each None or its error."""

    __slots__ = ("keys", "weight")
    grows = False

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self.weight = 0

    def apply(self, transaction: Transaction) -> list[ObjectStoreError | None]:
        outcomes: list[ObjectStoreError | None] = []
        for key in self.keys:
            if transaction.row(key) is None:
                outcomes.append(NotFound(key))
            else:
                transaction.remove(key)
                outcomes.append(None)
        return outcomes


class Copy:
    """Write an object with the body of another; gives its row. A blob is shared, never copied: it does not change."""

    __slots__ = ("_etag", "_options", "keys", "weight")
    grows = True

    def __init__(self, source: str, target: str, options: CopyOptions, etag: str) -> None:
        self.keys = (source, target)
        self.weight = 0
        self._options = options
        self._etag = etag

    def apply(self, transaction: Transaction) -> Row:
        source, target = self.keys
        found = transaction.row(source)
        if found is None:
            raise NotFound(source)
        if self._options.source is not UNCONDITIONAL:
            check_source(self._options.source, info_of(found))
        current = transaction.row(target)
        check(self._options.conditions, target, current)
        data = None
        if found.inline:
            data = transaction.body(found.seq)
            if data is None:
                raise Corrupted(f"the body of {source!r} is missing from the index")
        if self._options.quota is not None:
            check_growth(transaction, self._options.quota, current, found.size)
        attributes = self._options.attributes
        row = found._replace(
            key=target,
            seq=transaction.next_seq(),
            etag=self._etag,
            created=transaction.now if current is None else current.created,
            modified=transaction.now,
            attributes=found.attributes if attributes is None else encode_attributes(attributes),
        )
        transaction.put(row, data)
        return row


class Count:
    """Have these prefixes counted; gives what is kept under each."""

    __slots__ = ("_prefixes", "keys", "weight")
    grows = False

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.keys = ()
        self.weight = 0
        self._prefixes = prefixes

    def apply(self, transaction: Transaction) -> list[Usage]:
        return [transaction.usage(prefix) for prefix in self._prefixes]


class Probe:
    """Nothing, but written and synced: shows that something could be."""

    keys = ()
    weight = 0
    grows = True

    def apply(self, transaction: Transaction) -> None:
        """Change nothing that is stored."""
        transaction.touch()


class ForgetGarbage:
    """Strike out garbage that has been unlinked."""

    __slots__ = ("_garbage", "keys", "weight")
    grows = False

    def __init__(self, garbage: Sequence[tuple[int, str]]) -> None:
        self.keys = ()
        self.weight = 0
        self._garbage = garbage

    def apply(self, transaction: Transaction) -> None:
        transaction.forget_garbage(self._garbage)


def check(conditions: Conditions, key: str, row: Row | None) -> None:
    """`check_write` for what the index says."""
    if conditions is not UNCONDITIONAL:
        check_write(conditions, key, None if row is None else info_of(row))


def check_growth(transaction: Transaction, quota: Quota, current: Row | None, size: int, freed: int = 0) -> None:
    """Whether the quota allows an object of `size` bytes in the place of `current` and of `freed` bytes of parts.

    Raises:
        QuotaExceeded
    """
    replaced = 0 if current is None else current.size
    check_quota(quota, transaction.usage(quota.prefix), size=size - replaced - freed, objects=int(current is None))


def new_row(
    transaction: Transaction, key: str, current: Row | None, body: Body, attributes: str | None, etag: str
) -> Row:
    """The row of an object that is written now; `created` outlives overwriting."""
    now = transaction.now
    return Row(
        key,
        transaction.next_seq(),
        body.size,
        etag,
        now if current is None else current.created,
        now,
        body.digests["sha-256"],
        encode_digests(body.digests) if len(body.digests) > 1 else None,
        attributes,
        body.blob,
    )
