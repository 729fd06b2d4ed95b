"""When a request is sent again, and how soon: rules without clock, randomness or connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from objectstore.errors import (
    InternalError,
    ObjectStoreError,
    Overloaded,
    PreconditionFailed,
    RateLimited,
    Retryable,
    Unavailable,
)
from objectstore.wire.replies import Reply
from objectstore.wire.requests import Request

MAX_PAUSE: Final = 60.0  # seconds, of those that a client chooses by itself
MAX_NAMED: Final = 120.0  # seconds; a server that asks for more is not waited for. A limit by the minute asks for less
_UNTOUCHED: Final = frozenset({429})  # surely nothing was done
_REFUSED: Final = frozenset({408, 429, 503})  # the answer says that nothing was done, though a proxy may be wrong


class ConnectionFailed(Exception):
    """The way to the server failed; what transports raise, and no caller of a client sees.

    `sent` tells whether the server may have got the request, or a part of it.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How patient a client is."""

    limit: int = 3  # tries after the first
    delay: float = 1.0  # seconds, at most, before the first of them; doubled for each one after

    def __post_init__(self) -> None:
        if self.limit < 0 or not 0 <= self.delay < float("inf"):
            raise ValueError("retries are a number of times from 0 on, and a delay in seconds from 0 on")


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds to wait: `least`, and a random share of `spread`."""

    least: float
    spread: float

    def seconds(self, random: float) -> float:
        """For a `random` number from 0 to 1."""
        return self.least + self.spread * random


def pause_before(retry: int, retries: Retries, failure: ObjectStoreError | None = None) -> Pause | None:
    """What to wait before this retry (0 is the first); None when there is to be none.

    A time that the server names is kept to. Else it is exponential backoff with full jitter, so that many clients
    which failed together do not come back together.
    """
    if retry >= retries.limit:
        return None
    named = failure.retry_after if isinstance(failure, Retryable) else None
    if named is None:
        return Pause(0, min(MAX_PAUSE, retries.delay * 2.0 ** min(retry, 64)))
    return Pause(named, 0) if named <= MAX_NAMED else None


@dataclass(slots=True)
class Attempts:
    """The tries at one request.

    A server that is well, and tells those who come too often when to come again, uses up none of them: of many clients
    at one limit some are told so again and again. It is waited for as long, all in all, as all retries might take.
    """

    retries: Retries
    retried: int = 0
    _waited: float = field(default=0.0, init=False)  # seconds, as such servers said

    def pause(self, failure: ObjectStoreError | None = None) -> Pause | None:
        """What to wait before the next try; None when there is to be none."""
        if isinstance(failure, RateLimited | Overloaded) and failure.retry_after:
            waited = self._waited + failure.retry_after
            if failure.retry_after <= MAX_NAMED and waited <= self.retries.limit * MAX_NAMED:
                self._waited = waited
                return Pause(failure.retry_after, 0)
            return None
        pause = pause_before(self.retried, self.retries, failure)
        self.retried += 1
        return pause


def may_repeat(request: Request) -> bool:
    """Whether the request can be sent once more as it is: its body may be gone."""
    body = request.body
    return body is None or isinstance(body, bytes) or body.repeatable


def is_final(status: int) -> bool:
    """Whether the status rules out that the same request gets another answer for being sent again."""
    return status < 500 and status not in _REFUSED


def worth_repeating(request: Request, reply: Reply, error: ObjectStoreError) -> bool:
    """Whether another answer may be hoped for, without risk of doing something twice."""
    if not isinstance(error, Retryable | InternalError):
        return False
    return request.idempotent or reply.status in _REFUSED


def surely_untouched(reply: Reply) -> bool:
    """Whether the answer leaves no doubt that nothing was done."""
    return reply.status in _UNTOUCHED


def fate_unknown(request: Request, reply: Reply, error: ObjectStoreError) -> bool:
    """Whether a conditional write may have been carried out although this is the answer to it.

    A gateway may have lost the real answer; and when the request was sent twice, the condition may not hold any more
    because of the first.
    """
    if request.idempotent:
        return False
    if isinstance(error, PreconditionFailed):
        return reply.repeated
    return isinstance(error, Unavailable) and reply.status not in _REFUSED
