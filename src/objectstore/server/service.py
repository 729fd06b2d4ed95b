"""What all of the server shares: the store, who may use it, and its limits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from objectstore.auth.scopes import Credential
from objectstore.auth.signing import Links
from objectstore.backends.contract import Backend
from objectstore.errors import ObjectStoreError
from objectstore.server.limits import Limits
from objectstore.server.quotas import check_kept
from objectstore.server.scrubbing import Scrubber

_log: Final = logging.getLogger("objectstore.server")
_EXPIRY_INTERVAL: Final = 3600.0  # seconds between two looks for abandoned uploads


class Authenticator(Protocol):
    def load(self) -> None:
        """Read the tokens for the first time. Raises ConfigurationError."""
        ...

    @property
    def complaint(self) -> str:
        """What is wrong with the tokens, for an operator; nothing when all is well."""
        ...

    def authenticate(self, authorization: bytes | None, now: datetime) -> Credential:
        """Who sends this `Authorization` field. Raises Unauthenticated."""
        ...

    def why_not(self, authorization: bytes) -> str:
        """Why this field was refused, for the log: without any of it."""
        ...

    def bounded(self) -> Sequence[str]:
        """The names of the tokens that have quotas."""
        ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Service:
    """A backend being served. Opened before the first request, closed after the last."""

    backend: Backend
    tokens: Authenticator
    max_object_size: int  # bytes
    upload_ttl: timedelta
    links: Links | None = None
    link_max_ttl: timedelta = timedelta(days=7)
    public_url: str | None = None  # what the server is called from outside, without a slash at the end
    limits: Limits = field(default_factory=Limits)
    now: Callable[[], datetime] = _utc_now
    closing: bool = field(default=False, init=False)  # from the moment on that it ends
    scrubbers: Sequence[Scrubber] = ()
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)

    async def open(self) -> None:
        """Open the backend and start what runs beside the requests. Raises ConfigurationError."""
        self.tokens.load()
        check_kept(self.backend.capabilities, self.tokens.bounded())
        if self.links is not None:
            self.links.load()
        self._opened.push_async_callback(self.limits.limiter.close)
        await self._opened.enter_async_context(self.backend)
        expiry = asyncio.create_task(self._expire_uploads())
        self._opened.push_async_callback(_ended, expiry)
        for scrubber in self.scrubbers:
            self._opened.push_async_callback(_ended, asyncio.create_task(scrubber.run()))

    async def close(self) -> None:
        self.closing = True
        await self._opened.aclose()

    async def _expire_uploads(self) -> None:
        while True:
            try:
                expired = await self.backend.uploads.expire(self.now() - self.upload_ttl)
            except ObjectStoreError as error:
                # The next look does what this one could not.
                _log.warning("abandoned uploads could not be expired: %s", error)
            else:
                if expired:
                    _log.info("expired %d abandoned uploads", expired)
            await asyncio.sleep(_EXPIRY_INTERVAL)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
