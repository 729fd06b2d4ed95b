"""What may go wrong between a client and a server, and which requests it happens to: rules, without any IO.

Delay(0.2)                      the request is answered, later
Refuse(503, retry_after=1)      it is refused and not carried out
Cut(Before())                   the connection ends, and nothing was done
Cut(After())                    the connection ends, after the request was carried out
Cut(Received(1000))             the connection ends when 1000 bytes of the request's body have come
Cut(Sent(1000))                 the connection ends when 1000 bytes of the answer's body have gone
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from objectstore.errors import InvalidKey
from objectstore.testing.faults import After, Before
from objectstore.wire.paths import OBJECTS, key_of


@dataclass(frozen=True, slots=True)
class Received:
    """When this many bytes of the request's body have come; never for a shorter one."""

    size: int


@dataclass(frozen=True, slots=True)
class Sent:
    """When this many bytes of the answer's body have gone; never for a shorter one."""

    size: int


@dataclass(frozen=True, slots=True)
class Delay:
    """The request waits before anything is done: so long, up to `jitter` seconds more or less."""

    seconds: float
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter <= self.seconds:
            raise ValueError(f"a delay is not negative, as {self.seconds} ± {self.jitter} seconds may be")

    def drawn(self, random: float) -> float:
        """For a `random` number from 0 to 1."""
        return self.seconds + self.jitter * (2 * random - 1)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request is answered with this status and is not carried out."""

    status: int = 503
    retry_after: float | None = None  # seconds; a 429 or 503 without one names the server's usual second

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            raise ValueError(f"a refusal has a status from 400 to 599, not {self.status}")


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed without a word; with `reset` by a TCP RST, as when the other side has crashed."""

    at: Before | After | Received | Sent = field(default_factory=Before)
    reset: bool = False


Trouble: TypeAlias = Delay | Refuse | Cut


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it arrived."""

    method: str
    target: str  # path and query as they were sent

    @property
    def path(self) -> str:
        """As it was sent, percent-encoded, without the query."""
        return self.target.partition("?")[0]

    @property
    def key(self) -> str | None:
        """The key of the object that it is for; None for listings, uploads in parts and the rest."""
        if not self.path.startswith(f"{OBJECTS}/"):
            return None
        try:
            return key_of(self.path.encode())
        except InvalidKey:
            return None


@dataclass(slots=True, kw_only=True, eq=False)
class Turns:
    """Which of those that come a trouble happens to; `hits` counts them. In a `with`, it ends with it."""

    skip: int = 0  # that are left alone first
    every: int = 1  # of the others, the last one of so many
    times: int | None = None  # then it is over
    hits: int = 0
    _matched: int = 0
    _over: bool = False

    def __post_init__(self) -> None:
        if self.every < 1 or self.skip < 0 or (self.times is not None and self.times < 1):
            raise ValueError("every and times are at least 1, skip at least 0")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """It happens no more."""
        self._over = True

    def next(self) -> bool:
        """Whether it happens to the one that has come, which counts."""
        if self._over or self.hits == self.times:
            return False
        self._matched += 1
        happens = self._matched > self.skip and (self._matched - self.skip) % self.every == 0
        self.hits += happens
        return happens


@dataclass(slots=True, eq=False)
class Rule(Turns):
    """Which requests a trouble happens to."""

    trouble: Trouble
    method: str | None = None
    key: str | None = None
    path: str = ""  # how the path begins

    def happens_to(self, request: SeenRequest) -> bool:
        """Whether it happens to this request, which counts if it is meant."""
        return self._means(request) and self.next()

    def _means(self, request: SeenRequest) -> bool:
        return (
            (self.method is None or self.method == request.method)
            and (self.key is None or self.key == request.key)
            and request.path.startswith(self.path)
        )


class Script:
    """The rules in force and the requests that came. May be changed by one thread while another serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._seen: list[SeenRequest] = []

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def forget(self) -> None:
        with self._lock:
            self._seen.clear()

    @property
    def seen(self) -> tuple[SeenRequest, ...]:
        with self._lock:
            return tuple(self._seen)

    def arrived(self, request: SeenRequest) -> Iterable[Trouble]:
        """Note the request; what happens to it, in the order of the rules."""
        with self._lock:
            self._seen.append(request)
            return [rule.trouble for rule in self._rules if rule.happens_to(request)]
