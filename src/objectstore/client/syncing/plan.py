"""What has to be copied and deleted for one tree to become like another: a function of two listings.

Times are compared as they are by tools that move files: a copy carries the time of its original, so alike means equal.
An object that was stored by other means carries none; then a target that was written after the source was changed is
taken to be its copy.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from objectstore.client.syncing.patterns import EVERYTHING

TOLERANCE: Final = 1_000  # nanoseconds: some file systems, and times in records, tell no more than microseconds

Reason: TypeAlias = Literal["new", "size", "time", "checksum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of a file or an object, under its name in the tree."""

    size: int  # bytes
    changed: int  # nanoseconds since 1970: of the file that it is, or is a copy of
    written: int | None = None  # nanoseconds since 1970, of an object that does not know when a file was changed
    digest: bytes | None = None  # SHA-256


@dataclass(frozen=True, slots=True)
class Copy:
    """The target lacks this, or has another one."""

    name: str
    reason: Reason
    size: int  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done, in the order of the names, and how many are alike."""

    copies: Sequence[Copy] = ()
    deletions: Sequence[str] = ()
    same: Sequence[str] = ()
    spared: Sequence[str] = ()  # only in the target, and kept since nobody asked for their deletion

    @property
    def size(self) -> int:
        """Bytes to be copied."""
        return sum(copy.size for copy in self.copies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How trees are compared."""

    delete: bool = False  # what is only in the target
    checksum: bool = False  # compare digests instead of times
    selected: Container[str] = field(default=EVERYTHING)  # names of others are neither copied nor deleted


def plan(
    source: Mapping[str, Entry], target: Mapping[str, Entry], rules: Rules, protected: Container[str] = ()
) -> Plan:
    """How to make the target like the source. What is `protected` is there in the source, only not to be had."""
    copies: list[Copy] = []
    same: list[str] = []
    for name in sorted(name for name in source if name in rules.selected):
        reason = difference(source[name], target.get(name), checksum=rules.checksum)
        if reason is None:
            same.append(name)
        else:
            copies.append(Copy(name, reason, source[name].size))
    only = [name for name in sorted(target) if name not in source and name in rules.selected]
    gone = [name for name in only if name not in protected] if rules.delete else []
    spared = [name for name in only if not rules.delete or name in protected]
    return Plan(copies=copies, deletions=gone, same=same, spared=spared)


def difference(source: Entry, target: Entry | None, *, checksum: bool) -> Reason | None:
    """Why the target is no copy of the source; None when it is one. An unknown digest is another one."""
    if target is None:
        return "new"
    if source.size != target.size:
        return "size"
    if checksum:
        return None if source.digest is not None and source.digest == target.digest else "checksum"
    return None if _same_time(source, target) else "time"


def _same_time(source: Entry, target: Entry) -> bool:
    if source.written is None and target.written is None:
        return abs(source.changed - target.changed) <= TOLERANCE
    # One of them does not know of its original.
    wrote = target.changed if target.written is None else target.written
    return wrote + TOLERANCE >= source.changed


def to_hash(source: Mapping[str, Entry], target: Mapping[str, Entry], rules: Rules) -> Iterator[str]:
    """The names for which digests decide: elsewhere the sizes have done so, or nobody has asked for digests."""
    if rules.checksum:
        for name, ours in source.items():
            theirs = target.get(name)
            if theirs is not None and ours.size == theirs.size and name in rules.selected:
                yield name


def takes_all(plan: Plan, source: Mapping[str, Entry], target: Mapping[str, Entry]) -> bool:
    """Whether nothing would be left of a target that has something, for a source that has nothing."""
    return bool(plan.deletions) and not source and bool(target)
