"""How many bytes are cut into parts, and which of them have come: rules without a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from objectstore.errors import InvalidParameter

MAX_PARTS: Final = 10_000  # of one upload
FEW: Final = 4  # parts that are not worth the trouble: up to so many it is one request


@dataclass(frozen=True, slots=True)
class Layout:
    """`size` bytes in parts of `part_size`, the last of which may be smaller. Parts count from 0."""

    size: int  # bytes
    part_size: int  # bytes

    def __post_init__(self) -> None:
        if self.part_size < 1:
            raise InvalidParameter(f"a part has at least 1 byte, not {self.part_size}")

    @property
    def count(self) -> int:
        return -(-self.size // self.part_size)

    def start(self, part: int) -> int:
        return part * self.part_size

    def stop(self, part: int) -> int:
        """The end of the part, exclusive."""
        return min(self.size, (part + 1) * self.part_size)

    def length(self, part: int) -> int:
        return self.stop(part) - self.start(part)


def in_parts(size: int, part_size: int) -> bool:
    """Whether so many bytes go in parts, rather than with one request."""
    return size > FEW * part_size


def upload_layout(size: int, wanted: int) -> Layout:
    """Parts of the wanted size, or of the smallest multiple of it with which `MAX_PARTS` are enough."""
    layout = Layout(size, wanted)
    if layout.count <= MAX_PARTS:
        return layout
    return Layout(size, wanted * -(-layout.count // MAX_PARTS))


def runs(parts: Iterable[int]) -> list[tuple[int, int]]:
    """The numbers as ascending runs, ends exclusive: a terabyte's parts in a line of text."""
    found: list[tuple[int, int]] = []
    for part in sorted(parts):
        if found and found[-1][1] == part:
            found[-1] = (found[-1][0], part + 1)
        else:
            found.append((part, part + 1))
    return found


def numbers(told: Sequence[Sequence[int]], count: int) -> set[int]:
    """The parts that `runs` told of. Raises ValueError: there are not so many."""
    found: set[int] = set()
    for start, stop in told:
        if not 0 <= start < stop <= count:
            raise ValueError(f"{start} to {stop} are no parts of {count}")
        found.update(range(start, stop))
    return found


def missing(count: int, done: set[int]) -> Iterator[int]:
    """The parts that are not done, in order."""
    return (part for part in range(count) if part not in done)
