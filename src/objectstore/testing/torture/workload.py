"""What the clients do, decided by the seed alone: an endless row of tasks for each of their threads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from objectstore.testing.torture.bodies import MIN_SIZE

Kind: TypeAlias = Literal[
    "put",
    "create",
    "replace",
    "upload",
    "copy",
    "create copy",
    "delete",
    "delete unchanged",
    "delete many",
    "get",
    "get range",
    "head",
    "list",
]

# Few, so that the clients are always at the same ones; with what a URL, a path or a glob might trip over.
HOT: Final = tuple(f"hot/{name}" for name in ("a", "a/b", "a//b", "b", "c d", "%2F", "ä", "..", "*", "d", "e", "f"))
COPIES: Final = tuple(f"copy/{number}" for number in range(4))
STABLE: Final = tuple(f"stable/{number:02}" for number in range(40))
PREFIXES: Final = ("", "hot/", "copy/", "stable/", "hot/a")

_INLINE: Final = 64 * 1024  # bytes; what is larger is a file
_LARGEST: Final = 400 * 1024  # bytes
_SHARES: Final[dict[Kind, int]] = {
    "put": 24,
    "create": 8,
    "replace": 14,
    "upload": 8,
    "copy": 8,
    "create copy": 3,
    "delete": 7,
    "delete unchanged": 4,
    "delete many": 2,
    "get": 14,
    "get range": 3,
    "head": 5,
    "list": 4,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One thing to do."""

    number: int
    kind: Kind
    key: str
    other: str  # the second key, of a copy or of what deletes several; or the prefix of a listing
    size: int  # bytes of the body, if it has one
    parts: int  # of an upload
    cut: float  # where a range begins, as a share of the object


def tasks(seed: int, place: str) -> Iterator[Task]:
    """The tasks of the thread that is called `place`, in one round."""
    chance = random.Random(f"{seed}/{place}")  # noqa: S311  to be repeated, not to be secret
    number = 0
    while True:
        (kind,) = chance.choices(list(_SHARES), list(_SHARES.values()))
        yield Task(
            number=number,
            kind=kind,
            key=_key(chance, kind),
            other=chance.choice(PREFIXES if kind == "list" else HOT if kind == "delete many" else COPIES),
            size=_size(chance),
            parts=chance.choice((1, 1, 2, 3)),
            cut=chance.random(),
        )
        number += 1


def _key(chance: random.Random, kind: Kind) -> str:
    if kind in {"get", "head", "delete"}:
        return chance.choice(HOT + COPIES)
    return chance.choice(HOT)


def _size(chance: random.Random) -> int:
    share = chance.random()
    if share < 0.6:
        return chance.randint(MIN_SIZE, 4096)
    if share < 0.7:
        return _INLINE + chance.randint(-1, 1)
    return chance.randint(_INLINE, _LARGEST)
