"""The backends that the conformance suite and the model run against: a line joins one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.testing.faults import Faulty

BACKENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Backend]]] = {
    "memory": lambda _: MemoryBackend(),
    "engine": lambda folder: EngineBackend(folder / "data"),
    "filesystem": lambda folder: FilesystemBackend(folder / "data"),
    "faulty, without faults": lambda _: Faulty(MemoryBackend()),
}
