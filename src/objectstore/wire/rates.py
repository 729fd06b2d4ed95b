"""The header fields of rate limits (draft-ietf-httpapi-ratelimit-headers-10): structured fields, a member a window."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from objectstore.core.rates import Rate


@lru_cache(maxsize=1024)
def format_policy(rate: Rate) -> bytes:
    """`RateLimit-Policy`: what is allowed, such as `"100/second";q=100;w=1`."""
    return ", ".join(f'"{window}";q={window.quota};w={window.period}' for window in rate).encode()


def format_left(rate: Rate, states: Iterable[tuple[int, float]]) -> bytes:
    """`RateLimit`: for each window requests left, and whole seconds until there are more."""
    pairs = zip(_names(rate), states, strict=True)
    return ", ".join([f'"{name}";r={left};t={math.ceil(seconds)}' for name, (left, seconds) in pairs]).encode()


@lru_cache(maxsize=1024)
def _names(rate: Rate) -> tuple[str, ...]:
    return tuple(map(str, rate))
