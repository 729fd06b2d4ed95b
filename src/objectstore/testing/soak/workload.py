"""What the active clients do, decided by the seed: an endless row of tasks for each, on keys that are its own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from objectstore.config.units import parse_size

Kind: TypeAlias = Literal["put", "create", "replace", "replace stale", "delete", "get", "get range", "head", "list"]

KEYS: Final = 4  # of each client
DEFAULT_SIZES: Final = "0:2,100:22,4KiB:48,64KiB:24,1MiB:3.5,8MiB:0.4,64MiB:0.04"
_SHARES: Final[dict[Kind, int]] = {
    "put": 20,
    "create": 6,
    "replace": 8,
    "replace stale": 4,
    "delete": 6,
    "get": 36,
    "get range": 8,
    "head": 8,
    "list": 4,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large bodies are: `limits[i]` bytes or less, but more than the one before, in `shares[i]` of the cases."""

    limits: Sequence[int]  # ascending
    shares: Sequence[float]

    def pick(self, chance: random.Random) -> int:
        """A size. Each limit itself comes up often, since limits are where things go wrong."""
        (number,) = chance.choices(range(len(self.limits)), self.shares)
        limit = self.limits[number]
        return limit if number == 0 or chance.random() < 0.1 else chance.randint(self.limits[number - 1] + 1, limit)


def parse_sizes(text: str) -> Sizes:
    """Sizes with their shares, as in `100:20,4KiB:50,1MiB:5`; a share is 1 when it is left out.

    Raises:
        ValueError: it is none of that, or not in ascending order.
    """
    pairs = []
    for one in text.split(","):
        size, _, share = one.partition(":")
        pairs.append((parse_size(size), float(share) if share else 1.0))
    limits, shares = zip(*pairs, strict=True)
    if any(one >= other for one, other in pairwise(limits)):
        raise ValueError("sizes have to ascend")
    if not all(0 <= share < float("inf") for share in shares) or not any(shares):
        raise ValueError("shares have to be numbers from 0 on, and not all of them 0")
    return Sizes(limits, shares)


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do."""

    kind: Kind
    key: int  # which of the client's
    size: int  # bytes of the body, if it has one
    cut: tuple[float, float]  # where a range begins and ends, as shares of the object


def tasks(seed: int, client: int, sizes: Sizes) -> Iterator[Task]:
    """The tasks of this client."""
    chance = random.Random(f"soak/{seed}/{client}")  # noqa: S311  to be repeated, not to be secret
    kinds, shares = list(_SHARES), list(_SHARES.values())
    while True:
        (kind,) = chance.choices(kinds, shares)
        yield Task(kind, chance.randrange(KEYS), sizes.pick(chance), (chance.random(), chance.random()))
