"""What a quota allows, at its edges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from objectstore.core.quotas import bounded, check_quota
from objectstore.errors import QuotaExceeded
from objectstore.values import Quota, Usage

USAGE = Usage(prefix="a/", objects=3, size=60, parts_size=10)
QUOTA = Quota(prefix="a/", size=100, objects=5)
UNBOUNDED = Quota(prefix="a/")


@pytest.mark.parametrize(("size", "objects"), [(30, 2), (0, 0), (30, 0), (0, 2), (-1, -1), (1, 1)])
def test_a_quota_may_be_filled(size: int, objects: int) -> None:
    check_quota(QUOTA, USAGE, size=size, objects=objects)


@pytest.mark.parametrize(
    ("size", "objects", "resource", "limit", "used"),
    [(31, 0, "bytes", 100, 70), (0, 3, "objects", 5, 3), (31, 3, "objects", 5, 3)],
)
def test_what_is_too_much_is_told_with_its_figures(
    size: int, objects: int, resource: str, limit: int, used: int
) -> None:
    with pytest.raises(QuotaExceeded) as told:
        check_quota(QUOTA, USAGE, size=size, objects=objects)
    error = told.value
    assert (error.prefix, error.resource, error.limit, error.used) == ("a/", resource, limit, used)


def test_a_full_quota_takes_what_adds_nothing_and_no_more() -> None:
    full = Usage(prefix="a/", objects=9, size=900, parts_size=0)
    for size, objects in ((0, 0), (-5, 0), (0, -1)):
        check_quota(QUOTA, full, size=size, objects=objects)
    check_quota(QUOTA, full, size=-5)
    with pytest.raises(QuotaExceeded, match="100 bytes"):
        check_quota(QUOTA, full, size=1)
    with pytest.raises(QuotaExceeded, match="5 objects"):
        check_quota(QUOTA, full, size=0, objects=1)


def test_what_is_not_limited_has_no_limit() -> None:
    check_quota(UNBOUNDED, USAGE, size=10**15, objects=10**9)
    check_quota(Quota(prefix="a/", size=100), USAGE, size=0, objects=10**9)
    check_quota(Quota(prefix="a/", objects=5), USAGE, size=10**15, objects=2)


async def _body(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def _taken(size: int | None, replaced: int, *parts: bytes) -> list[bytes]:
    """The chunks that are let through, and b"refused" where the quota ends them."""

    async def take() -> list[bytes]:
        taken: list[bytes] = []
        try:
            admitted = bounded(_body(*parts), size, QUOTA, USAGE, replaced)
            assert not isinstance(admitted, bytes)
            async for chunk in admitted:
                taken.append(chunk)  # noqa: PERF401  they count when an error ends them, too
        except QuotaExceeded:
            taken.append(b"refused")
        return taken

    return asyncio.run(take())


@pytest.mark.parametrize("replaced", [0, 5])
def test_a_body_is_let_through_as_long_as_the_quota_allows(replaced: int) -> None:
    first, second = bytes(20), bytes(10 + replaced)
    assert _taken(None, replaced, first, second) == [first, second]
    assert _taken(None, replaced, first, second, b"x") == [first, second, b"refused"]
    assert _taken(30 + replaced, replaced, first, second) == [first, second]
    assert _taken(31 + replaced, replaced, first) == [b"refused"], "before it is read"


def test_a_body_in_hand_is_checked_as_it_is() -> None:
    body = bytes(30)
    assert bounded(body, None, QUOTA, USAGE, 0) is body
    assert bounded(body, 10**9, QUOTA, USAGE, 0) is body, "what it has counts, not what was announced"
    with pytest.raises(QuotaExceeded):
        bounded(body + b"x", None, QUOTA, USAGE, 0)
    assert bounded(body + b"x", None, QUOTA, USAGE, 1) == body + b"x"
