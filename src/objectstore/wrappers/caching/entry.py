"""A cached object: one object of the cache store, which begins with what the main store says of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from objectstore.errors import Corrupted
from objectstore.values import Attributes, ObjectInfo

_PLAIN: Final = tuple(field.name for field in fields(Attributes) if field.name != "metadata")

ROOM: Final = "objectstore-cache/"
MOST_HEAD: Final = 64 * 1024  # bytes: attributes and key have at most 9 KiB before they become JSON
_LENGTH: Final = 8  # bytes of hexadecimal digits: how long the head is, themselves left out


@dataclass(slots=True)
class Entry:
    """An object that is in the cache, whole."""

    name: str  # the key in the cache store
    etag: str  # of the object in the cache store, which tells it from one that came into its place
    size: int  # bytes in the cache store
    head_size: int  # bytes before the body
    info: ObjectInfo  # as the main store knows it
    checked: float  # seconds since 1970: the main store had it so then, or later


def name_of(key: str) -> str:
    """Where the object `key` is cached: names are short and safe in any store, and spread over folders."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{ROOM}{digest[:2]}/{digest}"


def dump_head(info: ObjectInfo, checked: float) -> bytes:
    told = {
        "key": info.key,
        "size": info.size,
        "etag": info.etag,
        "created": info.created.isoformat(),
        "modified": info.modified.isoformat(),
        "digests": {name: base64.b64encode(raw).decode() for name, raw in info.digests.items()},
        "attributes": {name: getattr(info.attributes, name) for name in _PLAIN}
        | {"metadata": dict(info.attributes.metadata)},
        "checked": checked,
    }
    head = json.dumps(told, ensure_ascii=False).encode()
    return b"%08x" % len(head) + head


def load_head(raw: bytes) -> tuple[int, ObjectInfo, float]:
    """Size of the head, the record, and when it was checked, from the first bytes. Raises Corrupted."""
    try:
        length = int(raw[:_LENGTH], 16)
        told = json.loads(raw[_LENGTH : _LENGTH + length])
        return _LENGTH + length, _info(told), float(told["checked"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Corrupted(f"an entry of the cache cannot be read: {error!r}") from error


def _info(told: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        key=told["key"],
        size=told["size"],
        etag=told["etag"],
        created=datetime.fromisoformat(told["created"]),
        modified=datetime.fromisoformat(told["modified"]),
        digests={name: base64.b64decode(text) for name, text in told["digests"].items()},
        attributes=Attributes(**told["attributes"]),
    )
