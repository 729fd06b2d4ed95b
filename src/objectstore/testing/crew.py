"""Client processes of a long run: started once, told line by line what to do, and ended when the run is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from objectstore.errors import Unavailable


class Crew:
    """`python -m MODULE ARGUMENTS`, one for each row of arguments. Ended by leaving the block."""

    def __init__(
        self, module: str, arguments: Iterable[Sequence[str]], variables: Mapping[str, str], log: Path | None = None
    ) -> None:
        """`variables` are added to their environment; what they have to say goes to `log`, or where ours goes."""
        self._commands = [[sys.executable, "-m", module, *row] for row in arguments]
        self._variables = variables
        self._log = log
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        environment = {**os.environ, **self._variables}
        with ExitStack() as opened:
            log = None if self._log is None else opened.enter_context(self._log.open("a"))
            for command in self._commands:
                self._running.append(
                    subprocess.Popen(  # noqa: S603  our own program
                        command,
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
        for process in self._running:
            process.kill()
            process.communicate()

    def tell(self, order: str) -> None:
        """Have all of them read a line."""
        for process in self._running:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has ended, which is told when it should answer
                process.stdin.write(f"{order}\n")
                process.stdin.flush()

    def ask(self, order: str) -> list[Any]:
        """The same, and what each answers to it: a line of JSON. Raises Unavailable: one of them has ended."""
        self.tell(order)
        return [json.loads(self._line(process)) for process in self._running]

    def _line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            hint = "" if self._log is None else f": see {self._log}"
            raise Unavailable(f"a client process ended by itself with {process.wait()}{hint}")
        return line
