"""The client processes, as the run has them: let loose and called back round by round."""

from __future__ import annotations

from objectstore.testing.crew import Crew
from objectstore.testing.torture.client import TOKEN_VARIABLE
from objectstore.testing.torture.history import Record, from_json, merged


class TortureCrew(Crew):
    """`clients` processes of `threads` threads each. Ended by leaving the block."""

    def __init__(self, url: str, token: str, seed: int, clients: int, threads: int) -> None:
        arguments = [[url, str(seed), str(number), str(threads)] for number in range(clients)]
        super().__init__("objectstore.testing.torture.client", arguments, {TOKEN_VARIABLE: token})

    def go(self, turn: int) -> None:
        """Let them loose."""
        self.tell(f"go {turn}")

    def pause(self) -> Record:
        """Call them back; what all of them saw."""
        return merged(from_json(answer) for answer in self.ask("pause"))
