"""When a file was changed, kept with the object that it became: in its metadata, as other tools do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from objectstore.client.syncing.plan import Entry
from objectstore.values import ObjectInfo

NAME: Final = "mtime"
_SECONDS: Final = re.compile(r"(-?)(\d{1,11})(?:\.(\d{1,9})\d*)?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def told(changed: int) -> str:
    """Nanoseconds since 1970 as the metadata have it: seconds, as in `1767225600.25`."""
    seconds, rest = divmod(abs(changed), 10**9)
    return f"{'-' if changed < 0 else ''}{seconds}.{rest:09}".rstrip("0").rstrip(".")


def kept(info: ObjectInfo) -> int | None:
    """Nanoseconds since 1970, of the file that the object was; None when it does not tell."""
    found = _SECONDS.fullmatch(info.attributes.metadata.get(NAME, ""))
    if found is None:
        return None
    sign, seconds, rest = found.groups()
    since = int(seconds) * 10**9 + int((rest or "").ljust(9, "0"))
    return -since if sign else since


def written(info: ObjectInfo) -> int:
    """Nanoseconds since 1970."""
    since = info.modified - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds) * 1000


def entry_of(info: ObjectInfo) -> Entry:
    """What a comparison has to know of the object."""
    changed, digest = kept(info), info.digests.get("sha-256")
    if changed is None:
        return Entry(size=info.size, changed=written(info), written=written(info), digest=digest)
    return Entry(size=info.size, changed=changed, digest=digest)


def time_for_file(info: ObjectInfo) -> int:
    """Nanoseconds since 1970: when the file that the object becomes was changed."""
    changed = kept(info)
    return written(info) if changed is None else changed
