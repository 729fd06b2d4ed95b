"""Rows of the index and the values that they stand for."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from objectstore.values import (
    NO_ATTRIBUTES,
    NO_DIGESTS,
    UNCONDITIONAL,
    Attributes,
    Conditions,
    Etags,
    ObjectInfo,
    Part,
    Upload,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIELDS: Final = ("content_type", "content_encoding", "content_disposition", "content_language", "cache_control")


class Row(NamedTuple):
    """A row of `objects`."""

    key: str
    seq: int
    size: int  # bytes
    etag: str
    created: int  # microseconds since 1970
    modified: int  # microseconds since 1970
    sha256: bytes
    digests: str | None  # the others, JSON: algorithm to base64
    attributes: str | None  # JSON
    blob: str | None

    @property
    def inline(self) -> bool:
        """Whether there is a row of `bodies` for it."""
        return self.blob is None and self.size > 0


class PartRow(NamedTuple):
    """A row of `parts`."""

    upload: str
    number: int
    seq: int
    size: int  # bytes
    etag: str
    modified: int  # microseconds since 1970
    sha256: bytes
    digests: str | None
    blob: str | None

    @property
    def inline(self) -> bool:
        """Whether there is a row of `bodies` for it."""
        return self.blob is None and self.size > 0


class UploadRow(NamedTuple):
    """A row of `uploads`."""

    id: str
    key: str
    begun: int  # microseconds since 1970
    attributes: str | None
    conditions: str | None
    size: int | None  # bytes
    expected: str | None
    digests: str | None
    etag: str | None
    completed: str | None  # the record of the finished object


def microseconds(time: datetime) -> int:
    """Microseconds since 1970, as the index keeps times."""
    return (time - EPOCH) // _MICROSECOND


@lru_cache(maxsize=64)  # what is committed together is written at one time, and is mostly new: created then, too
def _time_at(moment: int) -> datetime:
    return EPOCH + timedelta(microseconds=moment)


def info_of(row: Row) -> ObjectInfo:
    key, _, size, etag, created, modified, sha256, digests, attributes, _ = row
    return ObjectInfo(
        key=key,
        size=size,
        etag=etag,
        created=_time_at(created),
        modified=_time_at(modified),
        digests={"sha-256": sha256} if digests is None else all_digests(sha256, digests),
        attributes=NO_ATTRIBUTES if attributes is None else decode_attributes(attributes),
    )


def part_of(row: PartRow) -> Part:
    return Part(
        number=row.number,
        size=row.size,
        etag=row.etag,
        modified=EPOCH + timedelta(microseconds=row.modified),
        digests=all_digests(row.sha256, row.digests),
    )


def upload_of(row: UploadRow, parts: tuple[Part, ...] = ()) -> Upload:
    return Upload(
        upload_id=row.id,
        key=row.key,
        begun=EPOCH + timedelta(microseconds=row.begun),
        attributes=decode_attributes(row.attributes),
        conditions=decode_conditions(row.conditions),
        parts=parts,
        completed=None if row.completed is None else info_of(decode_row(row.completed)),
    )


def all_digests(sha256: bytes, others: str | None) -> Mapping[str, bytes]:
    if others is None:
        return {"sha-256": sha256}
    return {"sha-256": sha256, **decode_digests(others)}


def encode_digests(digests: Mapping[str, bytes]) -> str | None:
    """The digests beside sha-256, which has a column of its own."""
    others = {name: base64.b64encode(digest).decode() for name, digest in digests.items() if name != "sha-256"}
    return json.dumps(others) if others else None


def encode_expected(digests: Mapping[str, bytes]) -> str | None:
    found = {name: base64.b64encode(digest).decode() for name, digest in digests.items()}
    return json.dumps(found) if found else None


def decode_digests(text: str | None) -> Mapping[str, bytes]:
    if text is None:
        return NO_DIGESTS
    return {name: base64.b64decode(digest) for name, digest in json.loads(text).items()}


def encode_attributes(attributes: Attributes) -> str | None:
    if attributes is NO_ATTRIBUTES:
        return None
    found: dict[str, Any] = {name: value for name in _FIELDS if (value := getattr(attributes, name)) is not None}
    if attributes.metadata:
        found["metadata"] = dict(attributes.metadata)
    return json.dumps(found, ensure_ascii=False) if found else None


@lru_cache(maxsize=1024)  # most objects of a store share a few, such as one content type
def decode_attributes(text: str | None) -> Attributes:
    return NO_ATTRIBUTES if text is None else Attributes(**json.loads(text))


def encode_conditions(conditions: Conditions) -> str | None:
    if conditions == UNCONDITIONAL:
        return None
    found: dict[str, Any] = {}
    for name in ("if_match", "if_none_match"):
        if (etags := getattr(conditions, name)) is not None:
            found[name] = etags if etags == "*" else list(etags)
    for name in ("if_modified_since", "if_unmodified_since"):
        if (time := getattr(conditions, name)) is not None:
            found[name] = time.isoformat()
    return json.dumps(found)


def decode_conditions(text: str | None) -> Conditions:
    if text is None:
        return UNCONDITIONAL
    found = json.loads(text)
    return Conditions(
        if_match=_etags(found.get("if_match")),
        if_none_match=_etags(found.get("if_none_match")),
        if_modified_since=_time(found.get("if_modified_since")),
        if_unmodified_since=_time(found.get("if_unmodified_since")),
    )


def encode_row(row: Row) -> str:
    """A row as JSON: what a completed upload answers when it is completed again."""
    return json.dumps(row._replace(sha256=row.sha256.hex())._asdict(), ensure_ascii=False)  # type: ignore[arg-type]  # JSON has no bytes


def decode_row(text: str) -> Row:
    found = json.loads(text)
    return Row(**{**found, "sha256": bytes.fromhex(found["sha256"])})


def _etags(value: Any) -> Etags | None:
    return value if value is None or value == "*" else tuple(value)


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
