"""The pytest plugin. Every run of pytest imports it, so the server is imported where a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from objectstore.testing.proxy import Proxy
    from objectstore.testing.serving import ObjectStoreServer


@pytest.fixture
def objectstore_server() -> Iterator[ObjectStoreServer]:
    """A running object store of this test's own, in memory: `url`, `token`, `store`, and `disturb` for troubles."""
    from objectstore.testing import serve

    with serve() as server:
        yield server


@pytest.fixture
def objectstore_proxy(objectstore_server: ObjectStoreServer) -> Iterator[Proxy]:
    """A proxy before this test's `objectstore_server`: `url`, and `disturb` for troubles of the connections."""
    from objectstore.testing import proxied

    with proxied(objectstore_server.url) as proxy:
        yield proxy
