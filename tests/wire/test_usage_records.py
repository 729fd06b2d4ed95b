"""What is kept under the prefixes of a token, out and back."""

from __future__ import annotations

import json

import pytest

from objectstore.values import Quota, Usage
from objectstore.wire.usage import QuotaUsage, get_usage, parse_usage, record, with_limits

KEPT = QuotaUsage(prefix="a/", size=1, parts_size=2, objects=3, max_size=4, max_objects=5)
TOLD = {"prefix": "a/", "bytes": 1, "parts_bytes": 2, "objects": 3, "limits": {"bytes": 4, "objects": 5}}


def test_it_is_asked_for_without_a_key() -> None:
    request = get_usage()
    assert (request.method, request.target, request.fields, request.body, request.key) == ("GET", "/usage", [], b"", "")


def test_a_record_has_the_members_of_the_contract() -> None:
    usage = Usage(prefix="a/", objects=3, size=1, parts_size=2)
    assert with_limits(usage, Quota(prefix="a/", size=4, objects=5)) == KEPT
    assert record(KEPT) == TOLD


@pytest.mark.parametrize("kept", [KEPT, QuotaUsage(prefix="", size=0, parts_size=0, objects=0)])
def test_a_record_brings_the_usage_back(kept: QuotaUsage) -> None:
    assert parse_usage(json.dumps({"usage": [record(kept), record(KEPT)]}).encode()) == (kept, KEPT)


def test_what_is_no_usage_is_refused() -> None:
    for body in (b"[]", b"{}", b'{"usage": [{}]}', b'{"usage": [1]}', b"-"):
        with pytest.raises((KeyError, TypeError, ValueError)):
            parse_usage(body)
