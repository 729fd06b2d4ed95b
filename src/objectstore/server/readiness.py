"""Whether the server can do its work: asked of each part of it, for probes that come often and from several sides."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from objectstore.errors import NotReady, ObjectStoreError
from objectstore.server.service import Service
from objectstore.wire.errors import rule_of

State: TypeAlias = Literal["ok", "warning", "failed"]

_log: Final = logging.getLogger("objectstore.server")

PATIENCE: Final = 3.0  # seconds for the answer of the store
FRESH: Final = 1.0  # seconds that an answer holds: however many probes there are, the store is asked once in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one part of the server is like. A warning keeps nobody from using it."""

    status: State
    code: str | None = None  # of the error
    message: str | None = None

    def told(self) -> dict[str, str]:
        facts = {"status": self.status, "code": self.code, "message": self.message}
        return {name: fact for name, fact in facts.items() if fact is not None}


_OK: Final = Check(status="ok")


class Readiness:
    """Asks the parts. Used from the loop."""

    def __init__(
        self, service: Service, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._service = service
        self._patience = patience
        self._clock = clock
        self._store: Check = _OK
        self._scrub: Check = _OK
        self._asked_at = -FRESH
        self._asking: asyncio.Task[Check] | None = None  # the store, which may not answer for long
        self._looking: asyncio.Task[None] | None = None

    async def checks(self) -> dict[str, Check]:
        """Each part by its name."""
        if not self._service.closing and self._clock() - self._asked_at >= FRESH:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        found = {"server": self._server(), "store": self._store, "tokens": self._tokens(), "limits": self._limits()}
        return found | ({"scrub": self._scrub} if self._service.scrubbers else {})

    async def require(self) -> dict[str, Check]:
        """The same, when nothing failed. Raises NotReady."""
        found = await self.checks()
        failed = [f"{name}: {check.message}" for name, check in found.items() if check.status == "failed"]
        if failed:
            raise NotReady("; ".join(failed), {name: check.told() for name, check in found.items()})
        return found

    async def is_ready(self) -> bool:
        return all(check.status != "failed" for check in (await self.checks()).values())

    async def _look(self) -> None:
        if self._asking is None:
            self._asking = asyncio.create_task(_ask(self._service.backend.check()))
        # One that is late is left to end by itself: to cancel it could take as long, and another would not be faster.
        done, _ = await asyncio.wait({self._asking}, timeout=self._patience)
        if done:
            self._store = self._asking.result()
            self._asking = None
        else:
            self._store = Check(
                status="failed",
                code="unavailable",
                message=f"the store did not answer within {self._patience:g} seconds",
            )
        if self._service.scrubbers:
            self._scrub = await asyncio.to_thread(self._scrubbed)
        self._asked_at = self._clock()

    def _scrubbed(self) -> Check:
        # Everything else is sound and goes on being served. Which they are is not for anybody who asks.
        try:
            damaged = sum(scrubber.damaged() for scrubber in self._service.scrubbers)
        except (ObjectStoreError, OSError):
            return Check(status="warning", message="what scrubbing keeps cannot be read; the log says more")
        if not damaged:
            return _OK
        bodies = "1 body is" if damaged == 1 else f"{damaged} bodies are"
        return Check(status="warning", message=f"{bodies} damaged; `objectstore scrub status` says which")

    def _server(self) -> Check:
        if self._service.closing:
            return Check(status="failed", code="unavailable", message="the server is shutting down")
        return _OK

    def _tokens(self) -> Check:
        # What was read before stays in force: to take the server out of service would make it worse.
        # The log says more; this anybody can read.
        if self._service.tokens.complaint:
            return Check(status="warning", message="the token file is gone or cannot be used")
        return _OK

    def _limits(self) -> Check:
        # Only requests show whether it is back, so this must not keep them away.
        if self._service.limits.limiter.away:
            return Check(status="warning", message="the storage of the rate limits is away")
        return _OK


async def _ask(check: Awaitable[None]) -> Check:
    try:
        await check
    except ObjectStoreError as error:
        return Check(status="failed", code=rule_of(error).code, message=str(error))
    except Exception:  # noqa: BLE001  whatever it is, the store does not work, and probes are to hear of it
        _log.exception("the check of the store failed unforeseen")
        return Check(status="failed", code="internal_error", message="the check failed; the log says how")
    return _OK
