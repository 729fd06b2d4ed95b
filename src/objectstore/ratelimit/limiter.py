"""What every limiter gives: an answer for one more request under a key."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from objectstore.core.rates import Rate


class Verdict(NamedTuple):
    """Whether a request is within its rate."""

    wait: float  # seconds until it would be; 0: it is, and was counted
    states: tuple[tuple[int, float], ...]  # for each window: requests left, seconds until there are more


class Limiter(Protocol):
    """Counts requests under keys."""

    @property
    def away(self) -> bool:
        """Whether the counts were out of reach when they were last asked for."""
        ...

    async def take(self, key: str, rate: Rate) -> Verdict | None:
        """Count one request, if all windows of `rate` have room for it.

        None: the counts are out of reach, and the limiter is one that lets pass then.

        Raises:
            Unavailable: they are out of reach, and it is one that does not.
        """
        ...

    async def close(self) -> None: ...
