"""Whether two records tell of the same object."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from objectstore.values import ObjectInfo


class Likeness(Enum):
    SAME = auto()
    DIFFERENT = auto()
    UNKNOWN = auto()  # only their bytes tell


def compare(source: ObjectInfo, target: ObjectInfo, *, checksum: bool) -> Likeness:
    """What the records of two listings tell: size, then digests that both sides know.

    Without such a digest, `checksum` asks for the bytes; else the target's object is the same unless it is older
    than the source's. Attributes are not compared: few stores list them.
    """
    if source.size != target.size:
        return Likeness.DIFFERENT
    agreed = agree(source.digests, target.digests)
    if agreed is not None:
        return Likeness.SAME if agreed else Likeness.DIFFERENT
    if checksum:
        return Likeness.UNKNOWN
    return Likeness.SAME if target.modified >= source.modified else Likeness.DIFFERENT


def agree(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> bool | None:
    """Whether digests by the same algorithms are equal; None when there are none by the same."""
    common = one.keys() & other.keys()
    return all(one[name] == other[name] for name in common) if common else None
