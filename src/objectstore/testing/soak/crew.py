"""The client processes, as the run has them: what each is to do, and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from objectstore.testing.crew import Crew
from objectstore.testing.soak.client import TOKEN_VARIABLE
from objectstore.testing.soak.record import Record, from_json, merged
from objectstore.testing.soak.world import Share


class SoakCrew(Crew):
    """A process for each share. Ended by leaving the block."""

    def __init__(self, shares: Sequence[Share], token: str, log: Path) -> None:
        arguments = [[json.dumps(asdict(share))] for share in shares]
        super().__init__("objectstore.testing.soak.client", arguments, {TOKEN_VARIABLE: token}, log)

    def hold(self) -> int:
        """Have them open their idle connections; how many are open."""
        return sum(int(answer["idle"]) for answer in self.ask("hold"))

    def begin(self) -> None:
        """Have them begin with the work."""
        self.ask("begin")

    def leaving(self) -> None:
        """The server is about to be told to end."""
        self.ask("leaving")

    def returned(self) -> None:
        """It is back."""
        self.ask("returned")

    def end(self) -> Record:
        """Have them look at every key and come to their end; what all of them saw."""
        return merged(from_json(answer) for answer in self.ask("end"))
