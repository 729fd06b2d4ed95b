"""Bodies that tell by themselves which write they are of: every byte follows from the seed and the write's name."""

from __future__ import annotations

import random
from typing import Final

MIN_SIZE: Final = 64  # bytes; the name of the write has to fit in


def name_of(kind: str, place: str, number: int, size: int) -> str:
    """The name of a write, which no other of the run has: who makes it, its number, the size of its body."""
    return f"{kind}-{place}-{number}-{size}"


def is_copy(write: str) -> bool:
    """Whether the write is a copy, so that its body is one of another write."""
    return write.startswith("copy-")


def body_of(seed: int, write: str) -> bytes:
    """The body of this write."""
    size = int(write.rpartition("-")[2])
    head = f"{write}\n".encode()
    return head + random.Random(f"{seed}/{write}").randbytes(size - len(head))  # noqa: S311  to be told apart, not secret


def written_by(seed: int, data: bytes) -> str | None:
    """Which write these bytes are the whole body of; None: of none, some are missing or wrong."""
    head, line_end, _ = data[:MIN_SIZE].partition(b"\n")
    try:
        write = head.decode("ascii")
        whole = line_end == b"\n" and not is_copy(write) and body_of(seed, write) == data
    except ValueError:
        return None
    return write if whole else None
