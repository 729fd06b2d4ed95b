"""Counts in a Redis, for all workers and machines that name the same one: through the `limits` library.

Its sliding windows follow the arithmetic of `sliding.py`. They begin with a first request, not with the clock, and
Redis' own clock ends them, so those of the machines need not agree.

Redis away must not take the server along. Each answer is waited for a second at most; after a failure nobody
asks for a second, then one request tries; until that one has its answer, the others go on without.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from objectstore.core.rates import Rate, Window
from objectstore.errors import ConfigurationError, Unavailable
from objectstore.ratelimit.limiter import Verdict
from objectstore.ratelimit.sliding import used, wait

Failure: TypeAlias = Literal["open", "closed"]
SCHEMES: Final = ("redis", "rediss")

_log: Final = logging.getLogger("objectstore.limits")
_PATIENCE: Final = 1.0  # seconds for an answer
_PAUSE: Final = 1.0  # seconds without a question after a failure
_SOON: Final = 0.05  # seconds: what is refused now may fit when the counts are looked at
_CONNECTIONS: Final = 64
_EFFECTS: Final[dict[Failure, str]] = {
    "open": "requests pass without limit until it is back (RATE_LIMIT_FAILURE=open)",
    "closed": "requests are refused until it is back (RATE_LIMIT_FAILURE=closed)",
}


class RedisLimiter:
    """A limiter whose counts many processes share."""

    def __init__(
        self,
        url: str,
        failure: Failure,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE,  # seconds
    ) -> None:
        """Connects to nothing yet. Raises ConfigurationError: the url is none, or what it needs is not installed."""
        self._place = _place(url)
        self._failure: Failure = failure
        self._clock = clock
        self._patience = patience
        self._away = False
        self._ask_from = 0.0  # on `clock`, while it is away: when to ask again
        try:
            from limits.aio.storage import RedisStorage
            from limits.errors import ConfigurationError as Missing
            from redis.asyncio import BlockingConnectionPool
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        except ImportError:
            raise _not_installed() from None
        try:
            self._pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=patience,
                socket_timeout=patience,
                socket_connect_timeout=patience,
                # A connection that Redis closed while it was idle is no failure; one that cannot be made is.
                retry=Retry(NoBackoff(), 1),
            )
            options: dict[str, Any] = {"connection_pool": self._pool}  # more than the annotations there allow
            self._storage = RedisStorage(url, implementation="redispy", key_prefix="objectstore", **options)
        except Missing:
            raise _not_installed() from None
        except ValueError as error:
            raise ConfigurationError(f"RATE_LIMIT_STORAGE for {self._place} cannot be used: {error}") from None
        self._failures = (RedisError, OSError, TimeoutError)

    @property
    def away(self) -> bool:
        return self._away

    async def take(self, key: str, rate: Rate) -> Verdict | None:
        if self._away and self._clock() < self._ask_from:
            self._check_open()
            return None
        self._ask_from = self._clock() + _PAUSE
        try:
            async with asyncio.timeout(self._patience):
                verdict = await self._ask(key, rate)
        except self._failures as error:
            self._note_failure(error)
            self._check_open()
            return None
        if self._away:
            self._away = False
            _log.warning("the storage of the rate limits at %s answers again", self._place)
        return verdict

    async def close(self) -> None:
        await self._pool.disconnect()

    async def _ask(self, key: str, rate: Rate) -> Verdict:
        names = [f"{key} {window.period}" for window in rate]
        admitted = True
        for name, window in zip(names, rate, strict=True):
            # The shortest first, and no further than the first that is full: what it counts is soon forgotten,
            # while a long window would remember all the requests that were refused.
            if not await self._storage.acquire_sliding_window_entry(name, window.quota, window.period):
                admitted = False
                break
        counts = await asyncio.gather(
            *(self._storage.get_sliding_window(name, window.period) for name, window in zip(names, rate, strict=True))
        )
        pairs = list(zip(rate, counts, strict=True))
        longest = 0.0 if admitted else max(_SOON, *(_wait(window, *found) for window, found in pairs))
        return Verdict(longest, tuple(_state(window, *found) for window, found in pairs))

    def _note_failure(self, error: Exception) -> None:
        self._ask_from = self._clock() + _PAUSE
        if not self._away:
            self._away = True
            reason = str(error) or "it does not answer in time"
            effect = _EFFECTS[self._failure]
            _log.error("the storage of the rate limits at %s is away: %s; %s", self._place, reason, effect)

    def _check_open(self) -> None:
        if self._failure == "closed":
            raise Unavailable("the storage of the rate limits is away", retry_after=_PAUSE)


def _left(window: Window, current_ttl: float) -> float:
    # A count is kept for two periods: the one that it is of, and the one after.
    return min(max(current_ttl - window.period, 0.0), float(window.period)) if current_ttl else float(window.period)


def _wait(window: Window, previous: int, previous_ttl: float, current: int, current_ttl: float) -> float:
    left = _left(window, current_ttl) if current_ttl else previous_ttl
    return max(0.0, wait(window.quota, previous, current, left, window.period))


def _state(window: Window, previous: int, previous_ttl: float, current: int, current_ttl: float) -> tuple[int, float]:
    left = _left(window, current_ttl) if current_ttl else previous_ttl
    free = int(window.quota - used(previous, current, left, window.period))
    if free > 0:
        return free, left or float(window.period)
    return 0, _wait(window, previous, previous_ttl, current, current_ttl)


def _place(url: str) -> str:
    """Where it is, without user and password."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        return "an unknown place"
    return f"{parts.hostname or 'localhost'}:{port}"


def _not_installed() -> ConfigurationError:
    return ConfigurationError("RATE_LIMIT_STORAGE in Redis needs the extra redis: pip install 'objectstore[redis]'")
