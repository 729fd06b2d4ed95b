"""How much a server takes on: what its settings say, as one value."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from objectstore.config.settings import Settings
from objectstore.core.rates import UNLIMITED, Rate, format_rate
from objectstore.ratelimit.addresses import Networks
from objectstore.ratelimit.limiter import Limiter
from objectstore.ratelimit.memory import MemoryLimiter
from objectstore.ratelimit.shared import RedisLimiter
from objectstore.server.accepting import room

_log: Final = logging.getLogger("objectstore.limits")
_FEW_FILES: Final = 4096

Refusal: TypeAlias = Literal["token_rate", "address_rate", "storage_away", "concurrency", "slow_sender", "slow_reader"]


def _nobody(_: Refusal) -> None:
    """Nobody counts them."""


@dataclass(slots=True, kw_only=True)
class Limits:
    """Without any given, a server takes on whatever comes."""

    limiter: Limiter = field(default_factory=MemoryLimiter)
    rate: Rate = UNLIMITED  # of a token that has none of its own
    address_rate: Rate = UNLIMITED  # of failed logins
    trusted_proxies: Networks = ()
    concurrent: int = 0  # requests under way at once; 0: any number
    request_timeout: float = 0.0  # seconds without progress of a body, in or out; 0: any
    idle_timeout: float = 0.0  # seconds that a connection may be without a request; 0: any
    on_refusal: Callable[[Refusal], None] = _nobody  # called for each request that a limit refuses or cuts


def limits_of(settings: Settings) -> Limits:
    """The limits that the settings describe, for one of the workers. Raises ConfigurationError."""
    limiter = limiter_of(settings)
    if isinstance(limiter, MemoryLimiter) and settings.workers > 1 and settings.rate_limit:
        _log.warning(
            "each of the %d workers allows a share of the rate limit %s; to have them share it, set RATE_LIMIT_STORAGE",
            settings.workers,
            format_rate(settings.rate_limit),
        )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < _FEW_FILES:
        _log.warning(
            "this process may open %d files, so it holds %d connections at most; raise the hard limit "
            "(ulimit -Hn, LimitNOFILE of systemd, --ulimit nofile of Docker)",
            files,
            room(),
        )
    return Limits(
        limiter=limiter,
        rate=settings.rate_limit,
        address_rate=settings.rate_limit_address,
        trusted_proxies=settings.trusted_proxies,
        # A share for each worker, rounded up, so that each can do something.
        concurrent=-(-settings.max_concurrent_requests // settings.workers),
        request_timeout=settings.request_timeout,
        idle_timeout=settings.idle_timeout,
    )


def limiter_of(settings: Settings) -> Limiter:
    """What counts the requests; it connects to nothing yet. Raises ConfigurationError."""
    if settings.rate_limit_storage == "memory://":
        return MemoryLimiter(workers=settings.workers)
    return RedisLimiter(settings.rate_limit_storage, settings.rate_limit_failure)
