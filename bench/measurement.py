"""What was measured: samples, one a round, and the figure that they make together."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["/s", "MB/s", "ms", "keys/s", "MiB", "s"]


class LoadError(Exception):
    """The load was not served as it should have been, so there is nothing to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One contestant at one piece of work, once."""

    value: float  # in the unit of the row
    cpu: float | None = None  # seconds that the server's processes used, for an operation
    peak: int | None = None  # bytes that the largest of them held at most
    command: str = ""  # what drove it


@dataclass(frozen=True, slots=True)
class Figure:
    """The samples of all rounds. There is at least one."""

    samples: Sequence[Sample]

    @property
    def median(self) -> float:
        return statistics.median(sample.value for sample in self.samples)

    @property
    def low(self) -> float:
        return min(sample.value for sample in self.samples)

    @property
    def high(self) -> float:
        return max(sample.value for sample in self.samples)

    def over(self, other: Figure) -> float:
        """This as a multiple of the other: the median of the rounds, in each of which both met the same machine."""
        if len(self.samples) != len(other.samples):
            return self.median / other.median
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(mine.value / theirs.value for mine, theirs in pairs)

    @property
    def cpu(self) -> float | None:
        """Seconds of processor time for an operation, the median of the rounds."""
        known = [sample.cpu for sample in self.samples if sample.cpu is not None]
        return statistics.median(known) if known else None

    @property
    def peak(self) -> int | None:
        """Bytes, the most of all rounds."""
        return max((sample.peak for sample in self.samples if sample.peak is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """All contestants at one piece of work. What could not be measured is told, too."""

    name: str
    title: str
    unit: Unit
    how: str  # is it measured
    figures: Mapping[str, Figure]  # by contestant
    missing: Mapping[str, str] = field(default_factory=dict)  # contestant to what is not installed
    failed: Mapping[str, str] = field(default_factory=dict)  # contestant to reason

    @property
    def lower_is_better(self) -> bool:
        return self.unit in {"ms", "s", "MiB"}
