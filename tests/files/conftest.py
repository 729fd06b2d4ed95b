from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from objectstore.fsspec import ObjectStoreFileSystem
from objectstore.testing import ObjectStoreServer, serve


@pytest.fixture(scope="package")
def running() -> Iterator[ObjectStoreServer]:
    with serve() as server:
        yield server


@pytest.fixture(scope="package")
def shared(running: ObjectStoreServer) -> Iterator[ObjectStoreFileSystem]:
    with closing(ObjectStoreFileSystem(url=running.url, token=running.token, retry_delay=0.01)) as files:
        yield files


@pytest.fixture
def server(running: ObjectStoreServer) -> ObjectStoreServer:
    """A real server; tests keep apart by `base`."""
    running.calm()
    return running


@pytest.fixture
def fs(server: ObjectStoreServer, shared: ObjectStoreFileSystem) -> ObjectStoreFileSystem:  # noqa: ARG001  calmed
    return shared


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    """A folder that no other test uses."""
    return str(request.node.name).replace("[", "-").replace("]", "-").replace("*", "-").replace("?", "-")
