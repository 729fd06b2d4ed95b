"""Every backend keeps the contract. To join, a backend adds a line to `BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.faults import Faulty

BACKENDS: dict[str, Callable[[Path], AbstractAsyncContextManager[Backend]]] = {
    "memory": lambda _: MemoryBackend(),
    "engine": lambda folder: EngineBackend(folder / "data"),
    "filesystem": lambda folder: FilesystemBackend(folder / "data"),
    "faulty, without faults": lambda _: Faulty(MemoryBackend()),
}


class TestConformance(BackendConformance):
    @pytest.fixture(autouse=True, params=BACKENDS)
    def chosen(self, request: pytest.FixtureRequest) -> None:
        self.factory = BACKENDS[request.param]

    def backend(self, folder: Path) -> AbstractAsyncContextManager[Backend]:
        return self.factory(folder)
