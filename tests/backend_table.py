"""The backends that the conformance suite and the model run against: a line joins one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.hashdir import HashdirBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.safefilesystem import SafeFilesystemBackend
from objectstore.testing.faults import Faulty
from objectstore.wrappers.base64ed import Base64ed
from objectstore.wrappers.forwarding import Forwarding
from objectstore.wrappers.gzipped import Gzipped
from objectstore.wrappers.jsonbody import JsonOnly
from objectstore.wrappers.prefix import Prefixed
from objectstore.wrappers.reserving import Reserving
from objectstore.wrappers.textencoding import Reencoded
from objectstore.wrappers.zstd import Zstd
from wrappers.quoted import Quoted

BACKENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Backend]]] = {
    "memory": lambda _: MemoryBackend(),
    "engine": lambda folder: EngineBackend(folder / "data"),
    "filesystem": lambda folder: FilesystemBackend(folder / "data"),
    "safefilesystem": lambda folder: SafeFilesystemBackend(folder / "data"),
    "hashdir": lambda folder: HashdirBackend(folder / "data"),
    "forwarding": lambda _: Forwarding(MemoryBackend()),
    "prefix": lambda _: Prefixed(MemoryBackend({"pre": b"", "pre/": b"", "preface": b"", "prf": b""}), "pre/"),
    "reserving": lambda _: Reserving(MemoryBackend(), name="Reserving"),
    "base64 over gzip": lambda _: Base64ed(Gzipped(MemoryBackend(), level=1)),
    "zstd over the engine": lambda folder: Zstd(EngineBackend(folder / "data")),
    "json in utf-16": lambda _: Quoted(JsonOnly(Reencoded(MemoryBackend(), "utf-16"))),
    "faulty, without faults": lambda _: Faulty(MemoryBackend()),
}
