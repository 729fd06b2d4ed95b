from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from peer import Server, running


@pytest.fixture(scope="session", params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server on the engine; tests keep apart by their keys."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    with running(folder, request.param) as running_server:
        yield running_server


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    """A prefix of keys that no other test uses."""
    return f"{request.node.originalname}/"
