"""Where the contestants meet: started when they are first needed, over the same objects, and ended together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contestants import CONTESTANTS, Server
from bench.seeding import GIB, KIB, MIB, Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    rounds: int
    warm_up: bool  # one more round before them, which does not count
    seconds: int  # that wrk runs for one sample
    small: int  # objects of 1 KiB to read
    deletes: int  # objects to delete in a round
    large: int  # bytes of a large object
    transfer: int  # bytes of a body that the clients move
    many: int  # keys of the large listing
    few: int  # keys of the small listing
    uploaded: int  # bytes of each of the 64 bodies sent at once

    @property
    def turns(self) -> int:
        """Rounds, with the one that warms up."""
        return self.rounds + self.warm_up


FULL: Final = Scale(
    rounds=3,
    warm_up=True,
    seconds=2,
    small=10_000,
    deletes=10_000,
    large=GIB,
    transfer=256 * MIB,
    many=1_000_000,
    few=10_000,
    uploaded=128 * MIB,
)
QUICK: Final = Scale(
    rounds=1,
    warm_up=False,
    seconds=1,
    small=2_000,
    deletes=2_000,
    large=256 * MIB,
    transfer=64 * MIB,
    many=100_000,
    few=10_000,
    uploaded=8 * MIB,
)
TINY: Final = Scale(
    rounds=1,
    warm_up=False,
    seconds=1,
    small=100,
    deletes=200,
    large=4 * MIB,
    transfer=4 * MIB,
    many=3_000,
    few=1_000,
    uploaded=MIB,
)


class Missing(Exception):
    """Something that is not installed here."""


class Stage:
    """Holds the running contestants, and a scratch folder on the disk that is measured."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self.folder: Final = folder
        self.scale: Final = scale
        self.versions: Final[dict[str, str]] = {}
        self.commands: Final[dict[str, str]] = {}
        self._servers: dict[str, Server] = {}
        self._running = ExitStack()

    def close(self) -> None:
        self._servers.clear()
        self._running.close()

    @property
    def seeds(self) -> tuple[Seed, ...]:
        return (self.empty, self.small, self.middle, self.doomed, self.large, *self.written)

    @property
    def empty(self) -> Seed:
        return Seed(folder="k0", count=1000, size=0)

    @property
    def small(self) -> Seed:
        return Seed(folder="k1", count=self.scale.small, size=KIB)

    @property
    def middle(self) -> Seed:
        return Seed(folder="k64", count=min(500, self.scale.small), size=64 * KIB)

    @property
    def large(self) -> Seed:
        return Seed(folder="big", count=1, size=self.scale.large)

    @property
    def doomed(self) -> Seed:
        """What is deleted, and one that stays."""
        return Seed(folder="doomed", count=self.scale.deletes * self.scale.turns + 1, size=KIB)

    @property
    def written(self) -> tuple[Seed, ...]:
        """Folders that are written to, empty at first."""
        return (Seed(folder="p1", count=0, size=KIB), Seed(folder="p64", count=0, size=64 * KIB))

    def server(self, name: str) -> Server:
        """The contestant, answering."""
        if name not in self._servers:
            contestant = CONTESTANTS[name]
            reason = contestant.missing()
            if reason is not None:
                raise Missing(reason)
            folder = self.folder / name
            contestant.seed(folder, self.seeds)
            self._servers[name] = self._running.enter_context(contextmanager(contestant.start)(name, folder))
            self.versions[name] = contestant.version()
            self.commands[name] = self._servers[name].command.replace(str(self.folder), "SCRATCH")
        return self._servers[name]


@contextmanager
def opened(parent: Path, scale: Scale) -> Iterator[Stage]:
    """A stage in a folder of its own below `parent`, which is gone afterwards."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="scratch-", ignore_cleanup_errors=True) as name:
        stage = Stage(Path(name), scale)
        try:
            yield stage
        finally:
            stage.close()
