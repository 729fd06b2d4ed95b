"""What is known of an object, as the headers and metadata that its service keeps with it.

Content type and the like, and metadata, stand in fields of their own, so that other programs see them. What is
ours, and what would not survive as a header, stands as JSON in one metadata entry, `objectstore`. An object
without that entry was written by another program: it has the service's etag and time, and no digest.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from objectstore.backends import recorded
from objectstore.core.attributes import fields as kept_fields
from objectstore.errors import BadRequest
from objectstore.values import DEFAULT_CONTENT_TYPE, NO_DIGESTS, Attributes, ObjectInfo
from objectstore.wire.records import parse_time

ENTRY: Final = "objectstore"
_TAKEN: Final = frozenset({ENTRY, "mtime"})  # rclone's server adds its own `mtime` to what it copies
_STANDARD: Final = {
    "content-type": "Content-Type",
    "content-encoding": "Content-Encoding",
    "content-disposition": "Content-Disposition",
    "content-language": "Content-Language",
    "cache-control": "Cache-Control",
}
_OWN_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-._][a-z0-9]+)*")
_IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]*")
_PRINTABLE: Final = re.compile(r"[!-~](?:[!-~]| (?! ))*")
_ENCODED_WORD: Final = re.compile(r"=\?utf-8\?([bq])\?([^?]*)\?=", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object as its service tells of it."""

    size: int  # bytes
    etag: str  # the service's own, as it was given
    modified: datetime
    fields: Mapping[str, str]  # `Content-Type` and the like, and metadata by their names

    def info(self, key: str) -> ObjectInfo:
        """What is known of the object under `key`."""
        attributes = _attributes(self.fields)
        told = _told(self.fields)
        info = ObjectInfo(
            key=key,
            size=self.size,
            etag=self.etag.removeprefix("W/").strip('"'),
            created=self.modified,
            modified=self.modified,
            attributes=attributes,
        )
        return info if told is None else _ours(info, told)


def fields_of(info: ObjectInfo, *, identifiers_only: bool = False) -> dict[str, str]:
    """The fields that keep all of `info` but its size; Azure takes only identifiers for names of metadata."""
    own_name = _IDENTIFIER if identifiers_only else _OWN_NAME
    fields = {"Content-Type": DEFAULT_CONTENT_TYPE}
    told: dict[str, Any] = {
        "v": 1,
        "etag": info.etag,
        "created": info.created.isoformat(),
        "modified": info.modified.isoformat(),
        "digests": {name: base64.b64encode(raw).decode() for name, raw in info.digests.items()},
    }
    if info.attributes.content_type is None:
        told["untyped"] = True
    for name, value in kept_fields(info.attributes):
        if _PRINTABLE.fullmatch(value):
            fields[_STANDARD[name]] = value
        else:
            told.setdefault("fields", {})[name] = value
    for name, value in info.attributes.metadata.items():
        if value and own_name.fullmatch(name) and name not in _TAKEN:
            fields[name] = _header(value)
        else:
            told.setdefault("metadata", {})[name] = value
    fields[ENTRY] = json.dumps(told, separators=(",", ":"))
    return fields


def _told(fields: Mapping[str, str]) -> dict[str, Any] | None:
    """What our own entry says; None when there is none, or it is not ours."""
    try:
        told = json.loads(fields[ENTRY])
        return told if told["v"] == 1 else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _ours(info: ObjectInfo, told: Mapping[str, Any]) -> ObjectInfo:
    try:
        digests = {name: base64.b64decode(text, validate=True) for name, text in told["digests"].items()}
        metadata = {name: value for name, value in info.attributes.metadata.items() if name not in _TAKEN}
        attributes = replace(info.attributes, metadata=metadata | dict(told.get("metadata", {})))
        if told.get("untyped") and info.attributes.content_type == DEFAULT_CONTENT_TYPE:
            attributes = replace(attributes, content_type=None)
        for name, value in told.get("fields", {}).items():
            attributes = replace(attributes, **{name.replace("-", "_"): value})
        return replace(
            info,
            etag=recorded.load_etag(told["etag"]),
            created=parse_time(told["created"]),
            modified=parse_time(told["modified"]),
            digests=digests or NO_DIGESTS,
            attributes=attributes,
        )
    except (AttributeError, KeyError, TypeError, ValueError, BadRequest):
        # Another program's entry under our name: the object is then one like any other.
        return info


def _attributes(fields: Mapping[str, str]) -> Attributes:
    standard = {name.replace("-", "_"): fields.get(header) or None for name, header in _STANDARD.items()}
    metadata = {
        name.lower(): _plain(value)
        for name, value in fields.items()
        if name not in _STANDARD.values() and name not in {ENTRY, "Storage-Class"}
    }
    return Attributes(**standard, metadata=metadata)


def _header(value: str) -> str:
    """A value as S3 itself writes one that is not ASCII: an encoded word (RFC 2047)."""
    if _PRINTABLE.fullmatch(value) and "=?" not in value:
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


def _plain(value: str) -> str:
    return _ENCODED_WORD.sub(_decoded_word, value)


def _decoded_word(found: re.Match[str]) -> str:
    text = found[2].encode()
    try:
        raw = base64.b64decode(text, validate=True) if found[1] in "bB" else binascii.a2b_qp(text, header=True)
        return raw.decode()
    except ValueError:
        return found[0]
