"""What is told of a copy: events while it runs, and a summary at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from objectstore.errors import ObjectStoreError

MAX_FAILURES: Final = 1000  # kept for the end; all of them are counted, and told as they come


@dataclass(frozen=True, slots=True)
class Copied:
    """The object is at the target, and verified. In a dry run: it would be copied."""

    key: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """There was nothing to do: the target has the same object, or the source has lost it meanwhile."""

    key: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object, which the source does not have, is gone from the target. In a dry run: it would be deleted."""

    key: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The object could not be copied or deleted; what the target had of it is untouched unless the error says so."""

    key: str
    error: ObjectStoreError


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should know, and that is no failure."""

    message: str


Event: TypeAlias = Copied | Skipped | Deleted | Failed | Warned


class Progress(Protocol):
    """Someone who wants to know how far it is. Both are called often and must not wait."""

    def moved(self, size: int) -> None:
        """So many more bytes are on the other side; fewer than none when a try has failed and starts over."""
        ...

    def happened(self, event: Event) -> None: ...


class Silent:
    """Nobody wants to know."""

    def moved(self, size: int) -> None:
        pass

    def happened(self, event: Event) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why not all objects were looked at, or none deleted."""

    reason: str
    error: ObjectStoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What came of a copy. It is complete when nothing failed and nothing stopped it."""

    copied: int
    skipped: int
    deleted: int
    failed: int
    bytes: int  # of the objects copied
    failures: tuple[Failed, ...]  # the first `MAX_FAILURES`
    stopped: Stopped | None = None

    @property
    def complete(self) -> bool:
        return not self.failed and self.stopped is None


class Tally:
    """Counts events."""

    def __init__(self) -> None:
        self.copied = self.skipped = self.deleted = self.failed = 0
        self.bytes = 0
        self._failures: list[Failed] = []

    def add(self, event: Event) -> None:
        match event:
            case Copied(_, size):
                self.copied += 1
                self.bytes += size
            case Skipped():
                self.skipped += 1
            case Deleted():
                self.deleted += 1
            case Failed():
                self.failed += 1
                if len(self._failures) < MAX_FAILURES:
                    self._failures.append(event)
            case Warned():
                pass

    def summary(self, stopped: Stopped | None = None) -> Summary:
        return Summary(
            copied=self.copied,
            skipped=self.skipped,
            deleted=self.deleted,
            failed=self.failed,
            bytes=self.bytes,
            failures=tuple(self._failures),
            stopped=stopped,
        )
