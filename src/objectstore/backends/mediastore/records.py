"""What is known of an object, as it is kept among the metadata of a medium."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from objectstore.backends.recorded import dump_attributes, dump_digests, load_attributes, load_digests, load_etag
from objectstore.errors import BadRequest
from objectstore.values import ObjectInfo
from objectstore.wire.records import format_time, parse_time

MEMBER: Final = "objectstore"  # of the metadata


def dump(info: ObjectInfo) -> dict[str, Any]:
    return {
        "size": info.size,
        "etag": info.etag,
        "created_at": format_time(info.created),
        "modified_at": format_time(info.modified),
        "digest": dump_digests(info.digests),
        "attributes": dump_attributes(info.attributes),
    }


def load(key: str, medium: Mapping[str, Any]) -> ObjectInfo | None:
    """The object; None when another program put it there, or its record is none of ours."""
    try:
        told = medium["metadata"][MEMBER]
        return ObjectInfo(
            key=key,
            size=int(told["size"]),
            etag=load_etag(told["etag"]),
            created=parse_time(told["created_at"]),
            modified=parse_time(told["modified_at"]),
            digests=load_digests(told["digest"]),
            attributes=load_attributes(told["attributes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, BadRequest):
        return None


def of_bytes(key: str, data: bytes, record: ObjectInfo | None, now: datetime) -> ObjectInfo:
    """The object with these bytes: as the record says when it is about them, else what they tell themselves."""
    digest = hashlib.sha256(data).digest()
    if record is not None and (record.size, record.digests.get("sha-256")) == (len(data), digest):
        return record
    # There is no time: whoever compares times reads it again.
    return ObjectInfo(
        key=key, size=len(data), etag=digest.hex()[:32], created=now, modified=now, digests={"sha-256": digest}
    )
