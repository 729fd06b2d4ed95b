"""Where the objects of a store lie in the end, so that a store is not copied into itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from objectstore.config.schema import StoreConfig

# Wrappers that leave keys as they are. Of any other, all of what is inside counts.
_KEEPS_KEYS: Final = frozenset(
    {
        "IdentityStore", "BufferStore", "TransformingStore", "ReadonlyStore", "WriteonlyStore", "LoggingStore",
        "ExceptionLoggingStore", "NotifyingStore", "UrlValidatingStore", "RegexValidatingStore", "MirroringStore",
        "CachingStore", "GzipStore", "ZstdStore", "Base64Store", "TextEncodingStore", "JsonStore",
    }
)  # fmt: skip
# Parameters of backends that say which data it is, and not how it is spoken to.
_LOCATES: Final = (
    "bucket_name", "bucket", "container_name", "account_name", "endpoint_url", "endpoint", "base_url", "url",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Some data: all of it whose keys start with `prefix`."""

    type_name: str
    identity: tuple[str, ...]
    folder: str  # "" unless it is on the disk of this machine; else its real path, with a slash at the end
    prefix: str

    def overlaps(self, other: Place) -> bool:
        """Whether an object may be in both."""
        if self.folder and other.folder:
            if self.type_name != other.type_name:
                return _nested(self.folder, other.folder)
            return _nested(self.folder + self.prefix, other.folder + other.prefix)
        alike = (self.type_name, self.identity) == (other.type_name, other.identity)
        return alike and _nested(self.prefix, other.prefix)


def overlap(one: StoreConfig, other: StoreConfig, prefix: str = "") -> bool:
    """Whether objects of both stores whose keys start with `prefix` may be the same, or files in the same folder."""
    return any(here.overlaps(there) for here in places(one, prefix) for there in places(other, prefix))


def places(config: StoreConfig, prefix: str = "") -> Iterator[Place]:
    """Where what has keys with this prefix lies: in one place, or in several for a store that has several bases."""
    kind = config.type.names[0]
    if not config.bases:
        yield _place(config, kind, prefix)
        return
    inside = prefix if kind in _KEEPS_KEYS else ""
    if kind == "PrefixStore":
        inside = config.values["prefix"] + prefix
    for base in config.bases:
        yield from places(base, inside)


def folders(config: StoreConfig) -> Iterator[Path]:
    """The files and folders that the store and its bases are told to be in."""
    yield from (value for value in config.values.values() if isinstance(value, Path))
    for base in config.bases:
        yield from folders(base)


def _place(config: StoreConfig, kind: str, prefix: str) -> Place:
    for folder in folders(config):
        # Names of files are keys in one layout only.
        below = prefix if kind in {"FilesystemStore", "EngineStore", "SqliteStore"} else ""
        return Place(kind, (), os.path.join(os.path.realpath(folder), ""), below)  # noqa: PTH118  pathlib drops the slash
    found = tuple(_plain(str(config.values[name])) for name in _LOCATES if name in config.values)
    # What says nothing of where it is, such as memory, is this one store.
    return Place(kind, found or (config.place, config.name), "", prefix)


def _plain(location: str) -> str:
    """Without what may be spelled in two ways: user, password, and a slash at the end."""
    parts = urlsplit(location)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}" if parts.scheme else location


def _nested(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
