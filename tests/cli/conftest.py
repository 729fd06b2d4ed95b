from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.served import Served, serving


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of `server`."""
    return tmp_path_factory.mktemp("served") / "data"


@pytest.fixture(scope="session")
def server(data: Path) -> Iterator[Served]:
    """One server for all tests of the commands; each keeps to a prefix of its own."""
    with serving("--data", str(data)) as served:
        yield served
