"""The whole of fsspec's own tests for file systems, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from fsspec.tests import abstract

from objectstore.fsspec import ObjectStoreFileSystem
from objectstore.testing import serve


@pytest.fixture(scope="module")
def files() -> Iterator[ObjectStoreFileSystem]:
    with serve() as server, closing(ObjectStoreFileSystem(url=server.url, token=server.token)) as files:
        yield files


class Fixtures(abstract.AbstractFixtures):  # type: ignore[misc]  # fsspec has no types
    @pytest.fixture
    def fs(self, files: ObjectStoreFileSystem) -> ObjectStoreFileSystem:
        return files

    @pytest.fixture
    def fs_path(self) -> str:
        return "tests"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False


class TestCopy(abstract.AbstractCopyTests, Fixtures):  # type: ignore[misc]
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):  # type: ignore[misc]
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):  # type: ignore[misc]
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):  # type: ignore[misc]
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):  # type: ignore[misc]
    pass
