from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from peer import Server, running


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Each kind of server is started once: whoever runs the tests by modules changes between them in each module."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(running(tmp_path_factory.mktemp(kind), kind)))


@pytest.fixture(scope="session", params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Server:
    """A real server on the engine; tests keep apart by their keys."""
    return servers(request.param)


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    """A prefix of keys that no other test uses."""
    return f"{request.node.originalname}/"
