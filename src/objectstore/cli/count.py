"""How far many transfers have come: counted here, drawn elsewhere. No clock: who counts says what time it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Count:
    """Of one command."""

    files: int  # in all
    total: int  # bytes of all of them
    begun: float  # seconds, of any clock
    done: int = 0  # files
    skipped: int = 0  # files that were the same already
    failed: int = 0  # files
    deleted: int = 0  # files
    bytes: int = 0  # that are done, those of skipped files too
    skipped_bytes: int = 0

    @property
    def ended(self) -> int:
        """Files with which nothing more is to be done."""
        return self.done + self.skipped + self.failed

    @property
    def moved(self) -> int:
        """Bytes that had to be moved."""
        return self.bytes - self.skipped_bytes

    def rate(self, now: float) -> float | None:
        """Bytes moved in a second so far; None while nobody can tell."""
        seconds = now - self.begun
        return self.moved / seconds if seconds > 0 and self.moved else None

    def left(self, now: float) -> float | None:
        """Seconds to the end, when it goes on as so far."""
        rate = self.rate(now)
        return None if rate is None else max(0.0, self.total - self.bytes) / rate
