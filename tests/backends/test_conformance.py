"""Every backend keeps the contract."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from backend_table import BACKENDS
from objectstore.backends.contract import Backend
from objectstore.testing.conformance import BackendConformance
from objectstore.testing.suite.harness import held
from objectstore.testing.suite.keys import ODD_KEYS


class TestConformance(BackendConformance):
    @pytest.fixture(autouse=True, params=BACKENDS)
    def chosen(self, request: pytest.FixtureRequest) -> None:
        self.factory = BACKENDS[request.param]

    def backend(self, folder: Path) -> AbstractAsyncContextManager[Backend]:
        return self.factory(folder)


@pytest.mark.parametrize("name", ["memory", "engine"])
def test_memory_and_engine_refuse_no_key(name: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with BACKENDS[name](tmp_path) as backend:
            for key in ODD_KEYS:
                await backend.put(key, b"")
            assert tuple(await held(backend, ODD_KEYS)) == ODD_KEYS

    asyncio.run(scenario())
