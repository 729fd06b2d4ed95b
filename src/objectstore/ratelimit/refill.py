"""The arithmetic of a capacity that is refilled evenly, without clock and without store.

A quota q in a period p is a capacity of q requests, of which one comes back every p/q seconds. All that has to be known
is when it will be full again. In any stretch of time t at most q + q · t/p requests pass, whatever the senders do: one
quota more than the rate; and who has used it up goes on at the rate, rather than standing still until a period ends.

Of the workers of a server each has a share of the capacity, and of the refill. A share below one request is one
request all the same, or none would ever pass; the refill keeps to the rate then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_ROUNDING: Final = 0.01  # of a request: more than floating point loses, less than anybody misses


@dataclass(frozen=True, slots=True)
class Refill:
    """How a capacity comes back."""

    interval: float  # seconds for one request
    span: float  # seconds for all of them


def share(quota: int, period: int, workers: int) -> Refill:
    """What one of `workers` has of a quota in a period."""
    interval = period * workers / quota
    return Refill(interval, max(interval, float(period)))


def wait(refill: Refill, full_at: float, now: float) -> float:
    """Seconds until there is room for one more request; 0 when there is now."""
    seconds = max(full_at - now, 0.0) + refill.interval - refill.span
    return seconds if seconds > refill.interval * _ROUNDING else 0.0


def taken(refill: Refill, full_at: float, now: float) -> float:
    """When it is full again after one more request has passed."""
    return max(full_at, now) + refill.interval


def left(refill: Refill, full_at: float, now: float) -> int:
    """Requests that there is room for."""
    return max(0, int((refill.span - max(full_at - now, 0.0)) / refill.interval + _ROUNDING))
