"""Where the contestants meet: started when they are first needed, over the same objects, and ended together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from bench import engine, load
from bench.contestants import CONTESTANTS, Server
from bench.seeding import GIB, KIB, MIB, Seed, make_file


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
    few=2_000,
    uploaded=MIB,
)


SeedName: TypeAlias = Literal["empty", "small", "middle", "doomed", "batches", "written", "written-64k", "big"]
SEEDS: Final[tuple[SeedName, ...]] = get_args(SeedName)
Store: TypeAlias = Literal["own", "few", "many", "most"]


class Missing(Exception):
    """Something that is not installed here."""


class Stage:
    """Holds the running contestants, and a scratch folder on the disk that is measured."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self.folder: Final = folder
        self.scale: Final = scale
        self.seeds: Mapping[str, AbstractSet[SeedName]] = {}  # which of `SEEDS` a contestant is given before it starts
        self.versions: Final[dict[str, str]] = {}
        self.commands: Final[dict[str, str]] = {}
        self._servers: dict[str, tuple[Server, ExitStack]] = {}
        self._held: set[str] = set()

    def warms_up(self, turn: int) -> bool:
        """Whether what is measured in this turn does not count."""
        return turn == 0 and self.scale.warm_up

    def seconds(self, turn: int) -> int:
        """That a sample of small requests takes."""
        return 1 if self.warms_up(turn) else self.scale.seconds

    def close(self) -> None:
        while self._servers:
            _, (_, running) = self._servers.popitem()
            running.close()

    def seed(self, name: SeedName) -> Seed:
        """The objects of that name, as many as this scale wants."""
        scale = self.scale
        return {
            "empty": Seed(folder="k0", count=min(1000, scale.small), size=0),
            "small": Seed(folder="k1", count=scale.small, size=KIB),
            "middle": Seed(folder="k64", count=min(500, scale.small), size=64 * KIB),
            # Some for each turn, and one that stays.
            "doomed": Seed(folder="doomed", count=scale.deletes * scale.turns + 1, size=KIB),
            "batches": Seed(folder="batches", count=scale.deletes * scale.turns, size=KIB),
            # Folders that are written to.
            "written": Seed(folder="p1", count=0, size=KIB),
            "written-64k": Seed(folder="p64", count=0, size=64 * KIB),
            "big": Seed(folder="big", count=0, size=scale.large),
        }[name]

    def server(self, name: str, store: Store = "own") -> Server:
        """The contestant, answering: over objects of its own, or over one of the large stores."""
        place = _place(name, store)
        if place not in self._servers:
            contestant = CONTESTANTS[name]
            reason = contestant.missing()
            if reason is not None:
                raise Missing(reason)
            folder = self.folder / place
            if store == "own":
                if not folder.exists():
                    contestant.seed(folder, tuple(self.seed(one) for one in SEEDS if one in self.seeds.get(name, ())))
            elif not folder.exists():
                folder.mkdir()
                (folder / "data").symlink_to(self.filled(store))
            running = ExitStack()
            server = running.enter_context(contextmanager(contestant.start)(name, folder))
            self._servers[place] = server, running
            self.versions[name] = contestant.version()
            self.commands[name] = server.command.replace(str(self.folder), "SCRATCH")
        return self._servers[place][0]

    def stop(self, name: str, store: Store = "own") -> None:
        """End a server, if it runs."""
        held = self._servers.pop(_place(name, store), None)
        if held is not None:
            held[1].close()

    def filled(self, store: Store) -> Path:
        """The data directory of a large store, filled when it is first asked for."""
        path = self.folder / f"store-{store}"
        if not path.exists():
            engine.fill(path, self.count(store))
        return path

    def count(self, store: Store) -> int:
        """How many keys it has that begin with `many/`."""
        return {"own": 0, "few": self.scale.few, "many": self.scale.many, "most": 10_000_000}[store]

    def body(self, size: int) -> Path:
        """A file of so many bytes, to be sent."""
        path = self.folder / f"body-{size}"
        return path if path.exists() else make_file(path, size)

    def holds_large(self, server: Server) -> str:
        """The key of a large object, which it is given when it is first asked for."""
        key = f"{self.seed('big').folder}/held"
        if server.name not in self._held:
            load.upload(server, key, self.body(self.scale.large))
            self._held.add(server.name)
        return f"{key}0"


def _place(name: str, store: Store) -> str:
    return name if store == "own" else f"{name}-{store}"


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
