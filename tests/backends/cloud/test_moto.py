"""moto's S3 server: all of the contract, conditions included."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, moto
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.stores import bucket_store
from objectstore.testing.conformance import BackendConformance


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with moto() as running:
        yield running


class TestMoto(BackendConformance):
    @pytest.fixture(autouse=True)
    def served(self, server: S3Server) -> None:
        self.server = server

    def backend(self, folder: Path) -> CloudBackend:
        bucket = folder.name[:60].strip("_").replace("_", "-").lower()
        self.server.make_bucket(bucket)
        return bucket_store(bucket, endpoint_url=self.server.url, s3_access_key=ACCESS_KEY, s3_secret_key=SECRET_KEY)
