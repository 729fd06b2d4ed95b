"""What a backend is to do, in the plainest way: dicts, slices and sets, and none of the rules of `core`.

It is on purpose another way to work out the same: an error in a shared rule would hide itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from objectstore.errors import (
    AlreadyExists,
    InvalidPart,
    InvalidRange,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
)
from objectstore.values import (
    Attributes,
    Bounded,
    ByteRange,
    Conditions,
    From,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
)

Errors: TypeAlias = AbstractSet[type[ObjectStoreError]]


@dataclass(frozen=True)
class Stored:
    """An object: its bytes, and the record that the backend gave for them."""

    data: bytes
    info: ObjectInfo


@dataclass
class Begun:
    """An upload in parts."""

    key: str
    options: PutOptions
    parts: dict[int, tuple[Part, bytes]] = field(default_factory=dict)
    completed: ObjectInfo | None = None


def entries(names: Iterable[str], prefix: str = "", delimiter: str = "", start: str = "") -> Sequence[str]:
    """Keys and groups in the order of a listing, worked out from all the keys."""
    found = set()
    for name in names:
        if name.encode() < start.encode() or not name.startswith(prefix):
            continue
        head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        found.add(prefix + head + delimiter if cut else name)
    return sorted(found, key=str.encode)


def selected(wanted: ByteRange | None, size: int) -> range | None:
    """The positions of the bytes that a range selects; None when the range is to be refused."""
    everything = range(size)
    if wanted is None:
        return everything
    if isinstance(wanted, Bounded):
        found = everything[wanted.start : wanted.stop]
    elif isinstance(wanted, From):
        found = everything[wanted.start :]
    else:
        found = everything[-wanted.length :] if wanted.length else range(0)
    return found if len(found) else None


class Model:
    """The state that a backend should be in."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Begun] = {}

    def write_errors(self, key: str, conditions: Conditions) -> Errors:
        """What a write to `key` is to fail with; nothing when it is to succeed."""
        stored = self.objects.get(key)
        version = None if stored is None else stored.info
        return _wrong_version(version, conditions) or _unwanted_version(version, conditions)

    def delete_errors(self, key: str, conditions: Conditions) -> Errors:
        return self.write_errors(key, conditions) if key in self.objects else {NotFound}

    def read_errors(self, key: str, conditions: Conditions, wanted: ByteRange | None = None) -> Errors:
        if key not in self.objects:
            return {NotFound}
        version = self.objects[key].info
        if _wrong_version(version, conditions):
            return {PreconditionFailed}
        if _is_current(version, conditions):
            return {NotModified}
        return {InvalidRange} if selected(wanted, version.size) is None else set()

    def source_errors(self, key: str, conditions: Conditions) -> Errors:
        errors = self.read_errors(key, conditions)
        return {PreconditionFailed} if NotModified in errors else errors

    def wrote(self, key: str, data: bytes, attributes: Attributes, info: ObjectInfo) -> None:
        """Take note of a write, and check its record against what is known."""
        before = self.objects.get(key)
        assert (info.key, info.size, info.attributes) == (key, len(data), attributes)
        assert info.digests.get("sha-256") in (None, hashlib.sha256(data).digest())
        if before is None:
            assert info.created == info.modified, "an object that was absent is created now"
        else:
            assert info.created == before.info.created, "an object that is replaced was created when it was"
            assert info.etag != before.info.etag, "every write gives another etag"
        self.objects[key] = Stored(data, info)

    def page(self, query: ListQuery) -> tuple[Sequence[str], Sequence[str], bool]:
        """Keys and groups of a page, and whether there are more."""
        found = entries(self.objects, query.prefix, query.delimiter, query.start)
        shown = found[: query.limit]
        groups = [entry for entry in shown if query.delimiter and query.delimiter in entry[len(query.prefix) :]]
        return [entry for entry in shown if entry not in groups], groups, len(found) > query.limit

    def completion_errors(self, upload_id: str, named: Sequence[tuple[int, str]]) -> Errors:
        """What completing an unfinished upload is to fail with."""
        upload = self.uploads[upload_id]
        numbers = [number for number, _ in named]
        etags = {number: part.etag for number, (part, _) in upload.parts.items()}
        if not named or numbers != sorted(set(numbers)) or any(etags.get(number) != etag for number, etag in named):
            return {InvalidPart, *self.write_errors(upload.key, upload.options.conditions)}
        return self.write_errors(upload.key, upload.options.conditions)

    def joined(self, upload_id: str, named: Sequence[tuple[int, str]]) -> bytes:
        parts: Mapping[int, tuple[Part, bytes]] = self.uploads[upload_id].parts
        return b"".join(parts[number][1] for number, _ in named)


def _second(time: datetime) -> int:
    return int(time.timestamp())


def _wrong_version(version: ObjectInfo | None, conditions: Conditions) -> Errors:
    if conditions.if_match is not None:
        right = version is not None and (conditions.if_match == "*" or version.etag in conditions.if_match)
    elif conditions.if_unmodified_since is not None:
        right = version is not None and _second(version.modified) <= conditions.if_unmodified_since.timestamp()
    else:
        right = True
    return set() if right else {PreconditionFailed}


def _unwanted_version(version: ObjectInfo | None, conditions: Conditions) -> Errors:
    if version is None or conditions.if_none_match is None:
        return set()
    if conditions.if_none_match == "*":
        return {AlreadyExists}
    return {PreconditionFailed} if version.etag in conditions.if_none_match else set()


def _is_current(version: ObjectInfo, conditions: Conditions) -> bool:
    if conditions.if_none_match is not None:
        return conditions.if_none_match == "*" or version.etag in conditions.if_none_match
    since = conditions.if_modified_since
    return since is not None and _second(version.modified) <= since.timestamp()
