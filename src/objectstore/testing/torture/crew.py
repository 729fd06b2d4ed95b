"""The client processes, as the run has them: started once, let loose and called back round by round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Self

from objectstore.testing.torture.client import TOKEN_VARIABLE
from objectstore.testing.torture.history import Record, from_json, merged


class Crew:
    """`clients` processes of `threads` threads each. Ended by leaving the block."""

    def __init__(self, url: str, token: str, seed: int, clients: int, threads: int) -> None:
        self._url = url
        self._token = token
        self._seed = seed
        self._clients = clients
        self._threads = threads
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        environment = {**os.environ, TOKEN_VARIABLE: self._token}
        for number in range(self._clients):
            arguments = [self._url, str(self._seed), str(number), str(self._threads)]
            self._processes.append(
                subprocess.Popen(  # noqa: S603  our own program
                    [sys.executable, "-m", "objectstore.testing.torture.client", *arguments],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
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

    def go(self, turn: int) -> None:
        """Let them loose."""
        self._tell(f"go {turn}")

    def pause(self) -> Record:
        """Call them back; what all of them saw."""
        self._tell("pause")
        return merged(from_json(json.loads(_line(process))) for process in self._processes)

    def _tell(self, order: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{order}\n")
            process.stdin.flush()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a client ended by itself with {process.wait()}")
    return line
