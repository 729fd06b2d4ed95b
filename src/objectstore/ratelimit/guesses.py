"""Failed logins, counted for each address: who has had too many is not listened to for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from objectstore.core.rates import Rate
from objectstore.ratelimit.limiter import Limiter

_log: Final = logging.getLogger("objectstore.limits")
_MOST: Final = 10_000  # addresses that are remembered as shut out


class Guesses:
    """Knows which addresses are shut out; asks the limiter for those alone that fail.

    So requests of which none fails cost nothing, whatever keeps the counts. Where several processes share the counts,
    each finds out for itself that an address is over, and looks at one more token of it until then.
    """

    def __init__(self, limiter: Limiter, rate: Rate, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limiter = limiter
        self._rate = rate
        self._clock = clock
        self._until: dict[str, float] = {}  # on `clock`; the longest shut out come first

    def any_shut_out(self) -> bool:
        return bool(self._until)

    def wait(self, address: str) -> float:
        """Seconds that the address is shut out for; 0: it is not."""
        until = self._until.get(address)
        if until is None:
            return 0.0
        left = until - self._clock()
        if left <= 0:
            del self._until[address]
            return 0.0
        return left

    async def failed(self, address: str) -> float:
        """Count a failed login; seconds that the address is shut out for, from this one on.

        Raises:
            Unavailable: the counts are out of reach, and may not be.
        """
        verdict = await self._limiter.take(f"address {address}", self._rate)
        if verdict is None or not verdict.wait:
            return 0.0
        now = self._clock()
        if len(self._until) >= _MOST:
            self._forget(now)
        if address not in self._until:
            _log.warning(
                "%s sent too many tokens that are not valid and is shut out for a while; "
                "if that is a proxy, name it in TRUSTED_PROXIES",
                address,
            )
        self._until[address] = now + verdict.wait
        return verdict.wait

    def _forget(self, now: float) -> None:
        self._until = {address: until for address, until in self._until.items() if until > now}
        while len(self._until) >= _MOST:
            # A flood from more addresses than this: the counts of the limiter hold all the same.
            del self._until[next(iter(self._until))]
