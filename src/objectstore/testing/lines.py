"""What may go wrong with the bytes between a client and any server: rules, without any IO.

A `Line` is one direction of one connection. It is asked before each piece of what arrived what is to become of it, and
so troubles begin and end in the middle of a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from objectstore.testing.faults import After, Before
from objectstore.testing.troubles import Cut, Delay, Received, Sent, Turns

Side: TypeAlias = Literal["server", "client"]
"""Where bytes go to."""

_TICKS: Final = 50  # of a second: how often a throttled line passes something on


@dataclass(frozen=True, slots=True)
class Stall:
    """After so many bytes nothing goes on, not even the end of the connection, until it is over.

    What came meanwhile goes on then. Of a server that ends meanwhile, its client hears nothing: half-open.
    """

    after: int = 0


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Bytes are taken and vanish. When it is over, connections that have lost some are reset."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """No more than so many bytes in a second."""

    rate: float

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"a rate is above 0, as {self.rate} is not")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Bytes arrive in pieces of that size."""

    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a piece has at least a byte, not {self.size}")


@dataclass(frozen=True, slots=True)
class Corrupt:
    """One bit of the byte at that place, counted from 0, is flipped."""

    at: int = 0
    bit: int = 0

    def __post_init__(self) -> None:
        if self.at < 0 or not 0 <= self.bit < 8:
            raise ValueError("places count from 0, bits from 0 to 7")


@dataclass(frozen=True, slots=True)
class Reorder:
    """What so many connections say is held until all of them have begun, and goes on in reverse order.

    The next one follows when there is a reaction to the one before. None waits longer than `patience` seconds.
    """

    count: int = 2
    patience: float = 1.0

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError("there is no order of less than two")


LineTrouble: TypeAlias = Cut | Delay | Stall | BlackHole | Throttle | Pieces | Corrupt | Reorder


@dataclass(slots=True, eq=False)
class LineRule(Turns):
    """Which connections a trouble happens to, and to what goes where."""

    trouble: LineTrouble
    toward: Side | None = None  # None: both
    changed: Callable[[], None] = lambda: None

    def cancel(self) -> None:
        """It happens no more."""
        Turns.cancel(self)
        self.changed()

    @property
    def over(self) -> bool:
        return self._over

    def means(self, toward: Side) -> bool:
        """Whether it is about bytes that go there."""
        match self.trouble:
            case Cut(at=Before() | Received()):
                return toward == "server"
            case Cut(at=After() | Sent()):
                return toward == "client"
            case _:
                return self.toward is None or self.toward == toward


@dataclass(frozen=True, slots=True)
class Pass:
    """So many bytes go on, after a pause; those at `flips` with a bit changed."""

    size: int
    pause: float = 0.0  # seconds
    flips: tuple[tuple[int, int], ...] = ()  # place in the piece, mask


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing goes on until the rules change."""


@dataclass(frozen=True, slots=True)
class Drop:
    """All of it is thrown away."""


@dataclass(frozen=True, slots=True)
class Queue:
    """It waits for its turn among the connections that the rule happens to."""

    rule: LineRule
    trouble: Reorder


@dataclass(frozen=True, slots=True)
class End:
    """The connection ends, both ways."""

    reset: bool


Step: TypeAlias = Pass | Hold | Drop | Queue | End


class Choices:
    """Which rules happen to a connection: decided once, when they first meet with bytes of it."""

    def __init__(self) -> None:
        self._made: dict[LineRule, bool] = {}

    def __call__(self, rule: LineRule) -> bool:
        if rule not in self._made:
            self._made[rule] = rule.next()
        return self._made[rule] and not rule.over


class Line:
    """One direction of a connection."""

    def __init__(self, toward: Side, choices: Choices) -> None:
        self.toward: Final = toward
        self.lost = False  # whether bytes have vanished
        self._choices = choices
        self._passed = 0
        self._begun: dict[LineRule, int] = {}  # how much had passed when the rule came into force
        self._delays: dict[LineRule, float] = {}
        self._in_turn = False

    def arrived(self) -> None:
        """A further chunk is there."""
        self._delays.clear()

    def take_turn(self) -> None:
        """It may pass, until there was a reaction."""
        self._in_turn = True

    def reacted(self) -> None:
        """Something passed in the other direction."""
        self._in_turn = False

    def passed(self, size: int) -> None:
        """So many bytes have gone on."""
        self._passed += size

    def step(self, size: int, rules: Iterable[LineRule], *, age: float, draw: Callable[[], float]) -> Step:
        """What is to become of the `size` bytes that are there, for `age` seconds; 0 of them: the end is there.

        `draw` gives random numbers from 0 to 1.
        """
        limit, pause, flips = size, 0.0, []
        for rule in self._in_force(rules, at_end=not size):
            since = self._passed - self._begun[rule]
            match rule.trouble:
                case Cut() as trouble:
                    left = _left(trouble, since)
                    if left <= 0:
                        return End(trouble.reset)
                    limit = min(limit, left)
                case BlackHole():
                    self.lost = self.lost or size > 0
                    return Drop()
                case Stall(after):
                    if since >= after:
                        return Hold()
                    limit = min(limit, after - since)
                case Reorder() as trouble:
                    if size and not self._in_turn:
                        return Queue(rule, trouble)
                case Delay() as trouble:
                    if rule not in self._delays:
                        self._delays[rule] = trouble.drawn(draw())
                    pause = max(pause, self._delays[rule] - age)
                case Throttle(rate):
                    limit = min(limit, max(1, int(rate / _TICKS)))
                    pause = max(pause, limit / rate)
                case Pieces(most):
                    limit = min(limit, most)
                case Corrupt(at, bit):
                    flips.append((at - since, 1 << bit))
        if self.lost:
            return End(reset=True)
        return Pass(limit, max(0.0, pause), tuple((at, mask) for at, mask in flips if 0 <= at < limit))

    def is_cut(self, rules: Iterable[LineRule]) -> End | None:
        """The end that was to come after the bytes that have passed."""
        for rule in rules:
            begun = self._begun.get(rule)
            if begun is None or rule.over or not isinstance(rule.trouble, Cut):
                continue
            if _left(rule.trouble, self._passed - begun) <= 0:
                return End(rule.trouble.reset)
        return None

    def _in_force(self, rules: Iterable[LineRule], *, at_end: bool) -> list[LineRule]:
        # A connection that just ends is none that anything else happens to.
        met = [
            rule for rule in rules if not at_end or rule in self._begun or isinstance(rule.trouble, Stall | BlackHole)
        ]
        found = [rule for rule in met if rule.means(self.toward) and self._choices(rule)]
        for rule in found:
            self._begun.setdefault(rule, self._passed)
        return found


def _left(cut: Cut, since: int) -> int:
    """How many bytes may still pass."""
    return cut.at.size - since if isinstance(cut.at, Received | Sent) else 0
