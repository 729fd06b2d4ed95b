"""The backends that the conformance suite and the model run against: a line joins one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.hashdir import HashdirBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.safefilesystem import SafeFilesystemBackend
from objectstore.backends.sqlite import SqliteBackend
from objectstore.testing.faults import Faulty
from objectstore.wrappers.base64ed import Base64ed
from objectstore.wrappers.caching import Caching
from objectstore.wrappers.forwarding import Forwarding
from objectstore.wrappers.gzipped import Gzipped
from objectstore.wrappers.jsonbody import JsonOnly
from objectstore.wrappers.mirroring import Mirroring
from objectstore.wrappers.prefix import Prefixed
from objectstore.wrappers.reserving import Reserving
from objectstore.wrappers.textencoding import Reencoded
from objectstore.wrappers.zstd import Zstd
from wrappers.keyed import hash_prefixed, key_matched, routed
from wrappers.quoted import Quoted


def without_log(path: Path) -> Path:
    """A database as other programs make it by default."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY, data BLOB)")
    return path


BACKENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Backend]]] = {
    "memory": lambda _: MemoryBackend(),
    "engine": lambda folder: EngineBackend(folder / "data"),
    "filesystem": lambda folder: FilesystemBackend(folder / "data"),
    "safefilesystem": lambda folder: SafeFilesystemBackend(folder / "data"),
    "hashdir": lambda folder: HashdirBackend(folder / "data"),
    "sqlite": lambda folder: SqliteBackend(folder / "data.db"),
    "sqlite, without a log": lambda folder: SqliteBackend(without_log(folder / "data.db")),
    "forwarding": lambda _: Forwarding(MemoryBackend()),
    "prefix": lambda _: Prefixed(MemoryBackend({"pre": b"", "pre/": b"", "preface": b"", "prf": b""}), "pre/"),
    "hash prefix": lambda _: hash_prefixed(),
    "key matching": lambda _: key_matched(),
    "routing": lambda _: routed(),
    "reserving": lambda _: Reserving(MemoryBackend(), name="Reserving"),
    "base64 over gzip": lambda _: Base64ed(Gzipped(MemoryBackend(), level=1)),
    "zstd over the engine": lambda folder: Zstd(EngineBackend(folder / "data")),
    "json in utf-16": lambda _: Quoted(JsonOnly(Reencoded(MemoryBackend(), "utf-16"))),
    "mirroring": lambda folder: Mirroring([MemoryBackend(), EngineBackend(folder / "data", durability="relaxed")]),
    "caching": lambda folder: Caching(EngineBackend(folder / "data", durability="relaxed"), MemoryBackend()),
    "faulty, without faults": lambda _: Faulty(MemoryBackend()),
}
