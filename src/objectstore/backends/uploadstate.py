"""What is remembered of an upload in parts between its beginning and its end, as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from objectstore.errors import Corrupted
from objectstore.values import (
    Attributes,
    Conditions,
    Etags,
    ObjectInfo,
    Part,
    PutOptions,
    Upload,
)

_VERSION: Final = 1
_PLAIN: Final = tuple(field.name for field in fields(Attributes) if field.name != "metadata")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadState:
    """An upload without its parts: where it goes, how it is to be written, and what became of it."""

    upload_id: str
    key: str
    begun: datetime
    options: PutOptions
    completed: ObjectInfo | None = None

    def upload(self, parts: tuple[Part, ...] = ()) -> Upload:
        return Upload(
            upload_id=self.upload_id,
            key=self.key,
            begun=self.begun,
            attributes=self.options.attributes,
            conditions=self.options.conditions,
            parts=parts,
            completed=self.completed,
        )


def dump(state: UploadState) -> bytes:
    told = {
        "version": _VERSION,
        "upload_id": state.upload_id,
        "key": state.key,
        "begun": state.begun.isoformat(),
        "options": _options(state.options),
        "completed": None if state.completed is None else _info(state.completed),
    }
    return json.dumps(told, ensure_ascii=False).encode()


def load(raw: bytes) -> UploadState:
    """The state that `dump` was given. Raises Corrupted."""
    try:
        told = json.loads(raw)
        if told["version"] != _VERSION:
            raise Corrupted(f"an upload was begun by another version of this program (state {told['version']!r})")
        return UploadState(
            upload_id=told["upload_id"],
            key=told["key"],
            begun=datetime.fromisoformat(told["begun"]),
            options=_parse_options(told["options"]),
            completed=None if told["completed"] is None else _parse_info(told["completed"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Corrupted(f"the state of an upload cannot be read: {error!r}") from error


def _options(options: PutOptions) -> dict[str, Any]:
    return {
        "attributes": _attributes(options.attributes),
        "conditions": asdict(options.conditions) | _times(options.conditions),
        "size": options.size,
        "expected": _digests(options.expected),
        "digests": sorted(options.digests),
        "etag": options.etag,
    }


def _parse_options(told: Mapping[str, Any]) -> PutOptions:
    conditions = told["conditions"]
    return PutOptions(
        attributes=Attributes(**told["attributes"]),
        conditions=Conditions(
            if_match=_parse_etags(conditions["if_match"]),
            if_none_match=_parse_etags(conditions["if_none_match"]),
            if_modified_since=_parse_time(conditions["if_modified_since"]),
            if_unmodified_since=_parse_time(conditions["if_unmodified_since"]),
        ),
        size=told["size"],
        expected=_parse_digests(told["expected"]),
        digests=frozenset(told["digests"]),
        etag=told["etag"],
    )


def _info(info: ObjectInfo) -> dict[str, Any]:
    return {
        "key": info.key,
        "size": info.size,
        "etag": info.etag,
        "created": info.created.isoformat(),
        "modified": info.modified.isoformat(),
        "digests": _digests(info.digests),
        "attributes": _attributes(info.attributes),
    }


def _parse_info(told: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        key=told["key"],
        size=told["size"],
        etag=told["etag"],
        created=datetime.fromisoformat(told["created"]),
        modified=datetime.fromisoformat(told["modified"]),
        digests=_parse_digests(told["digests"]),
        attributes=Attributes(**told["attributes"]),
    )


def _attributes(attributes: Attributes) -> dict[str, Any]:
    return {name: getattr(attributes, name) for name in _PLAIN} | {"metadata": dict(attributes.metadata)}


def _times(conditions: Conditions) -> dict[str, str | None]:
    modified, unmodified = conditions.if_modified_since, conditions.if_unmodified_since
    return {
        "if_modified_since": None if modified is None else modified.isoformat(),
        "if_unmodified_since": None if unmodified is None else unmodified.isoformat(),
    }


def _parse_time(told: str | None) -> datetime | None:
    return None if told is None else datetime.fromisoformat(told)


def _parse_etags(told: str | list[str] | None) -> Etags | None:
    return tuple(told) if isinstance(told, list) else "*" if told == "*" else None


def _digests(digests: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(raw).decode() for name, raw in digests.items()}


def _parse_digests(told: Mapping[str, str]) -> dict[str, bytes]:
    return {name: base64.b64decode(text) for name, text in told.items()}
