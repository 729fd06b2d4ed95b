"""Objects counted by the beginnings of their keys."""

from __future__ import annotations

import heapq
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """What is under one prefix."""

    prefix: str
    objects: int
    size: int  # bytes


class Groups:
    """Counts objects by their keys up to the `depth`th slash, or up to the last one of a key with fewer."""

    def __init__(self, depth: int) -> None:
        if depth < 1:
            raise ValueError(f"keys are grouped by at least one segment, not {depth}")
        self._depth = depth
        self._found: dict[str, list[int]] = {}
        self.objects = 0
        self.size = 0  # bytes

    def add(self, key: str, size: int) -> None:
        self.objects += 1
        self.size += size
        counted = self._found.setdefault(self._prefix(key), [0, 0])
        counted[0] += 1
        counted[1] += size

    def largest(self, top: int) -> tuple[Share, ...]:
        """Those with most bytes, the largest first."""
        shares = (Share(prefix, objects, size) for prefix, (objects, size) in self._found.items())
        return tuple(heapq.nsmallest(top, shares, key=lambda share: (-share.size, share.prefix)))

    def _prefix(self, key: str) -> str:
        end = 0
        for _ in range(self._depth):
            at = key.find("/", end)
            if at < 0:
                break
            end = at + 1
        return key[:end]
