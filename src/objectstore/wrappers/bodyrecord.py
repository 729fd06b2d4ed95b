"""What a wrapper that stores bodies in another form notes beside them, in the metadata of the inner object.

The note is the metadata entry `objectstore-body`, as in `gzip;stored=23;size=11;sha-256=…`. A writer's entry of that
name, or of one that it begins, gets a dash more while it is inside, so nothing is refused and such wrappers may
stand on each other.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from objectstore.values import Attributes

ENTRY: Final = "objectstore-body"
_TAKEN: Final = re.compile(f"{ENTRY}(-.*)?", re.DOTALL)
_NOTE: Final = re.compile(r"([^;]+);stored=([0-9]{1,20});size=([0-9]{1,20})((?:;[^;=]+=[^;]+)*)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRecord:
    """An object as its readers see it."""

    size: int  # bytes
    digests: Mapping[str, bytes]


def note(record: BodyRecord, form: str, stored: int) -> str:
    """The text of the entry for a body that takes `stored` bytes in the form that is called so."""
    digests = [f";{name}={base64.b64encode(digest).decode()}" for name, digest in record.digests.items()]
    return f"{form};stored={stored};size={record.size}{''.join(digests)}"


def read_note(text: str, form: str, stored: int) -> BodyRecord | None:
    """What `note` was given; None when the note is of another form or size: the object is not the one noted."""
    found = _NOTE.fullmatch(text)
    if found is None or found[1] != form or int(found[2]) != stored:
        return None
    try:
        pairs = (pair.split("=", 1) for pair in found[4].split(";")[1:])
        digests = {name: base64.b64decode(digest, validate=True) for name, digest in pairs}
    except binascii.Error:
        return None
    return BodyRecord(size=int(found[3]), digests=digests)


def attach(attributes: Attributes, text: str | None) -> Attributes:
    """The attributes to keep inside, with the note if there is one."""
    metadata = {
        f"{ENTRY}-{_rest(name)}" if _TAKEN.fullmatch(name) else name: v for name, v in attributes.metadata.items()
    }
    return replace(attributes, metadata=metadata if text is None else metadata | {ENTRY: text})


def detach(attributes: Attributes) -> tuple[Attributes, str | None]:
    """What `attach` was given."""
    if not any(name.startswith(ENTRY) for name in attributes.metadata):
        return attributes, None
    metadata = dict(attributes.metadata)
    text = metadata.pop(ENTRY, None)
    outer = {ENTRY + _rest(name)[1:] if _TAKEN.fullmatch(name) else name: v for name, v in metadata.items()}
    return replace(attributes, metadata=outer), text


def _rest(name: str) -> str:
    return name.removeprefix(ENTRY)
