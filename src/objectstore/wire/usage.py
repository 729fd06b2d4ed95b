"""What is kept under the prefixes of a token, and how much may be: asking for it, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from objectstore.values import Quota, Usage
from objectstore.wire.requests import Request

USAGE: Final = "/usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUsage:
    """What is kept under a prefix, whoever wrote it, and what a token may bring it to."""

    prefix: str  # "" is the whole store
    size: int  # bytes of the objects
    parts_size: int  # bytes of parts that wait for their upload to be completed; they count as well
    objects: int
    max_size: int | None = None  # bytes
    max_objects: int | None = None


def get_usage() -> Request:
    """Ask for what the token may keep, and keeps."""
    return Request("GET", USAGE, [], b"")


def with_limits(usage: Usage, quota: Quota) -> QuotaUsage:
    return QuotaUsage(
        prefix=usage.prefix,
        size=usage.size,
        parts_size=usage.parts_size,
        objects=usage.objects,
        max_size=quota.size,
        max_objects=quota.objects,
    )


def record(usage: QuotaUsage) -> dict[str, object]:
    """The members of the JSON that tells of it."""
    return {
        "prefix": usage.prefix,
        "bytes": usage.size,
        "parts_bytes": usage.parts_size,
        "objects": usage.objects,
        "limits": {"bytes": usage.max_size, "objects": usage.max_objects},
    }


def parse_usage(body: bytes) -> Sequence[QuotaUsage]:
    """What a server has answered. Raises KeyError, TypeError or ValueError when it is no such answer."""
    return tuple(map(_parse, json.loads(body)["usage"]))


def _parse(told: Mapping[str, Any]) -> QuotaUsage:
    limits: Mapping[str, Any] = told["limits"]
    return QuotaUsage(
        prefix=str(told["prefix"]),
        size=int(told["bytes"]),
        parts_size=int(told["parts_bytes"]),
        objects=int(told["objects"]),
        max_size=_limit(limits["bytes"]),
        max_objects=_limit(limits["objects"]),
    )


def _limit(value: Any) -> int | None:
    return None if value is None else int(value)
