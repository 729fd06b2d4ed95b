"""How a store is to be copied."""

from __future__ import annotations

from dataclasses import dataclass, field

from objectstore.wire.retries import Retries


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is to be copied, and how."""

    prefix: str = ""  # raw leading characters of the keys, at both ends
    delete: bool = False  # what the target has below the prefix and the source has not
    checksum: bool = False  # compare bytes, by reading them where no digest is known, and never times
    dry_run: bool = False  # tell what would be done, and do nothing
    jobs: int = 16  # objects on their way at once
    retries: Retries = field(default_factory=Retries)  # of each step that fails and may succeed later

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"at least one object is copied at a time, not {self.jobs}")
