"""The contract of `backends.contract` and the storage side of the HTTP contract, as tests for any backend.

    class TestMine(BackendConformance):
        def backend(self, folder: Path) -> MyBackend:
            return MyBackend(folder / "data")

Plain pytest runs them: no plugin, no fixture. Every test opens a backend on a folder of its own. What a backend's
`capabilities` declare is tested in full; what they do not declare must be refused with `Unsupported` or
`MethodNotAllowed`. A backend that cannot be written overrides `stocked` too, which is how reading is tested.
"""

from __future__ import annotations

from objectstore.testing.suite.concurrency import ConcurrencyTests
from objectstore.testing.suite.conditions import ConditionTests
from objectstore.testing.suite.failures import FailureTests
from objectstore.testing.suite.keys import KeyTests
from objectstore.testing.suite.listings import ListingTests
from objectstore.testing.suite.objects import AttributeTests, CopyTests, DigestTests, ObjectTests, RefusalTests
from objectstore.testing.suite.ranges import RangeTests
from objectstore.testing.suite.reopening import ReopeningTests
from objectstore.testing.suite.uploads import UploadTests


class BackendConformance(
    ObjectTests,
    AttributeTests,
    DigestTests,
    CopyTests,
    RefusalTests,
    KeyTests,
    RangeTests,
    ConditionTests,
    ListingTests,
    UploadTests,
    FailureTests,
    ConcurrencyTests,
    ReopeningTests,
):
    """All tests; see `harness.Suite` for the two methods to override."""
