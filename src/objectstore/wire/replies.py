"""Replies of the HTTP contract ⇄ values: what a client reads of an answer, after any connection is done with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from objectstore.errors import ObjectStoreError
from objectstore.values import ObjectInfo
from objectstore.wire.headers import Fields

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, its body read."""

    status: int
    fields: Fields
    body: bytes
    received: datetime  # aware, UTC
    stream: object = None  # the body of an opened object; only the client that opened it knows what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a listing, in UTF-8 byte order of the keys."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...] = ()  # groups, when a delimiter was given
    objects: tuple[ObjectInfo, ...] = ()  # one for each key, when details were asked for
    next_cursor: str | None = None  # opaque; asks for the next page

    @property
    def has_more(self) -> bool:
        return self.next_cursor is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What became of each key that was to be deleted; the three have no key in common."""

    deleted: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()  # there was no such object
    failed: Mapping[str, ObjectStoreError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunUpload:
    """An upload in parts that may now be sent."""

    upload_id: str
    part_size: int  # bytes; what to cut the object into, the last part excepted
    expires: datetime  # aware, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedPart:
    """A part that has arrived."""

    number: int  # 1 to 10 000
    size: int  # bytes
    etag: str  # opaque, unquoted


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedUpload:
    """An upload in parts that was begun. `parts` are known only of one that was asked for by its id."""

    upload_id: str
    key: str
    begun: datetime  # aware, UTC
    parts: tuple[UploadedPart, ...] = ()
