"""What is known of an object in Redis: the states that scripts tell ⇄ values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Final

from objectstore.errors import BadRequest, Corrupted
from objectstore.values import Attributes, ObjectInfo
from objectstore.wire.records import dump, format_digests, format_time, parse_attributes, parse_digest_map, parse_time

_PLAIN: Final = tuple(field.name for field in fields(Attributes) if field.name != "metadata")


def told(etag: str, modified: datetime, digests: Mapping[str, bytes], attributes: Attributes) -> bytes:
    """The part of a record that is ours to say; what is not set is left out."""
    members: dict[str, object] = {
        "etag": etag,
        "modified_at": format_time(modified),
        "digest": format_digests(digests),
        "metadata": dict(attributes.metadata),
    }
    members |= {name: value for name in _PLAIN if (value := getattr(attributes, name)) is not None}
    return dump(members)


def parse_state(key: str, state: bytes, now: datetime) -> ObjectInfo:
    """The object in a state that a script told.

    Of an object that another program wrote there is no time: it counts as written just `now`, so that whoever
    compares times reads it again. Its etag follows from its bytes.

    Raises:
        Corrupted: the record cannot be read.
    """
    summary, _, record = state.partition(b"\n")
    created, _, said = record.partition(b"\n")
    try:
        size, _, digest = summary.decode().partition(" ")
        if not record:
            return ObjectInfo(key=key, size=int(size), etag=f"{digest}-{size}", created=now, modified=now)
        members = json.loads(said)
        return ObjectInfo(
            key=key,
            size=int(size),
            etag=members["etag"],
            created=parse_time(created.decode()),
            modified=parse_time(members["modified_at"]),
            digests=parse_digest_map(members["digest"]),
            attributes=parse_attributes(members),
        )
    except (KeyError, TypeError, ValueError, RecursionError, BadRequest) as error:
        raise Corrupted(f"the record of {key!r} in Redis cannot be read: {error!r}") from error
