"""What makes two records the same object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from objectstore.transfer.comparison import Likeness, agree, compare
from objectstore.values import ObjectInfo

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(microseconds=1)


def info(size: int = 3, modified: datetime = NOON, **digests: bytes) -> ObjectInfo:
    named = {name.replace("_", "-"): digest for name, digest in digests.items()}
    return ObjectInfo(key="k", size=size, etag="e", created=NOON, modified=modified, digests=named)


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize(
    ("source", "target", "likeness"),
    [
        (info(3), info(4, LATER), Likeness.DIFFERENT),
        (info(3, sha_256=b"a"), info(4, sha_256=b"a"), Likeness.DIFFERENT),
        (info(modified=LATER, sha_256=b"a"), info(modified=NOON, sha_256=b"a"), Likeness.SAME),
        (info(modified=NOON, sha_256=b"a"), info(modified=LATER, sha_256=b"b"), Likeness.DIFFERENT),
        (info(sha_256=b"a", md5=b"m"), info(sha_256=b"a", md5=b"n"), Likeness.DIFFERENT),
        (info(sha_256=b"a", md5=b"m"), info(sha_256=b"a"), Likeness.SAME),
    ],
)
def test_size_and_common_digests_decide(
    source: ObjectInfo, target: ObjectInfo, likeness: Likeness, checksum: bool
) -> None:
    assert compare(source, target, checksum=checksum) is likeness


@pytest.mark.parametrize(
    ("source", "target", "likeness"),
    [
        (info(modified=NOON), info(modified=LATER), Likeness.SAME),
        (info(modified=NOON, sha_256=b"a"), info(modified=NOON, md5=b"m"), Likeness.SAME),
        (info(modified=LATER), info(modified=NOON), Likeness.DIFFERENT),
    ],
)
def test_without_a_common_digest_times_decide_or_the_bytes(
    source: ObjectInfo, target: ObjectInfo, likeness: Likeness
) -> None:
    assert compare(source, target, checksum=False) is likeness
    assert compare(source, target, checksum=True) is Likeness.UNKNOWN


def test_digests_agree_where_they_have_a_common_algorithm() -> None:
    assert agree({"md5": b"m", "sha-256": b"a"}, {"sha-256": b"a"}) is True
    assert agree({"sha-256": b"a"}, {"sha-256": b"b"}) is False
    assert agree({"md5": b"m"}, {"sha-256": b"a"}) is None
