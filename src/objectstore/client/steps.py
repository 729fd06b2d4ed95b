"""What transfers need done beside what `wire.flows` asks for: work on files, bodies poured out, work side by side.

A work is a flow that may ask for these too. Both drivers perform them, so that a transfer is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

from objectstore.wire.flows import Step
from objectstore.wire.replies import Reply

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Local:
    """Call this, which may wait for a disk or compute for a while: what it returns.

    It is never interrupted: whoever cancels the work waits for its end.
    """

    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Brief:
    """As `Local`, of what takes microseconds unless a disk is slow: less than handing it to a thread."""

    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Pour:
    """Give the body of an opened reply to `sink`, some chunks at a time and in order; then close it: None.

    `sink` may wait for a disk.
    """

    reply: Reply
    sink: Callable[[Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Gather:
    """Carry out the works, `limit` of them at a time, begun in their order: None.

    The first that fails ends the others, and its error is what comes of all.
    """

    works: Iterable[Work[Any]]
    limit: int


AnyStep: TypeAlias = Step | Local | Brief | Pour | Gather
Work: TypeAlias = Generator[AnyStep, Any, T]


def local(call: Callable[[], T]) -> Work[T]:
    return cast("T", (yield Local(call)))


def brief(call: Callable[[], T]) -> Work[T]:
    return cast("T", (yield Brief(call)))
