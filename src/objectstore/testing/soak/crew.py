"""The client processes, as the run has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from objectstore.testing.soak.client import TOKEN_VARIABLE
from objectstore.testing.soak.record import Record, from_json, merged
from objectstore.testing.soak.world import Share


class Crew:
    """A process for each share. Ended by leaving the block."""

    def __init__(self, shares: Sequence[Share], token: str, log: Path) -> None:
        self._shares = shares
        self._token = token
        self._log = log
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        environment = {**os.environ, TOKEN_VARIABLE: self._token}
        with self._log.open("a") as log:
            for share in self._shares:
                self._processes.append(
                    subprocess.Popen(  # noqa: S603  our own program
                        [sys.executable, "-m", "objectstore.testing.soak.client", json.dumps(asdict(share))],
                        env=environment,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        text=True,
                        start_new_session=True,  # Ctrl-C is for the run, which ends them
                    )
                )
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def hold(self) -> int:
        """Have them open their idle connections; how many are open."""
        return sum(int(answer["idle"]) for answer in self._ask("hold"))

    def begin(self) -> None:
        """Have them begin with the work."""
        self._ask("begin")

    def leaving(self) -> None:
        """The server is about to be told to end."""
        self._ask("leaving")

    def returned(self) -> None:
        """It is back."""
        self._ask("returned")

    def end(self) -> Record:
        """Have them look at every key and come to their end; what all of them saw."""
        return merged(from_json(answer) for answer in self._ask("end"))

    def _ask(self, order: str) -> list[dict[str, Any]]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{order}\n")
            process.stdin.flush()
        return [json.loads(self._line(process)) for process in self._processes]

    def _line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a client ended by itself with {process.wait()}: see {self._log}")
        return line
