"""rclone's S3 server: the contract as far as a folder behind S3 goes.

Where rclone differs from S3, and what is left out here because of it:
- it writes whatever the condition, so that `conditions` is false;
- it keeps objects as files: of `a` and `a/b` only one can be, and a folder is found as if it were an object;
- it gives ranges with the status 200, which the library refuses and the store then asks for itself;
- it cannot make an object of others in parts, so that parts pass through at completion;
- with folders two deep (`a/b/c`) it stops answering once objects in them are replaced or deleted (1.75.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.cloud.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, rclone
from objectstore.backends.cloud.backend import CloudBackend
from objectstore.backends.cloud.stores import bucket_store
from objectstore.testing.suite.failures import FailureTests
from objectstore.testing.suite.objects import AttributeTests, CopyTests, DigestTests, ObjectTests
from objectstore.testing.suite.ranges import RangeTests
from objectstore.testing.suite.uploads import UploadTests


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    with rclone() as running:
        yield running


class TestRclone(ObjectTests, AttributeTests, DigestTests, CopyTests, RangeTests, FailureTests, UploadTests):
    one_in = 8

    @pytest.fixture(autouse=True)
    def served(self, server: S3Server) -> None:
        self.server = server

    def backend(self, folder: Path) -> CloudBackend:
        bucket = folder.name[:60].strip("_").replace("_", "-").lower()
        self.server.make_bucket(bucket)
        return bucket_store(
            bucket,
            endpoint_url=self.server.url,
            s3_access_key=ACCESS_KEY,
            s3_secret_key=SECRET_KEY,
            conditions=False,
        )
