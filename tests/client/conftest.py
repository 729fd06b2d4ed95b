from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, cast

import pytest

from client.both import TOKEN, Both, Kind
from client.scripted import Scripted, scripted
from objectstore.testing import serve


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server that does what the test tells it to."""
    with scripted() as running:
        yield running
        assert not running.acts, "the script was not played to its end"


@pytest.fixture(scope="session")
def live() -> Iterator[str]:
    """The URL of a real server; tests keep apart by their keys."""
    with serve(token=TOKEN) as server:
        yield server.url


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    return cast("Kind", request.param)


@pytest.fixture
def client_of(kind: Kind) -> Iterator[Callable[..., Both]]:
    """Makes clients of either kind, and closes them."""
    with ExitStack() as held:

        def make(url: str, **options: Any) -> Both:
            return held.enter_context(closing(Both(kind, url, **options)))

        yield make


@pytest.fixture
def client(client_of: Callable[..., Both], server: Scripted) -> Both:
    """A client of the scripted server."""
    return client_of(server.url)


@pytest.fixture
def store(client_of: Callable[..., Both], live: str) -> Both:
    """A client of the real server."""
    return client_of(live, token=TOKEN)


@pytest.fixture
def base(request: pytest.FixtureRequest) -> str:
    """A prefix of keys that no other test uses."""
    return f"{request.node.name}/"
