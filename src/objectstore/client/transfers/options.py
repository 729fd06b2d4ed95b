"""How a transfer is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from objectstore.errors import InvalidParameter
from objectstore.wire.flows import PART_SIZE

CONCURRENCY: Final = 4  # parts of one object under way at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the bytes of one object move."""

    part_size: int = PART_SIZE  # bytes
    concurrency: int = CONCURRENCY  # parts under way at once
    resume: bool = True  # go on where an earlier transfer was broken off, and leave what another can go on from
    verify: bool = True  # compare the digest of the whole object
    mode: int | None = None  # of files that appear; None: as the umask is then
    settle: bool = True  # have the name of a downloaded file on the disk too; else whoever asked sees to that

    def __post_init__(self) -> None:
        if self.part_size < 1:
            raise InvalidParameter(f"a part has at least 1 byte, not {self.part_size}")
        if self.concurrency < 1:
            raise InvalidParameter(f"at least one part is sent at a time, not {self.concurrency}")
