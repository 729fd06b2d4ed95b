"""The arithmetic of the sliding windows that the `limits` library keeps in Redis.

Two counts stand for a window that slides: the requests of the period under way, and those of the one before, taken
to have come evenly. With a quota q in a period p, any stretch of time t sees at most q · (t/p + 1) requests pass,
whatever the senders do: one quota more than the rate, and never twice the rate for long, which fixed windows would
allow at each of their borders.
"""

from __future__ import annotations


def used(previous: float, current: float, left: float, period: float) -> float:
    """How much of the quota is taken, `left` seconds before the period under way ends."""
    return previous * left / period + current


def wait(quota: int, previous: float, current: float, left: float, period: float) -> float:
    """Seconds until one more request fits, if none comes meanwhile; 0 when it does now. The quota is at least 1."""
    room = quota - 1.0 - current
    if room >= 0:
        if previous * left <= room * period:
            return 0.0
        # What the period before still counts has to shrink to the room that there is.
        return left - room * period / previous
    # The period under way becomes the one before; it counts less and less.
    return left + period * (1.0 - (quota - 1.0) / current)
